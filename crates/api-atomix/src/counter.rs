//! `Counter` and `Counters` (spec 2.1).

use machines::primitive::Type;
use machines::primitive::counter::{Command, Query};
use tonic::{Request, Response, Status};
use wire::atomix::counter as pb;

use crate::opening::opening;
use crate::service::Service;
use crate::stores::Cache;

#[tonic::async_trait]
impl pb::counter_server::Counter for Service {
    opening!(counter, Counter, |cache| config(cache));

    async fn set(&self, request: Request<pb::SetRequest>) -> Result<Response<pb::SetResponse>, Status> {
        let request = request.into_inner();
        let counter = self.find(request.id, Type::Counter).await?;
        let value = counter.call(Command::Set(request.value)).await?.value;
        Ok(Response::new(pb::SetResponse { value }))
    }

    async fn update(
        &self,
        request: Request<pb::UpdateRequest>,
    ) -> Result<Response<pb::UpdateResponse>, Status> {
        let request = request.into_inner();
        let counter = self.find(request.id, Type::Counter).await?;
        let update = Command::Update {
            check: request.check,
            value: request.update,
        };
        let value = counter.call(update).await?.value;
        Ok(Response::new(pb::UpdateResponse { value }))
    }

    async fn get(&self, request: Request<pb::GetRequest>) -> Result<Response<pb::GetResponse>, Status> {
        let counter = self.find(request.into_inner().id, Type::Counter).await?;
        let value = counter.ask(Query::Get).await?.value;
        Ok(Response::new(pb::GetResponse { value }))
    }

    async fn increment(
        &self,
        request: Request<pb::IncrementRequest>,
    ) -> Result<Response<pb::IncrementResponse>, Status> {
        let request = request.into_inner();
        let counter = self.find(request.id, Type::Counter).await?;
        let value = counter.call(Command::Add(request.delta)).await?.value;
        Ok(Response::new(pb::IncrementResponse { value }))
    }

    async fn decrement(
        &self,
        request: Request<pb::DecrementRequest>,
    ) -> Result<Response<pb::DecrementResponse>, Status> {
        let request = request.into_inner();
        let counter = self.find(request.id, Type::Counter).await?;
        let value = counter
            .call(Command::Add(request.delta.wrapping_neg()))
            .await?
            .value;
        Ok(Response::new(pb::DecrementResponse { value }))
    }
}

#[tonic::async_trait]
impl pb::counters_server::Counters for Service {
    opening!(counter, Counter, |cache| config(cache));
}

fn config(cache: Option<Cache>) -> pb::Config {
    pb::Config {
        cache: cache.map(|cache| pb::CacheConfig {
            enabled: cache.enabled,
        }),
    }
}
