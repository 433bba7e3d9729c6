//! `LeaderElection` and `LeaderElections` (spec 2.3).

use futures::stream;
use machines::Event;
use machines::engine::Happened;
use machines::primitive::election::{self, Command, Query, Term};
use machines::primitive::{self, Type};
use tonic::{Request, Response, Status};
use wire::atomix::election as pb;

use crate::opening::opening;
use crate::service::Service;
use crate::stores::Cache;
use crate::streams::{self, Answers};

#[tonic::async_trait]
impl pb::leader_election_server::LeaderElection for Service {
    opening!(election, LeaderElection, |cache| config(cache));

    type WatchStream = Answers<pb::WatchResponse>;

    async fn enter(&self, request: Request<pb::EnterRequest>) -> Result<Response<pb::EnterResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let election = self.find(request.id, Type::LeaderElection).await?;
        let candidate = request.candidate;
        let enter = |session| Command::Enter { candidate, session };
        let term = term(&self.hold(&extensions, &election, enter).await?);
        Ok(Response::new(pb::EnterResponse { term }))
    }

    async fn withdraw(
        &self,
        request: Request<pb::WithdrawRequest>,
    ) -> Result<Response<pb::WithdrawResponse>, Status> {
        let request = request.into_inner();
        let election = self.find(request.id, Type::LeaderElection).await?;
        let candidate = request.candidate;
        let term = term(&election.call(Command::Withdraw { candidate }).await?);
        Ok(Response::new(pb::WithdrawResponse { term }))
    }

    async fn anoint(
        &self,
        request: Request<pb::AnointRequest>,
    ) -> Result<Response<pb::AnointResponse>, Status> {
        let request = request.into_inner();
        let election = self.find(request.id, Type::LeaderElection).await?;
        let candidate = request.candidate;
        let term = term(&election.call(Command::Anoint { candidate }).await?);
        Ok(Response::new(pb::AnointResponse { term }))
    }

    async fn promote(
        &self,
        request: Request<pb::PromoteRequest>,
    ) -> Result<Response<pb::PromoteResponse>, Status> {
        let request = request.into_inner();
        let election = self.find(request.id, Type::LeaderElection).await?;
        let candidate = request.candidate;
        let term = term(&election.call(Command::Promote { candidate }).await?);
        Ok(Response::new(pb::PromoteResponse { term }))
    }

    async fn demote(
        &self,
        request: Request<pb::DemoteRequest>,
    ) -> Result<Response<pb::DemoteResponse>, Status> {
        let request = request.into_inner();
        let election = self.find(request.id, Type::LeaderElection).await?;
        let candidate = request.candidate;
        let term = term(&election.call(Command::Demote { candidate }).await?);
        Ok(Response::new(pb::DemoteResponse { term }))
    }

    async fn evict(&self, request: Request<pb::EvictRequest>) -> Result<Response<pb::EvictResponse>, Status> {
        let request = request.into_inner();
        let election = self.find(request.id, Type::LeaderElection).await?;
        let candidate = request.candidate;
        let term = term(&election.call(Command::Evict { candidate }).await?);
        Ok(Response::new(pb::EvictResponse { term }))
    }

    async fn get_term(
        &self,
        request: Request<pb::GetTermRequest>,
    ) -> Result<Response<pb::GetTermResponse>, Status> {
        let election = self.find(request.into_inner().id, Type::LeaderElection).await?;
        let term = term(&election.ask(Query::GetTerm).await?);
        Ok(Response::new(pb::GetTermResponse { term }))
    }

    /// The term as it is, unless nobody has ever entered, then each change.
    async fn watch(&self, request: Request<pb::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (target, session) = self.enter(&extensions, request.id, Type::LeaderElection).await?;
        let watch = streams::watch(&target)?;
        let now = target.ask(Query::GetTerm).await?;
        // A later one comes as an event.
        let is_first = now.term > 0 && now.version <= watch.since;
        let answer = |now: &Term| pb::WatchResponse { term: term(now) };
        let first = stream::iter(is_first.then(|| Ok(answer(&now))));
        Ok(streams::watching(first, watch, session, move |happened| {
            Some(answer(own(happened)?))
        }))
    }
}

#[tonic::async_trait]
impl pb::leader_elections_server::LeaderElections for Service {
    opening!(election, LeaderElection, |cache| config(cache));
}

fn config(cache: Option<Cache>) -> pb::Config {
    pb::Config {
        cache: cache.map(|cache| pb::CacheConfig {
            enabled: cache.enabled,
        }),
    }
}

/// On the wire nobody leads under the empty name, which is a candidate's name too.
fn term(term: &Term) -> Option<pb::Term> {
    Some(pb::Term {
        term: term.term,
        leader: term.leader.clone().unwrap_or_default(),
        candidates: term.candidates.clone(),
    })
}

fn own(happened: &Happened) -> Option<&Term> {
    match &*happened.event {
        Event::Primitive(primitive::Event::LeaderElection(election::Event(term))) => Some(term),
        _ => None,
    }
}
