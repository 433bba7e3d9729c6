//! Configuration over a `Kv`: a row per item, and a log of what changed.
//!
//! A change writes its items' rows and one row of the log in the same commit, so a watch sees exactly what was committed, in
//! that order. The log carries the contents: by the time a watch reads it, an item's row may be newer. What the rows look
//! like is in `rows`; where they are: `keys`.
//!
//! The log is trimmed by [`Config::trim`], by age and by count ([`base::limits::CONFIG_LOG_AGE_MAX`],
//! [`base::limits::CONFIG_LOG_ROWS_MAX`]). How far is itself a row, and that is how a watch that has fallen behind finds out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use base::{Error, Result, codes, limits};
use futures::stream::BoxStream;
use ports::config::{Changes, ConfigStore, Filter, Item, Scope};
use ports::kv::{Batch, Expect, Key, Keyspace, Kv, Outcome, Scan};

use super::keys::{self, Prefix};
use super::{Progress, contended};

mod log;
mod rows;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use rows::decode_any;

use log::Log;
#[cfg(test)]
use rows::Mark;

/// What stands in for a blank group or label, as in the reference's stores.
const DEFAULT: &str = "default";

/// Configuration of one component.
pub struct Config {
    kv: Arc<dyn Kv>,
    items: Prefix,
    log: Log,
}

impl Config {
    pub fn over(kv: Arc<dyn Kv>, component: &str) -> Config {
        Config {
            items: Prefix::of(keys::CONFIG, component),
            log: Log::of(component),
            kv,
        }
    }

    /// Adds to `batch` what [`ConfigStore::put`] does. Of several items of one name the last one counts. It adds to a counter
    /// as well, so the commit answers one sum more.
    pub fn stage_put(&self, mut batch: Batch, app: &str, items: Vec<Item>) -> Result<Batch> {
        let items = last_of_each(items);
        for item in &items {
            batch = batch.put(
                self.row(app, &item.group, &item.label, &item.key)?,
                rows::encode_item(item),
            );
        }
        Ok(self.log.stage(batch, self.kv.now(), app, &items))
    }

    /// One small step of trimming the log: at most [`limits::CONFIG_LOG_PAGE_ROWS`] rows, in one commit that nobody waits for.
    /// Several may run at once, in several processes: one of them wins.
    pub async fn trim(&self) -> Result<Progress> {
        self.log.trim(&*self.kv).await
    }

    fn row(&self, app: &str, group: &str, label: &str, key: &str) -> Result<Key> {
        self.items.with(app).with(group).with(label).row(key)
    }

    /// The items of exact names, missing ones left out.
    async fn get_named(&self, filter: &Filter) -> Result<Vec<Item>> {
        check_count(filter.keys.len())?;
        let scope = self
            .items
            .with(&filter.app)
            .with(&filter.group)
            .with(&filter.label);
        let keys: Vec<Key> = filter
            .keys
            .iter()
            .map(|key| scope.row(key))
            .collect::<Result<_>>()?;
        let entries = self.kv.get_many(&keys).await?;
        let found = filter
            .keys
            .iter()
            .zip(entries)
            .filter_map(|(key, entry)| Some((key, entry?)));
        found
            .map(|(key, entry)| rows::decode_item(&filter.group, &filter.label, key, &entry.value))
            .collect()
    }

    /// Every item that the filter takes, in order of group, label and key, as of one moment.
    async fn scan(&self, filter: &Filter) -> Result<Vec<Item>> {
        let component = self.items.bytes().len();
        let mut range = Scan::prefix(Keyspace::State, self.narrowest(filter).bytes().clone());
        let snapshot = self.kv.snapshot()?;
        let mut items = vec![];
        loop {
            let page = snapshot.scan(range.clone()).await?;
            for (key, entry) in &page.rows {
                let item = rows::decode_taken(filter, component, key, &entry.value)?;
                items.extend(item);
                check_count(items.len())?;
            }
            match page.rows.last() {
                Some((key, _)) if page.more => range = range.after(key),
                _ => return Ok(items),
            }
        }
    }

    /// The shortest range of rows that holds everything the filter takes.
    fn narrowest(&self, filter: &Filter) -> Prefix {
        let app = self.items.with(&filter.app);
        if filter.group == Filter::ANY {
            return app;
        }
        let group = app.with(&filter.group);
        if filter.label == Filter::ANY {
            return group;
        }
        group.with(&filter.label)
    }

