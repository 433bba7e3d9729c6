//! Drivers: what they are called, what they offer, and how they are opened.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base::{Clock, Error, Result, codes, task::Tasks};
use serde::de::DeserializeOwned;

use crate::binding::Binding;
use crate::config::ConfigStore;
use crate::file::FileStore;
use crate::invoke::Invoker;
use crate::kv::Kv;
use crate::lock::LockStore;
use crate::pubsub::PubSub;
use crate::secret::SecretStore;
use crate::sequencer::Sequencer;
use crate::state::StateStore;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    Kv,
    State,
    PubSub,
    Lock,
    Sequencer,
    Config,
    Secret,
    File,
    Binding,
    Invoke,
}

impl Port {
    pub const ALL: [Port; 10] = [
        Port::Kv,
        Port::State,
        Port::PubSub,
        Port::Lock,
        Port::Sequencer,
        Port::Config,
        Port::Secret,
        Port::File,
        Port::Binding,
        Port::Invoke,
    ];

    /// As configuration and people write it.
    pub fn name(self) -> &'static str {
        match self {
            Port::Kv => "kv",
            Port::State => "state",
            Port::PubSub => "pubsub",
            Port::Lock => "lock",
            Port::Sequencer => "sequencer",
            Port::Config => "config",
            Port::Secret => "secret",
            Port::File => "file",
            Port::Binding => "binding",
            Port::Invoke => "invoke",
        }
    }

    /// Ports that anything with a [`Kv`] has without doing more.
    pub fn derived_from_kv(self) -> bool {
        matches!(
            self,
            Port::State | Port::PubSub | Port::Lock | Port::Sequencer | Port::Config
        )
    }
}

/// A component's settings, as configured: an object of any JSON values, references resolved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings(pub serde_json::Map<String, serde_json::Value>);

impl Settings {
    /// The driver's own struct. `Err` says which setting is wrong.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(serde_json::Value::Object(self.0.clone()))
            .map_err(|cause| Error::new(codes::CONFIG_INVALID, cause.to_string()))
    }

    /// Layotto's configuration has only texts: numbers and switches come as `"5"` and `"true"`.
    pub fn from_texts(texts: impl IntoIterator<Item = (String, String)>) -> Settings {
        Settings(
            texts
                .into_iter()
                .map(|(name, text)| (name, serde_json::Value::String(text)))
                .collect(),
        )
    }
}

/// Something about a configuration that somebody should change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The setting, as a path within the component's settings (`redisHost`, `targets.0.url`); empty: the component itself.
    pub path: String,
    pub severity: Severity,
    /// What is wrong and what to write instead.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// Belay does not start.
    Error,
    /// Belay starts and says so.
    Warning,
}

impl Finding {
    pub fn error(path: impl Into<String>, message: impl Into<String>) -> Finding {
        Finding {
            path: path.into(),
            severity: Severity::Error,
            message: message.into(),
        }
    }
}

/// What a driver is opened with, besides its settings.
#[derive(Clone)]
pub struct Context {
    pub clock: Arc<dyn Clock>,
    /// The engine of this process.
    pub engine: Arc<dyn Kv>,
    pub tasks: Tasks,
    /// The process's primitives as state, for those that are opened after them.
    pub primitives: Option<Arc<dyn StateStore>>,
}

/// An opened driver: the ports it offers itself. Ports derived from `kv` are added by whoever opened it.
#[derive(Clone, Default)]
pub struct Component {
    pub kv: Option<Arc<dyn Kv>>,
    pub state: Option<Arc<dyn StateStore>>,
    pub pubsub: Option<Arc<dyn PubSub>>,
    pub lock: Option<Arc<dyn LockStore>>,
    pub sequencer: Option<Arc<dyn Sequencer>>,
    pub config: Option<Arc<dyn ConfigStore>>,
    pub secret: Option<Arc<dyn SecretStore>>,
    pub file: Option<Arc<dyn FileStore>>,
    pub binding: Option<Arc<dyn Binding>>,
    pub invoke: Option<Arc<dyn Invoker>>,
}

impl Component {
    /// Whether it offers that port itself, or has been given it.
    pub fn has(&self, port: Port) -> bool {
        match port {
            Port::Kv => self.kv.is_some(),
            Port::State => self.state.is_some(),
            Port::PubSub => self.pubsub.is_some(),
            Port::Lock => self.lock.is_some(),
            Port::Sequencer => self.sequencer.is_some(),
            Port::Config => self.config.is_some(),
            Port::Secret => self.secret.is_some(),
            Port::File => self.file.is_some(),
            Port::Binding => self.binding.is_some(),
            Port::Invoke => self.invoke.is_some(),
        }
    }
}

/// A kind of component.
///
/// `validate` does no I/O and returns every finding at once, those of the schema excepted (whoever reads the configuration
/// checks that first). `open` may take long; it is retried by whoever calls it, or fails the start.
#[async_trait]
pub trait Driver: Send + Sync {
    /// Lower case, with dashes: `embedded`, `local-file`.
    fn name(&self) -> &'static str;
    /// One sentence for `belay components`.
    fn about(&self) -> &'static str;
    /// What it offers itself; [`Port::Kv`] implies what is derived from it.
    fn offers(&self) -> &'static [Port];
    /// The JSON schema of its settings, made from the settings' struct: the descriptions are the manual.
    fn schema(&self) -> schemars::Schema;
    fn validate(&self, settings: &Settings) -> Vec<Finding>;
    async fn open(&self, name: &str, settings: &Settings, context: &Context) -> Result<Component>;
}

/// Every driver that is built in, by name.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<&'static str, Arc<dyn Driver>>);

impl Registry {
    pub fn of(drivers: impl IntoIterator<Item = Arc<dyn Driver>>) -> Registry {
        Registry(
            drivers
                .into_iter()
                .map(|driver| (driver.name(), driver))
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> Option<&Arc<dyn Driver>> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn Driver>> {
        self.0.values()
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.0.keys().copied().collect()
    }
}
