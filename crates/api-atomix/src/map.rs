//! `Map` and `Maps` (spec 2.7).

use machines::Event;
use machines::engine::Happened;
use machines::primitive::collection::Listed;
use machines::primitive::map::{self, Change, Changed, Command, Query, Reply, To};
use machines::primitive::{self, Type, Versioned};
use tonic::{Request, Response, Status};
use wire::atomix::map as pb;
use wire::atomix::map::commit_request::operation::Operation;
use wire::atomix::map::commit_response;

use crate::collections::{self, Heard, Telling};
use crate::convert::{count, locked_keys, ttl};
use crate::error;
use crate::opening::opening;
use crate::service::{Service, Target};
use crate::stores::Cache;
use crate::streams::Answers;

#[tonic::async_trait]
impl pb::map_server::Map for Service {
    opening!(map, Map, |cache| config(cache));

    type EventsStream = Answers<pb::EventsResponse>;
    type EntriesStream = Answers<pb::EntriesResponse>;

    async fn size(&self, request: Request<pb::SizeRequest>) -> Result<Response<pb::SizeResponse>, Status> {
        let map = self.find(request.into_inner().id, Type::Map).await?;
        let Reply::Size(size) = map.ask(Query::Size).await? else {
            return Err(error::another_answer());
        };
        Ok(Response::new(pb::SizeResponse { size: count(size) }))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        let request = request.into_inner();
        let map = self.find(request.id, Type::Map).await?;
        let to = To::Put {
            value: request.value,
            ttl: ttl(request.ttl)?,
            expect: request.prev_version,
        };
        let (version, prev_value) = written(change(&map, request.key, to).await?)?;
        Ok(Response::new(pb::PutResponse { version, prev_value }))
    }

    async fn insert(
        &self,
        request: Request<pb::InsertRequest>,
    ) -> Result<Response<pb::InsertResponse>, Status> {
        let request = request.into_inner();
        let map = self.find(request.id, Type::Map).await?;
        let to = To::Insert {
            value: request.value,
            ttl: ttl(request.ttl)?,
        };
        let (version, _) = written(change(&map, request.key, to).await?)?;
        Ok(Response::new(pb::InsertResponse { version }))
    }

    async fn update(
        &self,
        request: Request<pb::UpdateRequest>,
    ) -> Result<Response<pb::UpdateResponse>, Status> {
        let request = request.into_inner();
        let map = self.find(request.id, Type::Map).await?;
        let to = To::Update {
            value: request.value,
            ttl: ttl(request.ttl)?,
            expect: request.prev_version,
        };
        let (version, prev_value) = written(change(&map, request.key, to).await?)?;
        Ok(Response::new(pb::UpdateResponse { version, prev_value }))
    }

    async fn get(&self, request: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        let request = request.into_inner();
        let map = self.find(request.id, Type::Map).await?;
        let Reply::Found(found) = map.ask(Query::Get { key: request.key }).await? else {
            return Err(error::another_answer());
        };
        let value = Some(versioned(&found));
        Ok(Response::new(pb::GetResponse { value }))
    }

    async fn remove(
        &self,
        request: Request<pb::RemoveRequest>,
    ) -> Result<Response<pb::RemoveResponse>, Status> {
        let request = request.into_inner();
        let map = self.find(request.id, Type::Map).await?;
        let expect = request.prev_version;
        let Changed::Removed(was) = change(&map, request.key, To::Remove { expect }).await? else {
            return Err(error::another_answer());
        };
        let value = Some(versioned(&was));
        Ok(Response::new(pb::RemoveResponse { value }))
    }

    async fn clear(&self, request: Request<pb::ClearRequest>) -> Result<Response<pb::ClearResponse>, Status> {
        let map = self.find(request.into_inner().id, Type::Map).await?;
        map.call(Command::Clear).await?;
        Ok(Response::new(pb::ClearResponse {}))
    }

