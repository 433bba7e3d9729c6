//! Applications, what is delivered to them, and who may call.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What `SayHello` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Greeting {
    /// The answer; the caller's name is put behind it, after a comma.
    pub greeting: String,
}

/// An application beside this Belay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Its id: a part of keys and of consumer groups, so a change of it makes another application. May be empty.
    #[schemars(extend("format" = super::format::APP_ID))]
    pub id: String,
    /// Where its callback server listens (Layotto's `AppCallback`, gRPC without TLS): `host:port`, or
    /// `unix:` and the path of a socket. Belay waits for it and
    /// follows it through restarts. Default: it has none, and no events are delivered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = super::format::TARGET))]
    pub callback: Option<String>,
}

/// A topic that is delivered to the application, whether it lists the topic itself or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Subscription {
    /// Name of the publish/subscribe component.
    #[schemars(length(min = 1))]
    pub pubsub: String,
    /// The topic.
    #[schemars(length(min = 1))]
    pub topic: String,
    /// Options of this subscription, as an application would list them: `consumerID` for a group of its own. Default: none.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// What is let through from outside of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// Listeners have neither TLS nor passwords, so each address that other machines can reach is warned about. `true`
    /// says that the network around it is closed, and ends the warning; so does `--allow-remote`. Default: false.
    pub allow_remote: bool,
}
