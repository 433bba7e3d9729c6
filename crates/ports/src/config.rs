//! Configuration items by application, group, label and key, and who watches them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use base::Result;
use futures::stream::BoxStream;

use crate::Metadata;

/// Where items live. Group and label are exact; [`Filter`] can be wider.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    pub app: String,
    pub group: String,
    pub label: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub group: String,
    pub label: String,
    pub key: String,
    pub content: String,
    pub tags: BTreeMap<String, String>,
    pub metadata: Metadata,
}

/// Which items: of one application, by exact group and label or `*` for all, by exact keys; no keys at all means every key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub app: String,
    pub group: String,
    pub label: String,
    pub keys: Vec<String>,
}

impl Filter {
    pub const ANY: &str = "*";

    pub fn takes(&self, group: &str, label: &str, key: &str) -> bool {
        let one = |pattern: &str, text: &str| pattern == Filter::ANY || pattern == text;
        one(&self.group, group)
            && one(&self.label, label)
            && (self.keys.is_empty() || self.keys.iter().any(|wanted| one(wanted, key)))
    }
}

/// Items that one commit changed. A deleted one is there with empty content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    pub items: Vec<Item>,
}

/// Every implementation MUST pass `conformance::config`:
/// - `get` answers in the order of the filter's keys; missing keys are left out; without keys, in order of group, label, key;
/// - `put` and `delete` change all their items in one commit, or none;
/// - a watch sees every change made after `watch` returned once, in commit order, and only of its filter; it never holds
///   up a writer and never ends another watch; a change that touches nothing of the filter is not sent.
///
/// Limits: app, group, label and key together up to [`base::limits::KEY_BYTES_MAX`] bytes less the store's prefix, key not
/// empty; an answer of up to [`base::limits::CONFIG_ITEMS_MAX`] items (`InvalidArgument`). A watch that falls behind further than the store keeps its log ends with `DataLoss`; that is
/// how long a reader may sleep, and is written in the driver's page.
#[async_trait]
pub trait ConfigStore: Send + Sync {
    /// What stands in for a blank group and label.
    fn default_scope(&self) -> (&str, &str);
    async fn get(&self, filter: &Filter) -> Result<Vec<Item>>;
    async fn put(&self, app: &str, items: Vec<Item>) -> Result<()>;
    async fn delete(&self, scope: &Scope, keys: &[String]) -> Result<()>;
    async fn watch(&self, filter: Filter) -> Result<BoxStream<'static, Result<Changes>>>;
}