    async fn commit(
        &self,
        request: Request<pb::CommitRequest>,
    ) -> Result<Response<pb::CommitResponse>, Status> {
        let request = request.into_inner();
        let map = self.find(request.id, Type::Map).await?;
        let changes = request.operations.into_iter().map(operation);
        let changes = changes.collect::<Result<Vec<_>, Status>>()?;
        let (changes, arms): (Vec<Change>, Vec<Arm>) = changes.into_iter().unzip();
        let Reply::Committed(changed) = map.call(Command::Commit(changes)).await? else {
            return Err(error::another_answer());
        };
        let results = changed.into_iter().zip(arms);
        let results = results.map(|(changed, arm)| result(changed, arm)).collect();
        Ok(Response::new(pb::CommitResponse { results }))
    }

    /// Waits, for ever when no timeout is given. A client that goes away meanwhile drops this, and so leaves the queue.
    async fn lock(&self, request: Request<pb::LockRequest>) -> Result<Response<pb::LockResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (keys, timeout) = (locked_keys(request.keys)?, ttl(request.timeout)?);
        let map = self.find(request.id, Type::Map).await?;
        let lock = |session| Command::Lock {
            keys,
            session,
            timeout,
        };
        let Reply::Locked = self.hold(&extensions, &map, lock).await? else {
            return Err(error::another_answer());
        };
        Ok(Response::new(pb::LockResponse {}))
    }

    async fn unlock(
        &self,
        request: Request<pb::UnlockRequest>,
    ) -> Result<Response<pb::UnlockResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let keys = locked_keys(request.keys)?;
        let map = self.find(request.id, Type::Map).await?;
        let unlock = |session| Command::Unlock { keys, session };
        self.hold(&extensions, &map, unlock).await?;
        Ok(Response::new(pb::UnlockResponse {}))
    }

    async fn events(
        &self,
        request: Request<pb::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (target, session) = self.enter(&extensions, request.id, Type::Map).await?;
        let opening = said(request.key.clone(), None);
        let key = collections::filter(request.key);
        let telling = Telling {
            heard: Box::new({
                let key = key.clone();
                move |happened| match own(happened) {
                    Some(event) => heard(event, key.as_deref()),
                    None => Heard::Nothing,
                }
            }),
            removed: |Listed { key, value, version }| {
                let value = Some(pb::VersionedValue { value, version });
                let removed = pb::event::Removed {
                    value,
                    expired: false,
                };
                vec![said(key, Some(pb::event::Event::Removed(removed)))]
            },
            key,
        };
        collections::events(&target, session, opening, telling)
    }

    async fn entries(
        &self,
        request: Request<pb::EntriesRequest>,
    ) -> Result<Response<Self::EntriesStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (target, session) = self.enter(&extensions, request.id, Type::Map).await?;
        if !request.watch {
            return Ok(collections::entries(target, listed));
        }
        let telling = Telling {
            heard: Box::new(|happened| match own(happened) {
                Some(event) => heard_entry(event),
                None => Heard::Nothing,
            }),
            removed: |gone| vec![listed(gone)],
            key: None,
        };
        collections::watched_entries(target, session, listed, telling)
    }
}

#[tonic::async_trait]
impl pb::maps_server::Maps for Service {
    opening!(map, Map, |cache| config(cache));
}

fn config(cache: Option<Cache>) -> pb::Config {
    pb::Config {
        cache: cache.map(|cache| pb::CacheConfig {
            enabled: cache.enabled,
            size: cache.size,
        }),
    }
}

async fn change(map: &Target, key: String, to: To) -> Result<Changed, Status> {
    match map.call(Command::Change(Change { key, to })).await? {
        Reply::Changed(changed) => Ok(changed),
        _ => Err(error::another_answer()),
    }
}

fn versioned(versioned: &Versioned) -> pb::VersionedValue {
    pb::VersionedValue {
        value: versioned.value.clone(),
        version: versioned.version,
    }
}

fn written(changed: Changed) -> Result<(u64, Option<pb::VersionedValue>), Status> {
    match changed {
        Changed::Written { version, before } => Ok((version, before.as_ref().map(versioned))),
        Changed::Removed(_) => Err(error::another_answer()),
    }
}

/// What a change was asked for as: its result is said in the same words.
enum Arm {
    Put,
    Insert,
    Update,
    Remove,
}

