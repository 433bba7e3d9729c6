//! `List` and `Lists` (spec 2.5).
//!
//! Positions mean something at one version of the list only. So what is there is read from one snapshot, and of what happens then
//! only what is later than that snapshot's version is told.

use base::{Error, codes};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use machines::Event;
use machines::engine::{Happened, Snapshot};
use machines::primitive::list::{self, Command, Item, Page, Query, Reply};
use machines::primitive::{self, Type};
use tonic::{Request, Response, Status};
use wire::atomix::list as pb;

use crate::error::{self, missing, status};
use crate::opening::opening;
use crate::service::{Service, Target};
use crate::stores::Cache;
use crate::streams::{self, Answers};

#[tonic::async_trait]
impl pb::list_server::List for Service {
    opening!(list, List, |cache| config(cache));

    type EventsStream = Answers<pb::EventsResponse>;
    type ItemsStream = Answers<pb::ItemsResponse>;

    async fn size(&self, request: Request<pb::SizeRequest>) -> Result<Response<pb::SizeResponse>, Status> {
        let list = self.find(request.into_inner().id, Type::List).await?;
        match list.ask(Query::Size).await? {
            Reply::Size(size) => Ok(Response::new(pb::SizeResponse { size })),
            _ => Err(error::another_answer()),
        }
    }

    async fn append(
        &self,
        request: Request<pb::AppendRequest>,
    ) -> Result<Response<pb::AppendResponse>, Status> {
        let request = request.into_inner();
        let value = value(request.value)?;
        let list = self.find(request.id, Type::List).await?;
        list.call(Command::Append { value }).await?;
        Ok(Response::new(pb::AppendResponse {}))
    }

    async fn insert(
        &self,
        request: Request<pb::InsertRequest>,
    ) -> Result<Response<pb::InsertResponse>, Status> {
        let request = request.into_inner();
        let (index, value) = (request.index, value(request.value)?);
        let list = self.find(request.id, Type::List).await?;
        let item = one(list.call(Command::Insert { index, value }).await?)?;
        Ok(Response::new(pb::InsertResponse { item }))
    }

    async fn get(&self, request: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        let request = request.into_inner();
        let list = self.find(request.id, Type::List).await?;
        let index = request.index;
        let item = one(list.ask(Query::Get { index }).await?)?;
        Ok(Response::new(pb::GetResponse { item }))
    }

    async fn set(&self, request: Request<pb::SetRequest>) -> Result<Response<pb::SetResponse>, Status> {
        let request = request.into_inner();
        let (index, value) = (request.index, value(request.value)?);
        let list = self.find(request.id, Type::List).await?;
        let item = one(list.call(Command::Set { index, value }).await?)?;
        Ok(Response::new(pb::SetResponse { item }))
    }

    async fn remove(
        &self,
        request: Request<pb::RemoveRequest>,
    ) -> Result<Response<pb::RemoveResponse>, Status> {
        let request = request.into_inner();
        let list = self.find(request.id, Type::List).await?;
        let index = request.index;
        let item = one(list.call(Command::Remove { index }).await?)?;
        Ok(Response::new(pb::RemoveResponse { item }))
    }

    async fn clear(&self, request: Request<pb::ClearRequest>) -> Result<Response<pb::ClearResponse>, Status> {
        let list = self.find(request.into_inner().id, Type::List).await?;
        list.call(Command::Clear).await?;
        Ok(Response::new(pb::ClearResponse {}))
    }

    /// An opening answer without an event; with `replay` what is there as inserted; then what happens.
    async fn events(
        &self,
        request: Request<pb::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (target, session) = self.enter(&extensions, request.id, Type::List).await?;
        let answer = |told: Told| pb::EventsResponse {
            event: Some(event(told)),
        };
        let opening = stream::iter([Ok(pb::EventsResponse { event: None })]);
        let watch = streams::watch(&target)?;
        if !request.replay {
            let later = move |happened: &Happened| told_since(0, happened, answer);
            return Ok(streams::following(opening, watch, session, later));
        }
        let (found, version) = found(&target).await?;
        let found = found.map(move |item| item.map(|item| answer(Told::Inserted(item))));
        let later = move |happened: &Happened| told_since(version, happened, answer);
        Ok(streams::following(opening.chain(found), watch, session, later))
    }

    /// What is there, in order; with `watch` then the item of each change, a removed one as it was.
    async fn items(&self, request: Request<pb::ItemsRequest>) -> Result<Response<Self::ItemsStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let answer = |item: Item| pb::ItemsResponse {
            item: Some(item_of(item)),
        };
        if !request.watch {
            let target = self.find(request.id, Type::List).await?;
            let (found, _) = found(&target).await?;
            let found = found.map(move |item| item.map(answer));
            return Ok(Response::new(Box::pin(found)));
        }
        let (target, session) = self.enter(&extensions, request.id, Type::List).await?;
        let watch = streams::watch(&target)?;
        let (found, version) = found(&target).await?;
        let found = found.map(move |item| item.map(answer));
        let later = move |happened: &Happened| told_since(version, happened, |told| answer(told.into_item()));
        Ok(streams::following(found, watch, session, later))
    }
}

