//! A fake configuration store.

use std::collections::BTreeMap;

use async_trait::async_trait;
use base::Result;
use futures::StreamExt;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use ports::config::{Changes, ConfigStore, Filter, Item, Scope};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;

use super::Fault;

/// Items in memory. A watch has room for some changes; a test never makes more.
pub(crate) struct Configs {
    pub fault: Fault,
    items: Mutex<BTreeMap<Scope, BTreeMap<String, Item>>>,
    watchers: Mutex<Vec<Watcher>>,
    /// How many watches have ever begun.
    pub watches: watch::Sender<usize>,
}

struct Watcher {
    filter: Filter,
    tx: mpsc::Sender<Result<Changes>>,
}

impl Default for Configs {
    fn default() -> Configs {
        Configs {
            fault: Fault::default(),
            items: Mutex::default(),
            watchers: Mutex::default(),
            watches: watch::Sender::new(0),
        }
    }
}

impl Configs {
    /// Waits until that many watches have begun.
    pub(crate) async fn watched(&self, count: usize) {
        let mut watches = self.watches.subscribe();
        drop(watches.wait_for(|watches| *watches >= count).await);
    }

    /// Closes every watch, as a store that goes away does.
    pub(crate) fn close(&self) {
        self.watchers.lock().clear();
    }

    pub(crate) fn open_watches(&self) -> usize {
        let watchers = self.watchers.lock();
        watchers.iter().filter(|watcher| !watcher.tx.is_closed()).count()
    }

    pub(crate) fn fall_behind(&self) {
        for watcher in &*self.watchers.lock() {
            let lost = base::Error::new(base::codes::DATA_DAMAGED, "the watch fell behind");
            drop(watcher.tx.try_send(Err(lost)));
        }
    }

    fn notify(&self, app: &str, items: &[Item]) {
        self.watchers.lock().retain(|watcher| !watcher.tx.is_closed());
        for watcher in &*self.watchers.lock() {
            let filter = &watcher.filter;
            let items: Vec<Item> = items
                .iter()
                .filter(|item| filter.app == app && filter.takes(&item.group, &item.label, &item.key))
                .cloned()
                .collect();
            if !items.is_empty() {
                watcher
                    .tx
                    .try_send(Ok(Changes { items }))
                    .expect("a test makes few changes");
            }
        }
    }
}

#[async_trait]
impl ConfigStore for Configs {
    fn default_scope(&self) -> (&str, &str) {
        ("default", "plain")
    }

    async fn get(&self, filter: &Filter) -> Result<Vec<Item>> {
        self.fault.check()?;
        let items = self.items.lock();
        let scope = Scope {
            app: filter.app.clone(),
            group: filter.group.clone(),
            label: filter.label.clone(),
        };
        let Some(items) = items.get(&scope) else {
            return Ok(vec![]);
        };
        if filter.keys.is_empty() {
            return Ok(items.values().cloned().collect());
        }
        Ok(filter
            .keys
            .iter()
            .filter_map(|key| items.get(key).cloned())
            .collect())
    }

    async fn put(&self, app: &str, items: Vec<Item>) -> Result<()> {
        self.fault.check()?;
        for item in &items {
            let scope = Scope {
                app: app.to_owned(),
                group: item.group.clone(),
                label: item.label.clone(),
            };
            let mut all = self.items.lock();
            all.entry(scope)
                .or_default()
                .insert(item.key.clone(), item.clone());
        }
        self.notify(app, &items);
        Ok(())
    }

    async fn delete(&self, scope: &Scope, keys: &[String]) -> Result<()> {
        self.fault.check()?;
        let mut deleted = Vec::new();
        for key in keys {
            let mut all = self.items.lock();
            deleted.extend(all.get_mut(scope).and_then(|items| items.remove(key)));
        }
        for item in &mut deleted {
            item.content.clear();
        }
        self.notify(&scope.app, &deleted);
        Ok(())
    }

    async fn watch(&self, filter: Filter) -> Result<BoxStream<'static, Result<Changes>>> {
        self.fault.check()?;
        let (tx, rx) = mpsc::channel(64);
        self.watchers.lock().push(Watcher { filter, tx });
        self.watches.send_modify(|watches| *watches += 1);
        Ok(ReceiverStream::new(rx).boxed())
    }
}
