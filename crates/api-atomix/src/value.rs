//! `Value` and `Values` (spec 2.11).

use base::codes;
use futures::stream;
use machines::engine::Happened;
use machines::primitive::value::{self, Command, Query, Reply};
use machines::primitive::{self, Type, Versioned};
use machines::{Event, Question};
use tonic::{Request, Response, Status};
use wire::atomix::value as pb;

use crate::convert::ttl;
use crate::error::{self, status};
use crate::opening::opening;
use crate::service::Service;
use crate::stores::Cache;
use crate::streams::{self, Answers};

#[tonic::async_trait]
impl pb::value_server::Value for Service {
    opening!(value, Value, |cache| config(cache));

    type WatchStream = Answers<pb::WatchResponse>;
    type EventsStream = Answers<pb::EventsResponse>;

    async fn set(&self, request: Request<pb::SetRequest>) -> Result<Response<pb::SetResponse>, Status> {
        let request = request.into_inner();
        let value = self.find(request.id, Type::Value).await?;
        let set = Command::Set {
            value: request.value,
            ttl: ttl(request.ttl)?,
        };
        let (version, prev_value) = written(value.call(set).await?)?;
        Ok(Response::new(pb::SetResponse { version, prev_value }))
    }

    async fn insert(
        &self,
        request: Request<pb::InsertRequest>,
    ) -> Result<Response<pb::InsertResponse>, Status> {
        let request = request.into_inner();
        let value = self.find(request.id, Type::Value).await?;
        let insert = Command::Insert {
            value: request.value,
            ttl: ttl(request.ttl)?,
        };
        let (version, _) = written(value.call(insert).await?)?;
        Ok(Response::new(pb::InsertResponse { version }))
    }

    async fn update(
        &self,
        request: Request<pb::UpdateRequest>,
    ) -> Result<Response<pb::UpdateResponse>, Status> {
        let request = request.into_inner();
        let value = self.find(request.id, Type::Value).await?;
        let update = Command::Update {
            value: request.value,
            ttl: ttl(request.ttl)?,
            expect: request.prev_version,
        };
        let (version, prev_value) = written(value.call(update).await?)?;
        Ok(Response::new(pb::UpdateResponse { version, prev_value }))
    }

    async fn get(&self, request: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        let value = self.find(request.into_inner().id, Type::Value).await?;
        let value = found(value.ask(Query::Get).await?)?;
        Ok(Response::new(pb::GetResponse { value }))
    }

    async fn delete(
        &self,
        request: Request<pb::DeleteRequest>,
    ) -> Result<Response<pb::DeleteResponse>, Status> {
        let request = request.into_inner();
        let value = self.find(request.id, Type::Value).await?;
        let delete = Command::Delete {
            expect: request.prev_version,
        };
        let value = found(value.call(delete).await?)?;
        Ok(Response::new(pb::DeleteResponse { value }))
    }

    /// What is set now, then each new value; a delete repeats the last one.
    async fn watch(&self, request: Request<pb::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (target, session) = self.enter(&extensions, request.id, Type::Value).await?;
        let watch = streams::watch(&target)?;
        let now = match Query::Get.ask(&*target.engine, &target.address).await {
            Ok(Reply::Found(now)) => Some(now),
            Ok(Reply::Written { .. } | Reply::FoundUntil { .. }) => None,
            Err(error) if error.code() == codes::ENTRY_NOT_FOUND => None,
            Err(error) => return Err(status(&error)),
        };
        // A later one comes as an event.
        let now = now.filter(|now| now.version <= watch.since);
        let answer = |now: &Versioned| pb::WatchResponse {
            value: versioned(now),
        };
        let first = stream::iter(now.map(|now| Ok(answer(&now))));
        Ok(streams::watching(first, watch, session, move |happened| {
            Some(answer(match own(happened)? {
                value::Event::Created(now) | value::Event::Updated { now, .. } => now,
                value::Event::Deleted { was, .. } => was,
            }))
        }))
    }

    async fn events(
        &self,
        request: Request<pb::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (target, session) = self.enter(&extensions, request.id, Type::Value).await?;
        streams::events(&target, session, |happened| {
            let event = Some(event(own(happened)?));
            let event = Some(pb::Event { event });
            Some(pb::EventsResponse { event })
        })
    }
}

#[tonic::async_trait]
impl pb::values_server::Values for Service {
    opening!(value, Value, |cache| config(cache));
}

fn config(cache: Option<Cache>) -> pb::Config {
    pb::Config {
        cache: cache.map(|cache| pb::CacheConfig {
            enabled: cache.enabled,
        }),
    }
}

fn versioned(versioned: &Versioned) -> Option<pb::VersionedValue> {
    Some(pb::VersionedValue {
        value: versioned.value.clone(),
        version: versioned.version,
    })
}

fn written(reply: Reply) -> Result<(u64, Option<pb::VersionedValue>), Status> {
    match reply {
        Reply::Written { version, before } => Ok((version, before.as_ref().and_then(versioned))),
        Reply::Found(_) | Reply::FoundUntil { .. } => Err(error::another_answer()),
    }
}

/// Clients read the value unasked: an answer has one.
fn found(reply: Reply) -> Result<Option<pb::VersionedValue>, Status> {
    match reply {
        Reply::Found(found) => Ok(versioned(&found)),
        Reply::Written { .. } | Reply::FoundUntil { .. } => Err(error::another_answer()),
    }
}

fn own(happened: &Happened) -> Option<&value::Event> {
    match &*happened.event {
        Event::Primitive(primitive::Event::Value(event)) => Some(event),
        Event::Primitive(_) | Event::Invocation(_) => None,
    }
}

fn event(event: &value::Event) -> pb::event::Event {
    match event {
        value::Event::Created(now) => pb::event::Event::Created(pb::event::Created {
            value: versioned(now),
        }),
        value::Event::Updated { now, before } => pb::event::Event::Updated(pb::event::Updated {
            value: versioned(now),
            prev_value: versioned(before),
        }),
        value::Event::Deleted { was, expired } => pb::event::Event::Deleted(pb::event::Deleted {
            value: versioned(was),
            expired: *expired,
        }),
    }
}
