//! Components: named building blocks, each on a driver.

use std::collections::BTreeMap;

use ports::{Driver, Port, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A building block that applications call by name.
///
/// One component serves every port of its driver, unless `ports` says otherwise; two components may have one name as long
/// as they serve different ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// What applications call it by.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// What it stands on; `belay components` lists the drivers and their settings.
    #[schemars(length(min = 1))]
    pub driver: String,
    /// What it serves: `state`, `pubsub`, `lock`, `sequencer`, `config`, `secret`, `file`, `binding`, `invoke`. Default:
    /// everything that the driver offers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub ports: Option<Vec<Serves>>,
    /// The driver's settings. Default: none.
    #[serde(default)]
    pub settings: Map<String, Value>,

    /// State, lock, sequencer: how keys begin in the store: `none`, `appid`, `name` (this component's), or a text of your
    /// own, without `||`. Default: `none` for state, `appid` for locks and sequencers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = super::format::KEY_PREFIX))]
    pub key_prefix: Option<String>,
    /// State: how long an item is kept that brings no time to live of its own, seconds. Default: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 2_147_483_647))]
    pub ttl_seconds: Option<u64>,
    /// Sequencer: ids of these keys are larger than these numbers. Default: none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bigger_than: BTreeMap<String, u64>,
    /// Publish/subscribe: the group of consumers that share the events. Default: the application's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer_id: Option<String>,
    /// Publish/subscribe: events that are with the application at once, 1 to 1024. Default: 64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = base::limits::EVENTS_IN_MEMORY_MAX))]
    pub in_flight_max: Option<usize>,
    /// Publish/subscribe: how often an event is tried before it is given up; 0: until it is too old. Default: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deliveries_max: Option<u32>,
    /// Publish/subscribe: where events go that are given up. Default: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub dead_letter_topic: Option<String>,
    /// Publish/subscribe: how long the application may take for one event, milliseconds. Default: 60000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400_000))]
    pub delivery_deadline_ms: Option<u64>,
    /// Secret: which secrets applications may read. Default: all.
    #[serde(default, skip_serializing_if = "SecretPolicy::is_default")]
    pub secrets: SecretPolicy,
}

impl Component {
    /// What it serves on that driver, without `kv`, in the order of [`Port::ALL`].
    pub fn serves(&self, driver: &dyn Driver) -> Vec<Port> {
        let offered = offered(driver);
        let named = |port: &Port| {
            let Some(ports) = &self.ports else {
                return true;
            };
            ports.iter().any(|named| named.port() == *port)
        };
        offered
            .into_iter()
            .filter(|port| *port != Port::Kv)
            .filter(named)
            .collect()
    }

    pub fn settings(&self) -> Settings {
        Settings(self.settings.clone())
    }
}

/// What a driver offers, derived ports included, in the order of [`Port::ALL`].
pub(crate) fn offered(driver: &dyn Driver) -> Vec<Port> {
    let own = driver.offers();
    let offers = |port: &Port| own.contains(port) || (own.contains(&Port::Kv) && port.derived_from_kv());
    Port::ALL.into_iter().filter(offers).collect()
}

/// A port that applications can call by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Serves {
    State,
    Pubsub,
    Lock,
    Sequencer,
    Config,
    Secret,
    File,
    Binding,
    Invoke,
}

impl Serves {
    pub fn port(self) -> Port {
        match self {
            Serves::State => Port::State,
            Serves::Pubsub => Port::PubSub,
            Serves::Lock => Port::Lock,
            Serves::Sequencer => Port::Sequencer,
            Serves::Config => Port::Config,
            Serves::Secret => Port::Secret,
            Serves::File => Port::File,
            Serves::Binding => Port::Binding,
            Serves::Invoke => Port::Invoke,
        }
    }
}

/// Which secrets applications may read. What is denied answers the same whether it exists or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SecretPolicy {
    /// What holds for secrets that no list names: `allow` or `deny`. Default: `allow`.
    pub default_access: Access,
    /// With `deny`: the names that may be read all the same. Default: none.
    pub allowed: Vec<String>,
    /// With `allow`: the names that may not be read. Default: none.
    pub denied: Vec<String>,
}

impl SecretPolicy {
    fn is_default(&self) -> bool {
        *self == SecretPolicy::default()
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    #[default]
    Allow,
    Deny,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_but_kv_can_be_served_under_its_own_name() {
        for port in Port::ALL.into_iter().filter(|port| *port != Port::Kv) {
            let serves: Serves = serde_json::from_value(port.name().into()).expect("every name is one");
            assert_eq!(serves.port(), port);
        }
    }
}
