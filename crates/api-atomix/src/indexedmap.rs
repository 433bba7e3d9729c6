//! `IndexedMap` and `IndexedMaps` (spec 2.4).

use base::{Error, codes};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use machines::Question;
use machines::engine::Happened;
use machines::primitive::indexedmap::{self, Command, Entry, Event, Listing, Order, Query, Reply, Which};
use machines::primitive::{self, Type, Versioned};
use tonic::{Request, Response, Status};
use wire::atomix::indexedmap as pb;
use wire::atomix::runtime::PrimitiveId;

use crate::convert::ttl;
use crate::error::{self, missing, status};
use crate::opening::opening;
use crate::service::{Service, Target};
use crate::stores::Cache;
use crate::streams::{self, Answers};

#[cfg(test)]
mod tests;

#[tonic::async_trait]
impl pb::indexed_map_server::IndexedMap for Service {
    opening!(indexedmap, IndexedMap, |cache| config(cache));

    type EntriesStream = Answers<pb::EntriesResponse>;
    type EventsStream = Answers<pb::EventsResponse>;

    async fn size(&self, request: Request<pb::SizeRequest>) -> Result<Response<pb::SizeResponse>, Status> {
        let map = self.find(request.into_inner().id, Type::IndexedMap).await?;
        match map.ask(Query::Overview).await? {
            Reply::Overview { size, .. } => {
                let size = u32::try_from(size).unwrap_or(u32::MAX);
                Ok(Response::new(pb::SizeResponse { size }))
            }
            _ => Err(error::another_answer()),
        }
    }

    async fn append(
        &self,
        request: Request<pb::AppendRequest>,
    ) -> Result<Response<pb::AppendResponse>, Status> {
        let request = request.into_inner();
        let map = self.find(request.id, Type::IndexedMap).await?;
        let append = Command::Append {
            key: request.key,
            value: request.value,
            ttl: ttl(request.ttl)?,
        };
        let entry = one(map.call(append).await?)?;
        Ok(Response::new(pb::AppendResponse { entry }))
    }

    async fn update(
        &self,
        request: Request<pb::UpdateRequest>,
    ) -> Result<Response<pb::UpdateResponse>, Status> {
        let request = request.into_inner();
        let map = self.find(request.id, Type::IndexedMap).await?;
        let which = match (request.index, request.key) {
            (0, key) if key.is_empty() => return Err(missing("the entry's key or index")),
            (0, key) => Which::Key(key),
            (index, key) if key.is_empty() => Which::Index(index),
            (index, key) => Which::Both { index, key },
        };
        let update = Command::Update {
            which,
            value: request.value,
            ttl: ttl(request.ttl)?,
            expect: request.prev_version,
        };
        let entry = one(map.call(update).await?)?;
        Ok(Response::new(pb::UpdateResponse { entry }))
    }

    async fn get(&self, request: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        let request = request.into_inner();
        let map = self.find(request.id, Type::IndexedMap).await?;
        let query = Query::Get(which(request.index, request.key)?);
        let entry = one(map.ask(query).await?)?;
        Ok(Response::new(pb::GetResponse { entry }))
    }

    async fn first_entry(
        &self,
        request: Request<pb::FirstEntryRequest>,
    ) -> Result<Response<pb::FirstEntryResponse>, Status> {
        let entry = self.nearest(request.into_inner().id, Order::After(0)).await?;
        Ok(Response::new(pb::FirstEntryResponse { entry }))
    }

    async fn last_entry(
        &self,
        request: Request<pb::LastEntryRequest>,
    ) -> Result<Response<pb::LastEntryResponse>, Status> {
        let entry = self.nearest(request.into_inner().id, Order::Before(None)).await?;
        Ok(Response::new(pb::LastEntryResponse { entry }))
    }

    async fn prev_entry(
        &self,
        request: Request<pb::PrevEntryRequest>,
    ) -> Result<Response<pb::PrevEntryResponse>, Status> {
        let request = request.into_inner();
        let order = Order::Before(Some(request.index));
        let entry = self.nearest(request.id, order).await?;
        Ok(Response::new(pb::PrevEntryResponse { entry }))
    }

