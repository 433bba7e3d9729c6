//! Everything that can be set. Each field's doc comment says meaning, unit and default: the JSON schema and the manual are
//! made from it. Defaults are the `Default` impls here and nowhere else.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod address;
mod application;
mod component;
mod functions;
mod limits;
mod listen;
mod primitives;
mod restate;
mod telemetry;

pub(super) mod format;

pub use address::Address;
pub use application::{Application, Greeting, Security, Subscription};
pub(crate) use component::offered;
pub use component::{Access, Component, SecretPolicy, Serves};
pub use drivers::embedded::Options as Engine;
pub use functions::{Entities, Function};
pub use limits::Limits;
pub use listen::Listen;
pub use primitives::{Primitives, Sessions, SetUnchanged};
pub use restate::{OnMaxAttempts, Restate};
pub use telemetry::{Log, LogFormat, Metrics, Otlp, Telemetry};

use super::references::SecretReference;

/// The configuration of one Belay.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(title = "belay.yaml")]
pub struct Config {
    /// Where Belay listens. Default: loopback, on the ports that the SDKs know.
    pub listen: Listen,
    /// The folder that holds everything Belay keeps; made if missing. A relative path starts at the working directory.
    /// Default: `.belay`.
    #[schemars(length(min = 1))]
    pub data_dir: PathBuf,
    /// The embedded engine.
    pub engine: Engine,
    /// What `SayHello` answers, by service name. Default: none.
    pub hellos: BTreeMap<String, Greeting>,
    /// State stores, locks, topics and so on, each under the name that applications call it by. Default: none.
    pub components: Vec<Component>,
    /// The applications beside this Belay. The first is the one that Layotto's API calls back. Default: none.
    pub apps: Vec<Application>,
    /// Topics that are delivered to the application besides those that it lists itself. Default: none.
    pub subscriptions: Vec<Subscription>,
    /// Distributed primitives.
    pub primitives: Primitives,
    /// Durable execution.
    pub restate: Restate,
    /// User functions beside this Belay, for the Cloudstate SDKs; `--function` or USER_FUNCTION_HOST and USER_FUNCTION_PORT name
    /// one as well. Default: none.
    pub functions: Vec<Function>,
    /// Entities of user functions.
    pub entities: Entities,
    /// What is let through from outside of this machine.
    pub security: Security,
    /// Log, metrics and traces.
    pub telemetry: Telemetry,
    /// What a client may ask for at most.
    pub limits: Limits,
    /// Where in this value secrets are still to be put in: JSON pointers.
    #[serde(skip)]
    pub(in crate::config) secret_references: Vec<(String, SecretReference)>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            listen: Listen::default(),
            data_dir: PathBuf::from(".belay"),
            engine: Engine::default(),
            hellos: BTreeMap::new(),
            components: vec![],
            apps: vec![],
            subscriptions: vec![],
            primitives: Primitives::default(),
            restate: Restate::default(),
            functions: vec![],
            entities: Entities::default(),
            security: Security::default(),
            telemetry: Telemetry::default(),
            limits: Limits::default(),
            secret_references: vec![],
        }
    }
}

#[cfg(test)]
mod tests;
