//! `CounterMap` and `CounterMaps` (spec 2.2).

use machines::Event;
use machines::engine::Happened;
use machines::primitive::collection::Listed;
use machines::primitive::countermap::{self, Command, Query, Reply};
use machines::primitive::{self, Type};
use tonic::{Request, Response, Status};
use wire::atomix::countermap as pb;
use wire::atomix::runtime::PrimitiveId;

use crate::collections::{self, Heard, Telling};
use crate::convert::{count, locked_keys, ttl};
use crate::error;
use crate::opening::opening;
use crate::service::Service;
use crate::stores::Cache;
use crate::streams::Answers;

#[tonic::async_trait]
impl pb::counter_map_server::CounterMap for Service {
    opening!(countermap, CounterMap, |cache| config(cache));

    type EventsStream = Answers<pb::EventsResponse>;
    type EntriesStream = Answers<pb::EntriesResponse>;

    async fn size(&self, request: Request<pb::SizeRequest>) -> Result<Response<pb::SizeResponse>, Status> {
        let map = self.find(request.into_inner().id, Type::CounterMap).await?;
        let Reply::Size(size) = map.ask(Query::Size).await? else {
            return Err(error::another_answer());
        };
        Ok(Response::new(pb::SizeResponse { size: count(size) }))
    }

    async fn set(&self, request: Request<pb::SetRequest>) -> Result<Response<pb::SetResponse>, Status> {
        let pb::SetRequest { id, key, value } = request.into_inner();
        let prev_value = change(self, id, Command::Set { key, value }).await?;
        Ok(Response::new(pb::SetResponse { prev_value }))
    }

    async fn insert(
        &self,
        request: Request<pb::InsertRequest>,
    ) -> Result<Response<pb::InsertResponse>, Status> {
        let pb::InsertRequest { id, key, value } = request.into_inner();
        change(self, id, Command::Insert { key, value }).await?;
        Ok(Response::new(pb::InsertResponse {}))
    }

    async fn update(
        &self,
        request: Request<pb::UpdateRequest>,
    ) -> Result<Response<pb::UpdateResponse>, Status> {
        let request = request.into_inner();
        let update = Command::Update {
            key: request.key,
            value: request.value,
            expect: request.prev_value,
        };
        let prev_value = change(self, request.id, update).await?;
        Ok(Response::new(pb::UpdateResponse { prev_value }))
    }

    async fn increment(
        &self,
        request: Request<pb::IncrementRequest>,
    ) -> Result<Response<pb::IncrementResponse>, Status> {
        let pb::IncrementRequest { id, key, delta } = request.into_inner();
        let delta = one_for_none(delta);
        let prev_value = change(self, id, Command::Add { key, delta }).await?;
        Ok(Response::new(pb::IncrementResponse { prev_value }))
    }

    async fn decrement(
        &self,
        request: Request<pb::DecrementRequest>,
    ) -> Result<Response<pb::DecrementResponse>, Status> {
        let pb::DecrementRequest { id, key, delta } = request.into_inner();
        let delta = one_for_none(delta).wrapping_neg();
        let prev_value = change(self, id, Command::Add { key, delta }).await?;
        Ok(Response::new(pb::DecrementResponse { prev_value }))
    }

    async fn get(&self, request: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        let request = request.into_inner();
        let map = self.find(request.id, Type::CounterMap).await?;
        let Reply::Found(value) = map.ask(Query::Get { key: request.key }).await? else {
            return Err(error::another_answer());
        };
        Ok(Response::new(pb::GetResponse { value }))
    }

    async fn remove(
        &self,
        request: Request<pb::RemoveRequest>,
    ) -> Result<Response<pb::RemoveResponse>, Status> {
        let request = request.into_inner();
        let remove = Command::Remove {
            key: request.key,
            expect: request.prev_value,
        };
        let value = change(self, request.id, remove).await?;
        Ok(Response::new(pb::RemoveResponse { value }))
    }

    async fn clear(&self, request: Request<pb::ClearRequest>) -> Result<Response<pb::ClearResponse>, Status> {
        let map = self.find(request.into_inner().id, Type::CounterMap).await?;
        map.call(Command::Clear).await?;
        Ok(Response::new(pb::ClearResponse {}))
    }