    async fn next_entry(
        &self,
        request: Request<pb::NextEntryRequest>,
    ) -> Result<Response<pb::NextEntryResponse>, Status> {
        let request = request.into_inner();
        let entry = self.nearest(request.id, Order::After(request.index)).await?;
        Ok(Response::new(pb::NextEntryResponse { entry }))
    }

    async fn remove(
        &self,
        request: Request<pb::RemoveRequest>,
    ) -> Result<Response<pb::RemoveResponse>, Status> {
        let request = request.into_inner();
        let map = self.find(request.id, Type::IndexedMap).await?;
        let remove = Command::Remove {
            which: which(request.index, request.key)?,
            expect: request.prev_version,
        };
        let entry = one(map.call(remove).await?)?;
        Ok(Response::new(pb::RemoveResponse { entry }))
    }

    async fn clear(&self, request: Request<pb::ClearRequest>) -> Result<Response<pb::ClearResponse>, Status> {
        let map = self.find(request.into_inner().id, Type::IndexedMap).await?;
        map.call(Command::Clear).await?;
        Ok(Response::new(pb::ClearResponse {}))
    }

    async fn events(
        &self,
        request: Request<pb::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let (_, extensions, pb::EventsRequest { id, key }) = request.into_parts();
        let (target, session) = self.enter(&extensions, id, Type::IndexedMap).await?;
        let watch = streams::watch(&target)?;
        let opening = pb::Event {
            key: key.clone(),
            ..pb::Event::default()
        };
        let answer = |event| pb::EventsResponse { event };
        let opening = stream::iter([Ok(answer(Some(opening)))]);
        Ok(streams::telling(opening, watch, session, move |happened| {
            let changes = changes(&target, happened, &key);
            changes.map(move |change| change.map(|change| answer(Some(event(change)))))
        }))
    }

    /// What is there, in order; with `watch` then the entry of each change, a removed one as it was.
    async fn entries(
        &self,
        request: Request<pb::EntriesRequest>,
    ) -> Result<Response<Self::EntriesStream>, Status> {
        let (_, extensions, pb::EntriesRequest { id, watch }) = request.into_parts();
        let answer = |entry: Entry| pb::EntriesResponse {
            entry: Some(entry_of(entry)),
        };
        if !watch {
            let target = self.find(id, Type::IndexedMap).await?;
            let found = entries(target, Listing::live());
            return Ok(Response::new(found.map(move |entry| entry.map(answer)).boxed()));
        }
        let (target, session) = self.enter(&extensions, id, Type::IndexedMap).await?;
        let watch = streams::watch(&target)?;
        let since = watch.since;
        // Later ones come as changes.
        let found = entries(target.clone(), Listing::live()).filter_map(move |entry| {
            let entry = match entry {
                Ok(entry) if entry.value.version > since => None,
                entry => Some(entry.map(answer)),
            };
            futures::future::ready(entry)
        });
        Ok(streams::telling(found, watch, session, move |happened| {
            let changes = changes(&target, happened, "");
            changes.map(move |change| change.map(|change| answer(change.entry().clone())))
        }))
    }
}

#[tonic::async_trait]
impl pb::indexed_maps_server::IndexedMaps for Service {
    opening!(indexedmap, IndexedMap, |cache| config(cache));
}

impl Service {
    async fn nearest(&self, id: Option<PrimitiveId>, order: Order) -> Result<Option<pb::Entry>, Status> {
        let map = self.find(id, Type::IndexedMap).await?;
        let entry = indexedmap::nearest(&*map.engine, &map.address, order).await;
        let entry = entry.map_err(|error| status(&error))?;
        Ok(Some(entry_of(entry)))
    }
}

/// What happened to one entry.
enum Change {
    Inserted(Entry),
    Updated { now: Entry, before: Versioned },
    Removed { was: Entry, expired: bool },
}

impl Change {
    fn entry(&self) -> &Entry {
        match self {
            Change::Inserted(entry) | Change::Updated { now: entry, .. } => entry,
            Change::Removed { was, .. } => was,
        }
    }
}