fn operation(operation: pb::commit_request::Operation) -> Result<(Change, Arm), Status> {
    let operation = operation
        .operation
        .ok_or_else(|| error::missing("an operation of the transaction"))?;
    let (key, to, arm) = match operation {
        Operation::Put(put) => {
            let to = To::Put {
                value: put.value,
                ttl: ttl(put.ttl)?,
                expect: put.prev_version,
            };
            (put.key, to, Arm::Put)
        }
        Operation::Insert(insert) => {
            let to = To::Insert {
                value: insert.value,
                ttl: ttl(insert.ttl)?,
            };
            (insert.key, to, Arm::Insert)
        }
        Operation::Update(update) => {
            let to = To::Update {
                value: update.value,
                ttl: ttl(update.ttl)?,
                expect: update.prev_version,
            };
            (update.key, to, Arm::Update)
        }
        Operation::Remove(remove) => {
            let expect = remove.prev_version;
            (remove.key, To::Remove { expect }, Arm::Remove)
        }
    };
    Ok((Change { key, to }, arm))
}

/// Clients read the arm that belongs to their operation, unasked.
fn result(changed: Changed, arm: Arm) -> commit_response::Result {
    use commit_response::result::Result as Answer;

    let (version, prev_value) = match changed {
        Changed::Written { version, before } => (version, before.as_ref().map(versioned)),
        Changed::Removed(was) => (was.version, Some(versioned(&was))),
    };
    let result = Some(match arm {
        Arm::Put => Answer::Put(commit_response::Put { version, prev_value }),
        Arm::Insert => Answer::Insert(commit_response::Insert { version }),
        Arm::Update => Answer::Update(commit_response::Update { version, prev_value }),
        Arm::Remove => Answer::Remove(commit_response::Remove { value: prev_value }),
    });
    commit_response::Result { result }
}

fn own(happened: &Happened) -> Option<&map::Event> {
    match &*happened.event {
        Event::Primitive(primitive::Event::Map(event)) => Some(event),
        Event::Primitive(_) | Event::Invocation(_) => None,
    }
}

fn said(key: String, event: Option<pb::event::Event>) -> pb::EventsResponse {
    let event = Some(pb::Event { key, event });
    pb::EventsResponse { event }
}

fn heard(event: &map::Event, filter: Option<&str>) -> Heard<pb::EventsResponse> {
    let (key, event) = match event {
        map::Event::Cleared { generation } => return Heard::Cleared(*generation),
        map::Event::Inserted { key, now } => (
            key,
            pb::event::Event::Inserted(pb::event::Inserted {
                value: Some(versioned(now)),
            }),
        ),
        map::Event::Updated { key, now, before } => (
            key,
            pb::event::Event::Updated(pb::event::Updated {
                value: Some(versioned(now)),
                prev_value: Some(versioned(before)),
            }),
        ),
        map::Event::Removed { key, was, expired } => (
            key,
            pb::event::Event::Removed(pb::event::Removed {
                value: Some(versioned(was)),
                expired: *expired,
            }),
        ),
    };
    if filter.is_some_and(|filter| filter != key) {
        return Heard::Nothing;
    }
    Heard::Answer(said(key.clone(), Some(event)))
}

/// A removal is told as the entry that was.
fn heard_entry(event: &map::Event) -> Heard<pb::EntriesResponse> {
    let (key, value) = match event {
        map::Event::Cleared { generation } => return Heard::Cleared(*generation),
        map::Event::Inserted { key, now } | map::Event::Updated { key, now, .. } => (key, now),
        map::Event::Removed { key, was, .. } => (key, was),
    };
    let (key, value) = (key.clone(), Some(versioned(value)));
    Heard::Answer(pb::EntriesResponse {
        entry: Some(pb::Entry { key, value }),
    })
}

fn listed(Listed { key, value, version }: Listed) -> pb::EntriesResponse {
    let value = Some(pb::VersionedValue { value, version });
    pb::EntriesResponse {
        entry: Some(pb::Entry { key, value }),
    }
}
