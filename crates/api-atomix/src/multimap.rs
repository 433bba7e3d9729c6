//! `MultiMap` and `MultiMaps` (spec 2.8).

use std::collections::BTreeSet;

use machines::Event;
use machines::engine::Happened;
use machines::primitive::collection::Listed;
use machines::primitive::multimap::{self, Command, Pairs, Query, Reply};
use machines::primitive::{self, Type};
use tonic::{Request, Response, Status};
use wire::atomix::multimap as pb;
use wire::atomix::runtime::PrimitiveId;

use crate::collections::{self, Heard, Telling};
use crate::convert::count;
use crate::error;
use crate::opening::opening;
use crate::service::Service;
use crate::stores::Cache;
use crate::streams::Answers;

#[tonic::async_trait]
impl pb::multi_map_server::MultiMap for Service {
    opening!(multimap, MultiMap, |cache| config(cache));

    type EventsStream = Answers<pb::EventsResponse>;
    type EntriesStream = Answers<pb::EntriesResponse>;

    async fn size(&self, request: Request<pb::SizeRequest>) -> Result<Response<pb::SizeResponse>, Status> {
        let map = self.find(request.into_inner().id, Type::MultiMap).await?;
        let Reply::Size(size) = map.ask(Query::Size).await? else {
            return Err(error::another_answer());
        };
        Ok(Response::new(pb::SizeResponse { size: count(size) }))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        let pb::PutRequest { id, key, value } = request.into_inner();
        change(self, id, Command::Put { key, value }).await?;
        Ok(Response::new(pb::PutResponse {}))
    }

    async fn put_all(
        &self,
        request: Request<pb::PutAllRequest>,
    ) -> Result<Response<pb::PutAllResponse>, Status> {
        let pb::PutAllRequest { id, key, values } = request.into_inner();
        let entries = vec![pb::Entry { key, values }];
        let updated = change(self, id, Command::Add(pairs(entries))).await?;
        Ok(Response::new(pb::PutAllResponse { updated }))
    }

    async fn put_entries(
        &self,
        request: Request<pb::PutEntriesRequest>,
    ) -> Result<Response<pb::PutEntriesResponse>, Status> {
        let pb::PutEntriesRequest { id, entries } = request.into_inner();
        let updated = change(self, id, Command::Add(pairs(entries))).await?;
        Ok(Response::new(pb::PutEntriesResponse { updated }))
    }

    async fn replace(
        &self,
        request: Request<pb::ReplaceRequest>,
    ) -> Result<Response<pb::ReplaceResponse>, Status> {
        let pb::ReplaceRequest { id, key, values } = request.into_inner();
        let map = self.find(id, Type::MultiMap).await?;
        let values = values.into_iter().collect();
        let Reply::Before(before) = map.call(Command::Replace { key, values }).await? else {
            return Err(error::another_answer());
        };
        let prev_values = before.into_iter().collect();
        Ok(Response::new(pb::ReplaceResponse { prev_values }))
    }

    async fn contains(
        &self,
        request: Request<pb::ContainsRequest>,
    ) -> Result<Response<pb::ContainsResponse>, Status> {
        let pb::ContainsRequest { id, key, value } = request.into_inner();
        let map = self.find(id, Type::MultiMap).await?;
        let Reply::Contains(result) = map.ask(Query::Contains { key, value }).await? else {
            return Err(error::another_answer());
        };
        Ok(Response::new(pb::ContainsResponse { result }))
    }

    async fn get(&self, request: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        let pb::GetRequest { id, key } = request.into_inner();
        let map = self.find(id, Type::MultiMap).await?;
        let Reply::Found(found) = map.ask(Query::Get { key }).await? else {
            return Err(error::another_answer());
        };
        let values = found.into_iter().collect();
        Ok(Response::new(pb::GetResponse { values }))
    }

    /// The answer names no values, as the reference's does not.
    async fn remove(
        &self,
        request: Request<pb::RemoveRequest>,
    ) -> Result<Response<pb::RemoveResponse>, Status> {
        let pb::RemoveRequest { id, key, value } = request.into_inner();
        change(self, id, Command::Remove { key, value }).await?;
        Ok(Response::new(pb::RemoveResponse { values: vec![] }))
    }

    async fn remove_all(
        &self,
        request: Request<pb::RemoveAllRequest>,
    ) -> Result<Response<pb::RemoveAllResponse>, Status> {
        let pb::RemoveAllRequest { id, key, values } = request.into_inner();
        let values = values.into_iter().collect();
        let updated = change(self, id, Command::RemoveAll { key, values }).await?;
        Ok(Response::new(pb::RemoveAllResponse { updated }))
    }