/// What happened to entries of that key; empty: to all. A clear removes each.
fn changes(target: &Target, happened: &Happened, key: &str) -> BoxStream<'static, Result<Change, Status>> {
    let machines::Event::Primitive(primitive::Event::IndexedMap(event)) = &*happened.event else {
        return stream::empty().boxed();
    };
    let change = match event.clone() {
        Event::Inserted(entry) => Change::Inserted(entry),
        Event::Updated { now, before } => Change::Updated { now, before },
        Event::Removed { was, expired } => Change::Removed { was, expired },
        Event::Cleared { generation } => return cleared(target.clone(), generation, key.to_owned()),
    };
    if key.is_empty() || change.entry().key == key {
        stream::iter([Ok(change)]).boxed()
    } else {
        stream::empty().boxed()
    }
}

fn cleared(target: Target, generation: u64, key: String) -> BoxStream<'static, Result<Change, Status>> {
    let removed = |was| Change::Removed { was, expired: false };
    if key.is_empty() {
        let found = entries(target, Listing::cleared(generation));
        return found.map(move |entry| entry.map(removed)).boxed();
    }
    let found = async move {
        let query = Query::Cleared { generation, key };
        match query.ask(&*target.engine, &target.address).await {
            Ok(Reply::Entry(was)) => Some(Ok(removed(was))),
            Ok(_) => Some(Err(error::another_answer())),
            Err(error) if error.code() == codes::ENTRY_NOT_FOUND => None,
            Err(error) => Some(Err(status(&error))),
        }
    };
    stream::once(found).filter_map(futures::future::ready).boxed()
}

/// A listing's entries, read as they are taken.
fn entries(target: Target, listing: Listing) -> impl Stream<Item = Result<Entry, Status>> + Send {
    let pages = stream::try_unfold((target, listing), |(target, mut listing)| async {
        let page = listing.next(&*target.engine, &target.address).await;
        let page = page.map_err(|error| status(&error))?;
        Ok::<_, Status>(page.map(|page| (stream::iter(page.into_iter().map(Ok)), (target, listing))))
    });
    pages.try_flatten()
}

/// By index, else by key.
fn which(index: u64, key: String) -> Result<Which, Status> {
    match index {
        0 if key.is_empty() => {
            let message = "the map has no entry at index 0";
            Err(status(&Error::new(codes::ENTRY_NOT_FOUND, message)))
        }
        0 => Ok(Which::Key(key)),
        index => Ok(Which::Index(index)),
    }
}

/// Clients read the entry and its value unasked: an answer has both.
fn one(reply: Reply) -> Result<Option<pb::Entry>, Status> {
    match reply {
        Reply::Entry(entry) => Ok(Some(entry_of(entry))),
        Reply::Overview { .. } | Reply::Cleared => Err(error::another_answer()),
    }
}

fn entry_of(entry: Entry) -> pb::Entry {
    pb::Entry {
        key: entry.key,
        index: entry.index,
        value: versioned(entry.value),
    }
}

fn versioned(Versioned { value, version }: Versioned) -> Option<pb::VersionedValue> {
    Some(pb::VersionedValue { value, version })
}

fn event(change: Change) -> pb::Event {
    use pb::event::{Event, Inserted, Removed, Updated};

    let (Entry { key, index, .. }, event) = match change {
        Change::Inserted(entry) => {
            let value = versioned(entry.value.clone());
            (entry, Event::Inserted(Inserted { value }))
        }
        Change::Updated { now, before } => {
            let value = versioned(now.value.clone());
            let prev_value = versioned(before);
            (now, Event::Updated(Updated { value, prev_value }))
        }
        Change::Removed { was, expired } => {
            let value = versioned(was.value.clone());
            (was, Event::Removed(Removed { value, expired }))
        }
    };
    pb::Event {
        key,
        index,
        event: Some(event),
    }
}

fn config(cache: Option<Cache>) -> pb::Config {
    pb::Config {
        cache: cache.map(|cache| pb::CacheConfig {
            enabled: cache.enabled,
            size: cache.size,
        }),
    }
}
