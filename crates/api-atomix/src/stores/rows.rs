//! The plan as it is stored.

use bytes::Bytes;
use machines::Stored;

use super::{Connected, Driver, Route, Rule, StoreId};

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Plan {
    #[prost(message, repeated, tag = "1")]
    stores: Vec<StoreRow>,
    #[prost(message, repeated, tag = "2")]
    routes: Vec<RouteRow>,
}

impl Stored for Plan {}

#[derive(Clone, PartialEq, prost::Message)]
struct IdRow {
    #[prost(string, tag = "1")]
    namespace: String,
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoreRow {
    #[prost(message, required, tag = "1")]
    id: IdRow,
    #[prost(string, tag = "2")]
    driver: String,
    #[prost(string, tag = "3")]
    version: String,
    #[prost(bytes = "bytes", tag = "4")]
    settings: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RouteRow {
    #[prost(message, required, tag = "1")]
    store: IdRow,
    #[prost(message, repeated, tag = "2")]
    rules: Vec<RuleRow>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RuleRow {
    #[prost(string, tag = "1")]
    primitive: String,
    #[prost(string, tag = "2")]
    version: String,
    #[prost(string, repeated, tag = "3")]
    names: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    tags: Vec<String>,
    #[prost(bytes = "bytes", tag = "5")]
    config: Bytes,
}

impl From<&StoreId> for IdRow {
    fn from(id: &StoreId) -> IdRow {
        IdRow {
            namespace: id.namespace.clone(),
            name: id.name.clone(),
        }
    }
}

impl From<IdRow> for StoreId {
    fn from(row: IdRow) -> StoreId {
        StoreId {
            namespace: row.namespace,
            name: row.name,
        }
    }
}

impl From<&super::Plan> for Plan {
    fn from(plan: &super::Plan) -> Plan {
        let store = |(id, connected): (&StoreId, &Connected)| StoreRow {
            id: id.into(),
            driver: connected.driver.name.clone(),
            version: connected.driver.version.clone(),
            settings: connected.settings.clone(),
        };
        let rule = |rule: &Rule| RuleRow {
            primitive: rule.primitive.clone(),
            version: rule.version.clone(),
            names: rule.names.clone(),
            tags: rule.tags.clone(),
            config: rule.config.clone(),
        };
        let route = |route: &Route| RouteRow {
            store: (&route.store).into(),
            rules: route.rules.iter().map(rule).collect(),
        };
        Plan {
            stores: plan.stores.iter().map(store).collect(),
            routes: plan.routes.iter().map(route).collect(),
        }
    }
}

impl From<Plan> for super::Plan {
    fn from(plan: Plan) -> super::Plan {
        let store = |row: StoreRow| {
            let driver = Driver {
                name: row.driver,
                version: row.version,
            };
            let connected = Connected {
                driver,
                settings: row.settings,
            };
            (row.id.into(), connected)
        };
        let rule = |row: RuleRow| Rule {
            primitive: row.primitive,
            version: row.version,
            names: row.names,
            tags: row.tags,
            config: row.config,
        };
        let route = |row: RouteRow| Route {
            store: row.store.into(),
            rules: row.rules.into_iter().map(rule).collect(),
        };
        super::Plan {
            stores: plan.stores.into_iter().map(store).collect(),
            routes: plan.routes.into_iter().map(route).collect(),
        }
    }
}
