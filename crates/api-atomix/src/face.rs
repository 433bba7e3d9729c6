//! Primitives as key-value state, for families that know keys and values only: one value, several faces, one version.
//!
//! | key | what | its text |
//! |---|---|---|
//! | `name` of a counter | the number | decimal, with a sign if negative |
//! | `name` of a value | the value | as it is |
//! | `name/entry` of a map | the entry's value | as it is |
//!
//! The etag is the version that the primitive's own clients see. A key's name ends at its first slash, so primitives whose
//! names hold one have no such face. A key that is written and whose name nobody has created becomes a map (with a slash) or
//! a value (without). A counter that was never written is not there; deleting one sets it to 0 and it is there still.
//!
//! Keys are of different machines, so there are no transactions over them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Error, Result, codes, limits};
use bytes::Bytes;
use machines::primitive::{Expect as Version, Type, counter, map, value};
use machines::{Call, Question};
use ports::state::{Action, Applied, Atomicity, Capabilities, Change, Etag, Expect, StateStore, Value};

use crate::primitives::Primitives;
use crate::service::{Service, Target};

#[cfg(test)]
mod tests;

/// The state of all primitives.
pub struct Face {
    primitives: Arc<Primitives>,
}

/// What a key means.
enum Place {
    Counter(Target),
    Value(Target),
    /// An entry of a map, by its key.
    Entry(Target, String),
}

/// How one change ended.
enum Outcome {
    Done,
    Mismatch,
}

impl Service {
    /// The primitives as a state store.
    pub fn face(&self) -> Face {
        Face {
            primitives: self.primitives.clone(),
        }
    }
}

#[async_trait]
impl StateStore for Face {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            transactions: false,
            ttl: true,
        }
    }

    async fn get(&self, keys: &[String]) -> Result<Vec<Result<Option<Value>>>> {
        let gets = keys.iter().map(|key| self.get_one(key));
        Ok(futures::future::join_all(gets).await)
    }

    async fn apply(&self, changes: Vec<Change>, atomicity: Atomicity) -> Result<Applied> {
        if atomicity == Atomicity::Transaction && changes.len() > 1 {
            let message = "keys of primitives cannot be changed in one transaction";
            return Err(Error::new(codes::UNIMPLEMENTED, message));
        }
        let mut versions = vec![];
        for (index, change) in changes.iter().enumerate() {
            match version(&change.expect) {
                Some(version) => versions.push(version),
                None => return Ok(Applied::InvalidEtag { index }),
            }
        }
        for (index, (change, version)) in changes.into_iter().zip(versions).enumerate() {
            match self.apply_one(change, version).await? {
                Outcome::Done => {}
                Outcome::Mismatch => return Ok(Applied::Mismatch { index }),
            }
        }
        Ok(Applied::Done)
    }
}

impl Face {
    async fn get_one(&self, key: &str) -> Result<Option<Value>> {
        let Some(place) = self.find(key).await? else {
            return Ok(None);
        };
        match place {
            Place::Counter(target) => {
                let counter = counter::Query::Get.ask(&*target.engine, &target.address).await?;
                let data = Bytes::from(counter.value.to_string());
                Ok(Some(item(data, counter.version, None)).filter(|_| counter.version > 0))
            }
            Place::Value(target) => {
                let found = value::Query::GetUntil.ask(&*target.engine, &target.address).await;
                let Some(value::Reply::FoundUntil { found, ends }) = absent(found)? else {
                    return Ok(None);
                };
                let ttl = ends.map(|ends| ends.since(target.engine.now()));
                Ok(Some(item(found.value, found.version, ttl)))
            }
            Place::Entry(target, key) => {
                let found = map::Query::GetUntil { key }
                    .ask(&*target.engine, &target.address)
                    .await;
                let Some(map::Reply::FoundUntil { found, ends }) = absent(found)? else {
                    return Ok(None);
                };
                let ttl = ends.map(|ends| ends.since(target.engine.now()));
                Ok(Some(item(found.value, found.version, ttl)))
            }
        }
    }

    async fn apply_one(&self, change: Change, expect: Version) -> Result<Outcome> {
        let place = match (self.find(&change.key).await?, &change.action) {
            (Some(place), _) => place,
            (None, Action::Put { .. }) => self.create(&change.key).await?,
            (None, Action::Delete) => return Ok(nothing_to_delete(expect)),
        };
        let changed = match (place, change.action) {
            (Place::Counter(target), action) => change_counter(&target, action, expect).await,
            (Place::Value(target), Action::Put { data, ttl }) => put_value(&target, data, ttl, expect).await,
            (Place::Entry(target, key), Action::Put { data, ttl }) => {
                put_entry(&target, key, (data, ttl), expect).await
            }
            (Place::Entry(target, key), Action::Delete) => {
                let Some(expect) = version_to_delete(expect) else {
                    return Ok(Outcome::Mismatch);
                };
                absent(change_entry(&target, key, map::To::Remove { expect }).await).map(|_| ())
            }
            (Place::Value(target), Action::Delete) => {
                let Some(expect) = version_to_delete(expect) else {
                    return Ok(Outcome::Mismatch);
                };
                let delete = value::Command::Delete { expect };
                let deleted = delete.call(&*target.engine, &target.address).await;
                absent(deleted.map(drop)).map(|_| ())
            }
        };
        match changed {
            Ok(()) => Ok(Outcome::Done),
            Err(error)
                if [codes::VALUE_CHANGED, codes::ENTRY_EXISTS, codes::ENTRY_NOT_FOUND]
                    .contains(&error.code()) =>
            {
                Ok(Outcome::Mismatch)
            }
            Err(error) => Err(error),
        }
    }

