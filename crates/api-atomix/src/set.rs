//! `Set` and `Sets` (spec 2.9). An element that is there already, or is not there, is said by the status, because clients look
//! at nothing else; by the bool alone, if the options say so.

use machines::Event;
use machines::engine::Happened;
use machines::primitive::collection::Listed;
use machines::primitive::set::{self, Command, Query, Reply};
use machines::primitive::{self, Type};
use tonic::{Code, Request, Response, Status};
use wire::atomix::set as pb;

use crate::collections::{self, Heard, Telling};
use crate::convert::{count, ttl};
use crate::error;
use crate::opening::opening;
use crate::service::Service;
use crate::stores::Cache;
use crate::streams::Answers;

#[tonic::async_trait]
impl pb::set_server::Set for Service {
    opening!(set, Set, |cache| config(cache));

    type EventsStream = Answers<pb::EventsResponse>;
    type ElementsStream = Answers<pb::ElementsResponse>;

    async fn size(&self, request: Request<pb::SizeRequest>) -> Result<Response<pb::SizeResponse>, Status> {
        let set = self.find(request.into_inner().id, Type::Set).await?;
        let Reply::Size(size) = set.ask(Query::Size).await? else {
            return Err(error::another_answer());
        };
        Ok(Response::new(pb::SizeResponse { size: count(size) }))
    }

    async fn contains(
        &self,
        request: Request<pb::ContainsRequest>,
    ) -> Result<Response<pb::ContainsResponse>, Status> {
        let request = request.into_inner();
        let set = self.find(request.id, Type::Set).await?;
        let element = value(request.element)?;
        let Reply::Contains(contains) = set.ask(Query::Contains { element }).await? else {
            return Err(error::another_answer());
        };
        Ok(Response::new(pb::ContainsResponse { contains }))
    }

    async fn add(&self, request: Request<pb::AddRequest>) -> Result<Response<pb::AddResponse>, Status> {
        let request = request.into_inner();
        let set = self.find(request.id, Type::Set).await?;
        let element = value(request.element)?;
        let ttl = ttl(request.ttl)?;
        let added = set.call(Command::Add { element, ttl }).await;
        let added = self.changed(added, Code::AlreadyExists)?;
        Ok(Response::new(pb::AddResponse { added }))
    }

    async fn remove(
        &self,
        request: Request<pb::RemoveRequest>,
    ) -> Result<Response<pb::RemoveResponse>, Status> {
        let request = request.into_inner();
        let set = self.find(request.id, Type::Set).await?;
        let element = value(request.element)?;
        let removed = set.call(Command::Remove { element }).await;
        let removed = self.changed(removed, Code::NotFound)?;
        Ok(Response::new(pb::RemoveResponse { removed }))
    }

    async fn clear(&self, request: Request<pb::ClearRequest>) -> Result<Response<pb::ClearResponse>, Status> {
        let set = self.find(request.into_inner().id, Type::Set).await?;
        set.call(Command::Clear).await?;
        Ok(Response::new(pb::ClearResponse {}))
    }

    async fn events(
        &self,
        request: Request<pb::EventsRequest>,
    ) -> Result<Response<Self::EventsStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (target, session) = self.enter(&extensions, request.id, Type::Set).await?;
        let telling = Telling {
            heard: Box::new(|happened| match own(happened) {
                Some(set::Event::Added { element }) => Heard::Answer(added(element.clone())),
                Some(set::Event::Removed { element, expired }) => {
                    Heard::Answer(removed(element.clone(), *expired))
                }
                Some(set::Event::Cleared { generation }) => Heard::Cleared(*generation),
                None => Heard::Nothing,
            }),
            removed: |gone| vec![removed(gone.key, false)],
            key: None,
        };
        collections::events(&target, session, said(None), telling)
    }

    async fn elements(
        &self,
        request: Request<pb::ElementsRequest>,
    ) -> Result<Response<Self::ElementsStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (target, session) = self.enter(&extensions, request.id, Type::Set).await?;
        if !request.watch {
            return Ok(collections::entries(target, listed));
        }
        let telling = Telling {
            heard: Box::new(|happened| match own(happened) {
                Some(set::Event::Added { element } | set::Event::Removed { element, .. }) => {
                    Heard::Answer(element_of(element.clone()))
                }
                Some(set::Event::Cleared { generation }) => Heard::Cleared(*generation),
                None => Heard::Nothing,
            }),
            removed: |gone| vec![listed(gone)],
            key: None,
        };
        collections::watched_entries(target, session, listed, telling)
    }
}

#[tonic::async_trait]
impl pb::sets_server::Sets for Service {
    opening!(set, Set, |cache| config(cache));
}

impl Service {
    /// Whether the set was changed; that it did not have to be is an error, or not, as the options say.
    fn changed(&self, outcome: Result<Reply, Status>, unchanged: Code) -> Result<bool, Status> {
        match outcome {
            Ok(_) => Ok(true),
            Err(status) if self.set_answers_bools && status.code() == unchanged => Ok(false),
            Err(status) => Err(status),
        }
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

fn value(element: Option<pb::Element>) -> Result<String, Status> {
    Ok(element.ok_or_else(|| error::missing("the element"))?.value)
}

fn own(happened: &Happened) -> Option<&set::Event> {
    match &*happened.event {
        Event::Primitive(primitive::Event::Set(event)) => Some(event),
        Event::Primitive(_) | Event::Invocation(_) => None,
    }
}

fn said(event: Option<pb::event::Event>) -> pb::EventsResponse {
    let event = Some(pb::Event { event });
    pb::EventsResponse { event }
}

fn added(value: String) -> pb::EventsResponse {
    let element = Some(pb::Element { value });
    said(Some(pb::event::Event::Added(pb::event::Added { element })))
}

fn removed(value: String, expired: bool) -> pb::EventsResponse {
    let element = Some(pb::Element { value });
    said(Some(pb::event::Event::Removed(pb::event::Removed {
        element,
        expired,
    })))
}

fn element_of(value: String) -> pb::ElementsResponse {
    let element = Some(pb::Element { value });
    pb::ElementsResponse { element }
}

fn listed(listed: Listed) -> pb::ElementsResponse {
    element_of(listed.key)
}