    async fn lock(&self, request: Request<pb::LockRequest>) -> Result<Response<pb::LockResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (keys, timeout) = (locked_keys(request.keys)?, ttl(request.timeout)?);
        let map = self.find(request.id, Type::CounterMap).await?;
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
        let map = self.find(request.id, Type::CounterMap).await?;
        let unlock = |session| Command::Unlock { keys, session };
        self.hold(&extensions, &map, unlock).await?;
        Ok(Response::new(pb::UnlockResponse {}))
    }

    async fn events(
        &self,
        request: Request<pb::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (target, session) = self.enter(&extensions, request.id, Type::CounterMap).await?;
        let opening = said(request.key.clone(), None);
        let key = collections::filter(request.key);
        let filter = key.clone();
        let telling = Telling {
            heard: Box::new(move |happened| match own(happened) {
                Some(event) => heard(event, filter.as_deref()),
                None => Heard::Nothing,
            }),
            removed: |gone| {
                let value = number(&gone);
                let removed = pb::event::Removed { value };
                vec![said(gone.key, Some(pb::event::Event::Removed(removed)))]
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
        let (target, session) = self.enter(&extensions, request.id, Type::CounterMap).await?;
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
impl pb::counter_maps_server::CounterMaps for Service {
    opening!(countermap, CounterMap, |cache| config(cache));
}

fn config(cache: Option<Cache>) -> pb::Config {
    pb::Config {
        cache: cache.map(|cache| pb::CacheConfig {
            enabled: cache.enabled,
            size: cache.size,
        }),
    }
}

/// The value before.
async fn change(service: &Service, id: Option<PrimitiveId>, command: Command) -> Result<i64, Status> {
    let map = service.find(id, Type::CounterMap).await?;
    match map.call(command).await? {
        Reply::Before(before) => Ok(before),
        _ => Err(error::another_answer()),
    }
}

/// Who does not say by how much means one.
fn one_for_none(delta: i64) -> i64 {
    if delta == 0 { 1 } else { delta }
}

fn own(happened: &Happened) -> Option<&countermap::Event> {
    match &*happened.event {
        Event::Primitive(primitive::Event::CounterMap(event)) => Some(event),
        Event::Primitive(_) | Event::Invocation(_) => None,
    }
}

fn said(key: String, event: Option<pb::event::Event>) -> pb::EventsResponse {
    let event = Some(pb::Event { key, event });
    pb::EventsResponse { event }
}

fn heard(event: &countermap::Event, filter: Option<&str>) -> Heard<pb::EventsResponse> {
    use pb::event::{Event, Inserted, Removed, Updated};

    let (key, event) = match event {
        countermap::Event::Cleared { generation } => return Heard::Cleared(*generation),
        countermap::Event::Inserted { key, now } => (key, Event::Inserted(Inserted { value: *now })),
        countermap::Event::Updated { key, now, before } => {
            let (value, prev_value) = (*now, *before);
            (key, Event::Updated(Updated { value, prev_value }))
        }
        countermap::Event::Removed { key, was } => (key, Event::Removed(Removed { value: *was })),
    };
    if filter.is_some_and(|filter| filter != key) {
        return Heard::Nothing;
    }
    Heard::Answer(said(key.clone(), Some(event)))
}

/// A removal is told as the entry that was.
fn heard_entry(event: &countermap::Event) -> Heard<pb::EntriesResponse> {
    let (key, value) = match event {
        countermap::Event::Cleared { generation } => return Heard::Cleared(*generation),
        countermap::Event::Inserted { key, now } | countermap::Event::Updated { key, now, .. } => (key, now),
        countermap::Event::Removed { key, was } => (key, was),
    };
    Heard::Answer(entry(key.clone(), *value))
}

fn listed(listed: Listed) -> pb::EntriesResponse {
    let value = number(&listed);
    entry(listed.key, value)
}

/// A damaged row is refused by every other call.
fn number(listed: &Listed) -> i64 {
    countermap::number(&listed.value).unwrap_or_default()
}

fn entry(key: String, value: i64) -> pb::EntriesResponse {
    let entry = Some(pb::Entry { key, value });
    pb::EntriesResponse { entry }
}