    /// The commit that deletes those of the keys that are there, if they still are when it is decided. `None`: none is.
    async fn deletion(&self, scope: &Scope, keys: &[&str]) -> Result<Option<Batch>> {
        let rows: Vec<Key> = keys
            .iter()
            .map(|key| self.row(&scope.app, &scope.group, &scope.label, key))
            .collect::<Result<_>>()?;
        let entries = self.kv.get_many(&rows).await?;
        let mut batch = Batch::default();
        let mut deleted = vec![];
        for ((key, row), entry) in keys.iter().zip(rows).zip(entries) {
            if entry.is_none() {
                batch = batch.expect(row, Expect::Absent);
                continue;
            }
            batch = batch.delete(row.clone()).expect(row, Expect::Present);
            deleted.push(rows::deleted(scope, key));
        }
        let batch = self.log.stage(batch, self.kv.now(), &scope.app, &deleted);
        Ok((!deleted.is_empty()).then_some(batch))
    }
}

#[async_trait]
impl ConfigStore for Config {
    fn default_scope(&self) -> (&str, &str) {
        (DEFAULT, DEFAULT)
    }

    async fn get(&self, filter: &Filter) -> Result<Vec<Item>> {
        let any = |text: &String| text == Filter::ANY;
        if filter.keys.is_empty() {
            return self.scan(filter).await;
        }
        if any(&filter.group) || any(&filter.label) || filter.keys.iter().any(any) {
            return in_order_of(&filter.keys, self.scan(filter).await?);
        }
        self.get_named(filter).await
    }

    async fn put(&self, app: &str, items: Vec<Item>) -> Result<()> {
        if items.is_empty() {
            return Ok(());
        }
        let batch = self.stage_put(Batch::default(), app, items)?;
        match self.kv.commit(batch).await? {
            Outcome::Committed { .. } => Ok(()),
            Outcome::Conflict { .. } => Err(contended("the configuration")),
        }
    }

    /// Reads first: a key that is not there is no change, and watches must not hear of it.
    async fn delete(&self, scope: &Scope, keys: &[String]) -> Result<()> {
        let mut seen = HashSet::new();
        let keys: Vec<&str> = keys
            .iter()
            .map(String::as_str)
            .filter(|key| seen.insert(*key))
            .collect();
        for _ in 0..limits::CONTENDED_TRIES_MAX {
            let Some(batch) = self.deletion(scope, &keys).await? else {
                return Ok(());
            };
            if let Outcome::Committed { .. } = self.kv.commit(batch).await? {
                return Ok(());
            }
        }
        Err(contended("the configuration"))
    }

    async fn watch(&self, filter: Filter) -> Result<BoxStream<'static, Result<Changes>>> {
        self.log.watch(self.kv.clone(), filter).await
    }
}

/// Of several items of one name the last one, where it stands.
fn last_of_each(mut items: Vec<Item>) -> Vec<Item> {
    let mut seen = HashSet::new();
    items.reverse();
    items.retain(|item| seen.insert((item.group.clone(), item.label.clone(), item.key.clone())));
    items.reverse();
    items
}

/// For each wanted key, in order, the items that it names.
fn in_order_of(wanted: &[String], items: Vec<Item>) -> Result<Vec<Item>> {
    let mut by_key: HashMap<&str, Vec<&Item>> = HashMap::new();
    for item in &items {
        by_key.entry(&item.key).or_default().push(item);
    }
    let mut answer = vec![];
    for key in wanted {
        match key.as_str() {
            Filter::ANY => answer.extend(items.iter().cloned()),
            key => answer.extend(by_key.get(key).into_iter().flatten().map(|item| (*item).clone())),
        }
        check_count(answer.len())?;
    }
    Ok(answer)
}

fn check_count(count: usize) -> Result<()> {
    if count <= limits::CONFIG_ITEMS_MAX {
        return Ok(());
    }
    let message = format!(
        "an answer of more than {} configuration items; ask for one group and label, or for fewer keys",
        limits::CONFIG_ITEMS_MAX
    );
    Err(Error::new(codes::ANSWER_TOO_LARGE, message))
}

#[cfg(test)]
mod tests;