    async fn remove_entries(
        &self,
        request: Request<pb::RemoveEntriesRequest>,
    ) -> Result<Response<pb::RemoveEntriesResponse>, Status> {
        let pb::RemoveEntriesRequest { id, entries } = request.into_inner();
        let updated = change(self, id, Command::RemoveEntries(pairs(entries))).await?;
        Ok(Response::new(pb::RemoveEntriesResponse { updated }))
    }

    async fn clear(&self, request: Request<pb::ClearRequest>) -> Result<Response<pb::ClearResponse>, Status> {
        change(self, request.into_inner().id, Command::Clear).await?;
        Ok(Response::new(pb::ClearResponse {}))
    }

    async fn events(
        &self,
        request: Request<pb::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (target, session) = self.enter(&extensions, request.id, Type::MultiMap).await?;
        let opening = said(request.key.clone(), None);
        let key = collections::filter(request.key);
        let filter = key.clone();
        let telling = Telling {
            heard: Box::new(move |happened| match own(happened) {
                Some(event) => heard(event, filter.as_deref()),
                None => Heard::Nothing,
            }),
            removed: |gone| {
                let values = values(&gone);
                values
                    .into_iter()
                    .map(|value| removed(&gone.key, value))
                    .collect()
            },
            key,
        };
        collections::events(&target, session, opening, telling)
    }

    /// A key that is gone is told without values.
    async fn entries(
        &self,
        request: Request<pb::EntriesRequest>,
    ) -> Result<Response<Self::EntriesStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (target, session) = self.enter(&extensions, request.id, Type::MultiMap).await?;
        let listed = |listed: Listed| {
            let values = values(&listed);
            entry(listed.key, values)
        };
        if !request.watch {
            return Ok(collections::entries(target, listed));
        }
        let telling = Telling {
            heard: Box::new(|happened| match own(happened) {
                Some(multimap::Event::Changed { key, now, .. }) => {
                    Heard::Answer(entry(key.clone(), now.clone()))
                }
                Some(multimap::Event::Cleared { generation }) => Heard::Cleared(*generation),
                None => Heard::Nothing,
            }),
            removed: |gone| vec![entry(gone.key, BTreeSet::new())],
            key: None,
        };
        collections::watched_entries(target, session, listed, telling)
    }
}

#[tonic::async_trait]
impl pb::multi_maps_server::MultiMaps for Service {
    opening!(multimap, MultiMap, |cache| config(cache));
}

fn config(cache: Option<Cache>) -> pb::Config {
    pb::Config {
        cache: cache.map(|cache| pb::CacheConfig {
            enabled: cache.enabled,
            size: cache.size,
        }),
    }
}

/// Whether anything has changed.
async fn change(service: &Service, id: Option<PrimitiveId>, command: Command) -> Result<bool, Status> {
    let map = service.find(id, Type::MultiMap).await?;
    match map.call(command).await? {
        Reply::Changed(changed) => Ok(changed),
        _ => Err(error::another_answer()),
    }
}

/// A key may be named more than once.
fn pairs(entries: Vec<pb::Entry>) -> Pairs {
    let mut pairs = Pairs::new();
    for entry in entries {
        pairs.entry(entry.key).or_default().extend(entry.values);
    }
    pairs
}

fn own(happened: &Happened) -> Option<&multimap::Event> {
    match &*happened.event {
        Event::Primitive(primitive::Event::MultiMap(event)) => Some(event),
        Event::Primitive(_) | Event::Invocation(_) => None,
    }
}

fn said(key: String, event: Option<pb::event::Event>) -> pb::EventsResponse {
    let event = Some(pb::Event { key, event });
    pb::EventsResponse { event }
}

fn added(key: &str, value: String) -> pb::EventsResponse {
    said(
        key.to_owned(),
        Some(pb::event::Event::Added(pb::event::Added { value })),
    )
}

fn removed(key: &str, value: String) -> pb::EventsResponse {
    said(
        key.to_owned(),
        Some(pb::event::Event::Removed(pb::event::Removed { value })),
    )
}

fn heard(event: &multimap::Event, filter: Option<&str>) -> Heard<pb::EventsResponse> {
    match event {
        multimap::Event::Cleared { generation } => Heard::Cleared(*generation),
        multimap::Event::Changed { key, .. } if filter.is_some_and(|filter| filter != key) => Heard::Nothing,
        multimap::Event::Changed {
            key,
            added: came,
            removed: went,
            ..
        } => {
            let went = went.iter().map(|value| removed(key, value.clone()));
            let came = came.iter().map(|value| added(key, value.clone()));
            Heard::Answers(went.chain(came).collect())
        }
    }
}

/// A damaged row is refused by every other call.
fn values(listed: &Listed) -> BTreeSet<String> {
    multimap::values(&listed.value).unwrap_or_default()
}

fn entry(key: String, values: BTreeSet<String>) -> pb::EntriesResponse {
    let values = values.into_iter().collect();
    let entry = Some(pb::Entry { key, values });
    pb::EntriesResponse { entry }
}
