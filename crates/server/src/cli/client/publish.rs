//! `belay publish`.

use std::collections::HashMap;
use std::ffi::OsString;

use bytes::Bytes;
use clap::Args;
use serde_json::json;
use wire::layotto::PublishEventRequest;

use super::failure::Call;
use super::{Common, Console, Exit, Failure, payload};

#[derive(Debug, Args)]
pub(in crate::cli) struct Publish {
    /// The topic.
    topic: String,
    /// The event's data; `-` reads it from standard input, any bytes.
    #[arg(allow_hyphen_values = true)]
    data: OsString,
    /// Name of the publish/subscribe component.
    #[arg(long, value_name = "NAME", default_value = "pub_subs_demo")]
    pubsub: String,
    /// Media type of the data, like application/json. Default: text/plain.
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Ordering key: events of one key are delivered one at a time, in order.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Seconds after which it is not delivered any more.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    ttl: Option<u64>,
    /// More metadata for the component; may be repeated. --key and --ttl are partitionKey and ttlInSeconds in it.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    metadata: Vec<(String, String)>,
    #[command(flatten)]
    pub(super) common: Common,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}

impl Publish {
    pub(super) async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let data = payload::read(&self.data, console)?;
        let size = data.len();
        let connection = self.common.connect().await?;
        let call = Call {
            name: "PublishEvent",
            component: &self.pubsub,
            flag: "--pubsub",
        };
        let mut client = connection.runtime();
        connection
            .answer(call, client.publish_event(self.request(data)))
            .await?;
        let text = format!("published to {} ({size} bytes)", self.topic);
        let json = json!({"pubsub": self.pubsub, "topic": self.topic, "published": true, "size": size});
        console.say(self.common.form(), text, &json)?;
        Ok(Exit::Ok)
    }

    fn request(&self, data: Bytes) -> PublishEventRequest {
        let mut metadata: HashMap<String, String> = self.metadata.iter().cloned().collect();
        let named = [
            ("partitionKey", self.key.clone()),
            ("ttlInSeconds", self.ttl.map(|seconds| seconds.to_string())),
        ];
        metadata.extend(
            named
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
        PublishEventRequest {
            pubsub_name: self.pubsub.clone(),
            topic: self.topic.clone(),
            data,
            data_content_type: self.content_type.clone().unwrap_or_default(),
            metadata,
        }
    }
}
