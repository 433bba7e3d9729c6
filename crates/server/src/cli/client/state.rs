//! `belay state`.

use std::collections::HashMap;
use std::ffi::OsString;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use wire::layotto::state_options::StateConcurrency;
use wire::layotto::{
    DeleteStateRequest, Etag, GetStateRequest, GetStateResponse, SaveStateRequest, StateItem, StateOptions,
};

use super::failure::Call;
use super::{Common, Console, Exit, Failure, payload};

/// How long an item lives, asked for and left.
const TTL: &str = "ttlInSeconds";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// Print the value of a key. Exit code 1 if it has none.
    ///
    /// Etag and time to live are in --json.
    Get(Get),
    /// Write the value of a key, whatever it had before.
    Set(Set),
    /// Delete a key; one that has no value is no error.
    Delete(Delete),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Get {
    /// The key.
    key: String,
    /// Print the bytes as they are, without a line end.
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Set {
    /// The key.
    key: String,
    /// The value; `-` reads it from standard input, any bytes.
    #[arg(allow_hyphen_values = true)]
    value: OsString,
    /// Seconds after which the key is gone. Default: it stays, unless its component says otherwise.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    ttl: Option<u64>,
    /// Write only if the key still has this version, as `state get --json` tells it.
    #[arg(long, value_parser = etag, conflicts_with = "first_write")]
    etag: Option<String>,
    /// Write only if the key has no value.
    #[arg(long)]
    first_write: bool,
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Delete {
    /// The key.
    key: String,
    /// Delete only if the key still has this version, as `state get --json` tells it.
    #[arg(long, value_parser = etag)]
    etag: Option<String>,
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Store {
    /// Name of the state component.
    #[arg(long, value_name = "NAME", default_value = "state_demo")]
    store: String,
}

/// An etag that the server takes for none would make the write unconditional.
fn etag(text: &str) -> Result<String, String> {
    match text {
        "" | "0" => Err("that stands for no etag at all; no value has it".into()),
        text => Ok(text.to_owned()),
    }
}

impl Store {
    fn call(&self, name: &'static str) -> Call<'_> {
        Call {
            name,
            component: &self.store,
            flag: "--store",
        }
    }
}

impl Command {
    pub(super) fn common(&self) -> &Common {
        match self {
            Command::Get(get) => &get.common,
            Command::Set(set) => &set.common,
            Command::Delete(delete) => &delete.common,
        }
    }

    pub(super) async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        match self {
            Command::Get(get) => get.run(console).await,
            Command::Set(set) => set.run(console).await,
            Command::Delete(delete) => delete.run(console).await,
        }
    }
}

impl Get {
    async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let connection = self.common.connect().await?;
        let request = GetStateRequest {
            store_name: self.store.store.clone(),
            key: self.key.clone(),
            ..GetStateRequest::default()
        };
        let mut client = connection.runtime();
        let answer = connection.answer(self.store.call("GetState"), client.get_state(request));
        let found = answer.await?.into_inner();
        // Every value has an etag, the empty one too.
        if found.etag.is_empty() && found.data.is_empty() {
            return self.nothing(console);
        }
        if self.raw {
            console.write(&found.data)?;
            return Ok(Exit::Ok);
        }
        let text = payload::shown(&found.data);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        console.say(self.common.form(), text, &self.json(&found))?;
        Ok(Exit::Ok)
    }

    fn nothing(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        if self.common.json {
            let json = json!({"store": self.store.store, "key": self.key, "found": false});
            console.say(self.common.form(), "", &json)?;
            return Ok(Exit::Failed);
        }
        Err(Failure::no(format_args!(
            "{} has no value in {}",
            self.key, self.store.store
        )))
    }

    fn json(&self, found: &GetStateResponse) -> Value {
        let mut object = Map::new();
        object.insert("store".into(), self.store.store.clone().into());
        object.insert("key".into(), self.key.clone().into());
        object.insert("found".into(), true.into());
        payload::put(&mut object, "value", &found.data);
        object.insert("etag".into(), found.etag.clone().into());
        let left = found.metadata.get(TTL).and_then(|left| left.parse::<u64>().ok());
        object.extend(left.map(|left| ("ttl_seconds".to_owned(), left.into())));
        Value::Object(object)
    }
}

impl Set {
    async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let value = payload::read(&self.value, console)?;
        let size = value.len();
        let connection = self.common.connect().await?;
        let item = StateItem {
            key: self.key.clone(),
            value,
            etag: self.etag.clone().map(|value| Etag { value }),
            metadata: ttl(self.ttl),
            options: self.first_write.then(first_write),
        };
        let request = SaveStateRequest {
            store_name: self.store.store.clone(),
            states: vec![item],
        };
        let mut client = connection.runtime();
        connection
            .answer(self.store.call("SaveState"), client.save_state(request))
            .await?;
        let text = format!("saved {} in {} ({size} bytes)", self.key, self.store.store);
        let json = json!({"store": self.store.store, "key": self.key, "saved": true, "size": size});
        console.say(self.common.form(), text, &json)?;
        Ok(Exit::Ok)
    }
}

fn ttl(seconds: Option<u64>) -> HashMap<String, String> {
    let setting = seconds.map(|seconds| (TTL.to_owned(), seconds.to_string()));
    setting.into_iter().collect()
}

fn first_write() -> StateOptions {
    StateOptions {
        concurrency: StateConcurrency::ConcurrencyFirstWrite.into(),
        ..StateOptions::default()
    }
}

impl Delete {
    async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let connection = self.common.connect().await?;
        let request = DeleteStateRequest {
            store_name: self.store.store.clone(),
            key: self.key.clone(),
            etag: self.etag.clone().map(|value| Etag { value }),
            ..DeleteStateRequest::default()
        };
        let mut client = connection.runtime();
        connection
            .answer(self.store.call("DeleteState"), client.delete_state(request))
            .await?;
        let text = format!("deleted {} from {}", self.key, self.store.store);
        let json = json!({"store": self.store.store, "key": self.key, "deleted": true});
        console.say(self.common.form(), text, &json)?;
        Ok(Exit::Ok)
    }
}