    /// What the key's name was created as.
    async fn find(&self, key: &str) -> Result<Option<Place>> {
        if key.is_empty() {
            return Err(Error::new(
                codes::KEY_INVALID,
                "a key has no bytes, it must have some",
            ));
        }
        let (name, entry) = parts(key);
        let Some((target, primitive)) = self.primitives.find_any(name).await? else {
            return Ok(None);
        };
        match (primitive, entry) {
            (Type::Counter, None) => Ok(Some(Place::Counter(target))),
            (Type::Value, None) => Ok(Some(Place::Value(target))),
            (Type::Map, Some(entry)) => Ok(Some(Place::Entry(target, entry.to_owned()))),
            (other, _) => {
                let message = format!("{name} is a {}, which the key {key} does not fit", other.name());
                Err(Error::new(codes::UNIMPLEMENTED, message))
            }
        }
    }

    async fn create(&self, key: &str) -> Result<Place> {
        match parts(key) {
            (name, None) => {
                let (target, _) = self.primitives.create(name, Type::Value, &[]).await?;
                Ok(Place::Value(target))
            }
            (name, Some(entry)) => {
                let (target, _) = self.primitives.create(name, Type::Map, &[]).await?;
                Ok(Place::Entry(target, entry.to_owned()))
            }
        }
    }
}

/// A primitive's name, and an entry's key behind the first slash.
fn parts(key: &str) -> (&str, Option<&str>) {
    match key.split_once('/') {
        Some((name, entry)) => (name, Some(entry)),
        None => (key, None),
    }
}

/// A put of an equal value is no write to a map, but it is one to a state store: so it is an update, or an insert.
async fn put_entry(
    target: &Target,
    key: String,
    (value, ttl): (Bytes, Option<Duration>),
    expect: Version,
) -> Result<()> {
    let update = |expect| map::To::Update {
        value: value.clone(),
        ttl,
        expect,
    };
    let insert = map::To::Insert {
        value: value.clone(),
        ttl,
    };
    match expect {
        Version::Version(version) => change_entry(target, key, update(version)).await,
        Version::Absent => change_entry(target, key, insert).await,
        Version::Anything => {
            for _ in 0..limits::CONTENDED_TRIES_MAX {
                if absent(change_entry(target, key.clone(), update(0)).await)?.is_some() {
                    return Ok(());
                }
                match change_entry(target, key.clone(), insert.clone()).await {
                    // Somebody was faster: there is something to update now.
                    Err(error) if error.code() == codes::ENTRY_EXISTS => {}
                    inserted => return inserted,
                }
            }
            Err(Error::new(
                codes::CONTENDED,
                "the entry kept coming and going while it was written",
            ))
        }
    }
}

async fn change_entry(target: &Target, key: String, to: map::To) -> Result<()> {
    if key.len() > limits::ENTRY_KEY_BYTES_MAX {
        let message = format!(
            "an entry's key has {} bytes, it may have {}",
            key.len(),
            limits::ENTRY_KEY_BYTES_MAX
        );
        return Err(Error::new(codes::KEY_INVALID, message));
    }
    let change = map::Command::Change(map::Change { key, to });
    change.call(&*target.engine, &target.address).await.map(drop)
}

async fn change_counter(target: &Target, action: Action, expect: Version) -> Result<()> {
    let value = match action {
        Action::Put { ttl: Some(_), .. } => {
            return Err(Error::new(codes::TTL_INVALID, "a counter has no time to live"));
        }
        Action::Put { data, .. } => number(&data)?,
        Action::Delete => 0,
    };
    let put = counter::Command::Put { value, expect };
    put.call(&*target.engine, &target.address).await.map(drop)
}

async fn put_value(target: &Target, value: Bytes, ttl: Option<Duration>, expect: Version) -> Result<()> {
    let put = match expect {
        Version::Anything => value::Command::Set { value, ttl },
        Version::Absent => value::Command::Insert { value, ttl },
        Version::Version(expect) => value::Command::Update { value, ttl, expect },
    };
    put.call(&*target.engine, &target.address).await.map(drop)
}

fn item(data: Bytes, version: u64, ttl: Option<Duration>) -> Value {
    Value {
        data,
        etag: Etag(version.to_string()),
        ttl,
    }
}

/// What is not there is no error here.
fn absent<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code() == codes::ENTRY_NOT_FOUND => Ok(None),
        Err(error) => Err(error),
    }
}

fn number(data: &Bytes) -> Result<i64> {
    let text = std::str::from_utf8(data).ok();
    text.and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
        let message = "a counter takes a whole number of 64 bits, in decimal";
        Error::new(codes::INVALID_ARGUMENT, message)
    })
}

/// `None`: no store of ours made that etag. Versions begin with 1.
fn version(expect: &Expect) -> Option<Version> {
    match expect {
        Expect::Anything => Some(Version::Anything),
        Expect::Absent => Some(Version::Absent),
        Expect::Etag(Etag(etag)) => {
            let version = etag.parse().ok().filter(|version| *version > 0)?;
            Some(Version::Version(version))
        }
    }
}

/// As `StateStore` says: it succeeds, with any expectation but that nothing is there, which then is only half meant.
fn nothing_to_delete(expect: Version) -> Outcome {
    match expect {
        Version::Absent => Outcome::Mismatch,
        Version::Anything | Version::Version(_) => Outcome::Done,
    }
}

/// In the machine's words, 0 is any.
fn version_to_delete(expect: Version) -> Option<u64> {
    match expect {
        Version::Anything => Some(0),
        Version::Version(version) => Some(version),
        Version::Absent => None,
    }
}