#[tonic::async_trait]
impl pb::lists_server::Lists for Service {
    opening!(list, List, |cache| config(cache));
}

/// What happens to one item.
enum Told {
    Inserted(Item),
    Updated { now: Item, before: Bytes },
    Removed(Item),
}

impl Told {
    fn into_item(self) -> Item {
        match self {
            Told::Inserted(item) | Told::Updated { now: item, .. } | Told::Removed(item) => item,
        }
    }
}

/// All items of one snapshot, read as they are taken, and the version they are of.
async fn found(
    target: &Target,
) -> Result<(impl Stream<Item = Result<Item, Status>> + Send + use<>, u64), Status> {
    let snapshot = target.engine.snapshot(&target.address);
    let snapshot = snapshot.map_err(|error| status(&error))?;
    let first = page(&*snapshot, 0).await?;
    let version = first.version;
    let (first, rest) = take_page(first, snapshot, 0);
    let later = stream::unfold(rest, |rest| async {
        let (snapshot, from) = rest?;
        Some(match page(&*snapshot, from).await {
            Ok(page) => {
                let (items, rest) = take_page(page, snapshot, from);
                (items.into_iter().map(Ok).collect(), rest)
            }
            Err(status) => (vec![Err(status)], None),
        })
    });
    let later = later.flat_map(stream::iter);
    Ok((stream::iter(first.into_iter().map(Ok)).chain(later), version))
}

type Rest = Option<(Box<dyn Snapshot>, u32)>;

/// A page's items, and what is needed to read the next one. The snapshot is let go with the last one.
fn take_page(page: Page, snapshot: Box<dyn Snapshot>, from: u32) -> (Vec<Item>, Rest) {
    let items = page.values.into_iter().zip(from..);
    let items: Vec<Item> = items.map(|(value, index)| Item { index, value }).collect();
    let next = items.last().map(|item| item.index + 1);
    (items, next.filter(|_| page.more).map(|next| (snapshot, next)))
}

async fn page(snapshot: &dyn Snapshot, from: u32) -> Result<Page, Status> {
    let reply = snapshot.read(Query::Items { from }.into()).await;
    match Reply::try_from(reply.map_err(|error| status(&error))?) {
        Ok(Reply::Items(page)) => Ok(page),
        _ => Err(error::another_answer()),
    }
}

/// What a step has done to single items, if it is later than that version. A cleared list's items are told from the last to the
/// first, so that every one is told at the position it has then.
fn told_since<T>(version: u64, happened: &Happened, answer: impl Fn(Told) -> T) -> Vec<Result<T, Status>> {
    let Event::Primitive(primitive::Event::List(event)) = &*happened.event else {
        return vec![];
    };
    if happened.index <= version {
        return vec![];
    }
    let told = match event.clone() {
        list::Event::Inserted(item) => Told::Inserted(item),
        list::Event::Updated { now, before } => Told::Updated { now, before },
        list::Event::Removed(item) => Told::Removed(item),
        list::Event::Cleared(Some(values)) => {
            let items = (0..).zip(values).map(|(index, value)| Item { index, value });
            let items: Vec<Item> = items.collect();
            let removed = items.into_iter().rev().map(Told::Removed);
            return removed.map(|told| Ok(answer(told))).collect();
        }
        list::Event::Cleared(None) => return vec![Err(cleared())],
    };
    vec![Ok(answer(told))]
}

fn cleared() -> Status {
    let message = "the list was cleared, and was too large to tell it item by item: watch again";
    status(&Error::new(codes::WATCH_BEHIND, message))
}

fn config(cache: Option<Cache>) -> pb::Config {
    pb::Config {
        cache: cache.map(|cache| pb::CacheConfig {
            enabled: cache.enabled,
            size: cache.size,
        }),
    }
}

fn value(value: Option<pb::Value>) -> Result<Bytes, Status> {
    value.map(|value| value.value).ok_or_else(|| missing("the value"))
}

/// Clients read the item unasked: an answer has one.
fn one(reply: Reply) -> Result<Option<pb::Item>, Status> {
    match reply {
        Reply::Item(item) => Ok(Some(item_of(item))),
        _ => Err(error::another_answer()),
    }
}

fn item_of(item: Item) -> pb::Item {
    pb::Item {
        index: item.index,
        value: value_of(item.value),
    }
}

fn value_of(value: Bytes) -> Option<pb::Value> {
    Some(pb::Value { value })
}

fn event(told: Told) -> pb::Event {
    use pb::event::{Event, Inserted, Removed, Updated};

    let (index, event) = match told {
        Told::Inserted(item) => {
            let value = value_of(item.value);
            (item.index, Event::Inserted(Inserted { value }))
        }
        Told::Updated { now, before } => {
            let updated = Updated {
                value: value_of(now.value),
                prev_value: value_of(before),
            };
            (now.index, Event::Updated(updated))
        }
        Told::Removed(item) => {
            let value = value_of(item.value);
            (item.index, Event::Removed(Removed { value }))
        }
    };
    pb::Event {
        index,
        event: Some(event),
    }
}
