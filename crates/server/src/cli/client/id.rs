//! `belay id`.

use clap::Args;
use serde_json::json;
use wire::layotto::sequencer_options::AutoIncrement;
use wire::layotto::{GetNextIdRequest, SequencerOptions};

use super::failure::Call;
use super::{Common, Console, Exit, Failure};

#[derive(Debug, Args)]
pub(in crate::cli) struct Id {
    /// Names the sequence.
    key: String,
    /// How many ids, one per line.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
    /// Unique only: faster, but ids may come out of order, and some are left out.
    #[arg(long)]
    weak: bool,
    /// Name of the sequencer component.
    #[arg(long, value_name = "NAME", default_value = "sequencer_demo")]
    store: String,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Id {
    pub(super) async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let connection = self.common.connect().await?;
        let mut client = connection.runtime();
        let call = Call {
            name: "GetNextId",
            component: &self.store,
            flag: "--store",
        };
        for _ in 0..self.count {
            let answer = connection.answer(call, client.get_next_id(self.request()));
            let id = answer.await?.into_inner().next_id;
            let json = json!({"store": self.store, "key": self.key, "id": id});
            console.say(self.common.form(), id, &json)?;
        }
        Ok(Exit::Ok)
    }

    fn request(&self) -> GetNextIdRequest {
        let increment = match self.weak {
            true => AutoIncrement::Weak,
            false => AutoIncrement::Strong,
        };
        GetNextIdRequest {
            store_name: self.store.clone(),
            key: self.key.clone(),
            options: Some(SequencerOptions {
                increment: increment.into(),
            }),
            ..GetNextIdRequest::default()
        }
    }
}
