//! What the family serves: the named components of one configuration, as one value that is swapped whole.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use base::{Result, limits};
use ports::Metadata;
use ports::binding::Binding;
use ports::config::ConfigStore;
use ports::file::FileStore;
use ports::invoke::Invoker;
use ports::lock::LockStore;
use ports::pubsub::PubSub;
use ports::secret::SecretStore;
use ports::sequencer::Sequencer;
use ports::state::StateStore;

/// The components in force. A call takes one snapshot at its start and sees no change in its middle.
pub type Live = ArcSwap<Components>;

#[derive(Clone, Default)]
pub struct Components {
    /// May be empty; it is part of keys and of consumer groups.
    pub app_id: String,
    pub hellos: HashMap<String, Hello>,
    pub states: HashMap<String, State>,
    pub locks: HashMap<String, Lock>,
    pub sequencers: HashMap<String, Sequence>,
    pub configs: HashMap<String, Arc<dyn ConfigStore>>,
    pub pubsubs: HashMap<String, Bus>,
    pub files: HashMap<String, Arc<dyn FileStore>>,
    pub bindings: HashMap<String, Arc<dyn Binding>>,
    pub secrets: HashMap<String, Secrets>,
    /// The one that the reference calls `mosn`.
    pub invoker: Option<Arc<dyn Invoker>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub greeting: String,
}

#[derive(Clone)]
pub struct State {
    pub store: Arc<dyn StateStore>,
    pub prefix: Prefix,
    /// Time to live of items that bring none of their own.
    pub ttl: Option<Duration>,
}

#[derive(Clone)]
pub struct Lock {
    pub store: Arc<dyn LockStore>,
    pub prefix: Prefix,
}

#[derive(Clone)]
pub struct Sequence {
    pub store: Arc<dyn Sequencer>,
    pub prefix: Prefix,
}

impl Sequence {
    /// A sequence's name in its store, for whoever composes components.
    pub fn physical(&self, app_id: &str, store_name: &str, key: &str) -> String {
        crate::keys::Layout {
            prefix: &self.prefix,
            app_id,
            store_name,
        }
        .sequence(key)
    }
}

#[derive(Clone)]
pub struct Bus {
    pub store: Arc<dyn PubSub>,
    pub consuming: Consuming,
}

/// How subscriptions read, unless their own metadata says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consuming {
    /// The consumer group; empty means the application's id.
    pub consumer_id: String,
    pub in_flight_max: usize,
    pub deliveries_max: u32,
    pub dead_letter_topic: Option<String>,
    pub deadline: Duration,
}

impl Default for Consuming {
    fn default() -> Consuming {
        Consuming {
            consumer_id: String::new(),
            in_flight_max: limits::EVENTS_IN_FLIGHT,
            deliveries_max: 0,
            dead_letter_topic: None,
            deadline: limits::DELIVERY_DEADLINE,
        }
    }
}

#[derive(Clone)]
pub struct Secrets {
    pub store: Arc<dyn SecretStore>,
    pub policy: Policy,
}

/// Which secrets may be read. A denied name answers like any other denied name, whether it exists or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    pub deny_by_default: bool,
    pub allowed: Vec<String>,
    pub denied: Vec<String>,
}

impl Policy {
    pub fn allows(&self, name: &str) -> bool {
        let listed = |names: &[String]| names.iter().any(|listed| listed == name);
        if self.deny_by_default {
            listed(&self.allowed)
        } else {
            !listed(&self.denied)
        }
    }
}

/// The `keyPrefix` setting: how a key looks in the store. It is lower-cased, as the reference does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prefix {
    None,
    AppId,
    StoreName,
    Fixed(String),
}

/// Between the parts of a key in a store; keys and prefixes must not contain it.
pub const SEPARATOR: &str = "||";

impl Prefix {
    /// `None` for a prefix that contains the separator. An empty setting means `default`.
    pub fn parse(setting: &str, default: Prefix) -> Option<Prefix> {
        let setting = setting.to_lowercase();
        if setting.contains(SEPARATOR) {
            return None;
        }
        Some(match setting.as_str() {
            "" => default,
            "none" => Prefix::None,
            "appid" => Prefix::AppId,
            "name" => Prefix::StoreName,
            _ => Prefix::Fixed(setting),
        })
    }
}

/// Makes a component anew under other settings. Implemented where components are composed.
#[async_trait]
pub trait Reconfigure: Send + Sync {
    /// The components with that one changed: it is opened and checked first, so an error leaves everything as it was.
    /// `Ok(None)` when there is no such component.
    async fn reconfigure(
        &self,
        current: &Components,
        kind: &str,
        name: &str,
        metadata: &Metadata,
    ) -> Result<Option<Components>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_lower_cased_and_never_hold_the_separator() {
        let parse = |setting| Prefix::parse(setting, Prefix::AppId);
        assert_eq!(parse(""), Some(Prefix::AppId));
        assert_eq!(parse("None"), Some(Prefix::None));
        assert_eq!(parse("NAME"), Some(Prefix::StoreName));
        assert_eq!(parse("MyApp"), Some(Prefix::Fixed("myapp".into())));
        assert_eq!(parse("a||b"), None);
    }

    #[test]
    fn a_denied_secret_stays_denied_unless_it_is_listed() {
        let policy = Policy {
            deny_by_default: true,
            allowed: vec!["one".into()],
            denied: vec![],
        };
        assert!(policy.allows("one") && !policy.allows("two"));
        let policy = Policy {
            deny_by_default: false,
            allowed: vec![],
            denied: vec!["one".into()],
        };
        assert!(!policy.allows("one") && policy.allows("two"));
        assert!(Policy::default().allows("anything"));
    }
}
