//! The user's services in gRPC.

use std::convert::Infallible;

use base::limits;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tonic::body::Body;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::{Status, Streaming};
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};
use tonic_reflection::pb::v1::server_reflection_server::ServerReflectionServer;
use tonic_reflection::pb::v1alpha::server_reflection_server::ServerReflectionServer as AlphaServer;
use wire::cloudstate::action::ActionResponse;

use super::metadata;
use super::raw::Raw;
use super::reflection::Reflection;
use crate::action;
use crate::error::{Refusal, no_answer, unknown_method};
use crate::routing::{Answer, Ask, Router, Way};
use crate::spec::Kind;

#[derive(Clone)]
pub(super) struct Services {
    router: Router,
    health: HealthServer<HealthService>,
    reflection: ServerReflectionServer<Reflection>,
    alpha: AlphaServer<Reflection>,
}

type Answers = BoxStream<'static, Result<Bytes, Status>>;

impl Services {
    pub(super) fn new(router: Router, health: HealthReporter) -> Services {
        let reflection = Reflection::of(router.catalog().clone());
        Services {
            router,
            health: HealthServer::new(HealthService::from_health_reporter(health)),
            reflection: ServerReflectionServer::new(reflection.clone()),
            alpha: AlphaServer::new(reflection),
        }
    }

    pub(super) async fn answer(mut self, request: Request<Body>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
        let own = match service {
            "grpc.health.v1.Health" => self.health.call(request).await,
            "grpc.reflection.v1.ServerReflection" => self.reflection.call(request).await,
            "grpc.reflection.v1alpha.ServerReflection" => self.alpha.call(request).await,
            _ => Ok(self.user(request, service, method).await),
        };
        own.unwrap_or_else(|never: Infallible| match never {})
    }

    async fn user(&self, request: Request<Body>, service: &str, method: &str) -> Response<Body> {
        let found = self.router.catalog().service(service);
        let found = found.and_then(|service| Some((service.methods.get(method)?.clone(), service)));
        let Some((command, service)) = found else {
            return unknown_method(request.uri().path()).into_http();
        };
        let call = Call {
            router: self.router.clone(),
            ask: Ask {
                metadata: match service.kind {
                    Kind::Action => metadata::of(request.headers()),
                    Kind::EventSourced | Kind::Value => Default::default(),
                },
                service,
                command: command.clone(),
                payload: Bytes::new(),
                way: Way::default(),
            },
        };
        let mut grpc = tonic::server::Grpc::new(Raw)
            .accept_compressed(Gzip)
            .send_compressed(Gzip)
            .max_decoding_message_size(limits::FRONT_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(usize::MAX);
        let method = &command.method;
        match (method.client_streaming, method.server_streaming) {
            (false, false) => {
                grpc.unary(tower::service_fn(|request| call.clone().unary(request)), request)
                    .await
            }
            (true, false) => {
                let call = tower::service_fn(|request| call.clone().streamed_in(request));
                grpc.client_streaming(call, request).await
            }
            (false, true) => {
                let call = tower::service_fn(|request| call.clone().streamed_out(request));
                grpc.server_streaming(call, request).await
            }
            (true, true) => {
                let call = tower::service_fn(|request| call.clone().streamed(request));
                grpc.streaming(call, request).await
            }
        }
    }
}

/// One call of a client.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) router: Router,
    pub(super) ask: Ask,
}

impl Call {
    async fn unary(mut self, request: tonic::Request<Bytes>) -> Result<tonic::Response<Bytes>, Status> {
        self.ask.payload = request.into_inner();
        let ask = self.ask.clone();
        let answer = self.router.call(self.ask).await?;
        single(&ask, answer)
    }

    async fn streamed_in(
        self,
        request: tonic::Request<Streaming<Bytes>>,
    ) -> Result<tonic::Response<Bytes>, Status> {
        let outcome = action::streamed_in(&self.ask, request.into_inner().boxed()).await?;
        let ask = self.ask.clone();
        let answer = self.router.carry_out(self.ask, outcome).await?;
        single(&ask, answer)
    }

    async fn streamed_out(
        mut self,
        request: tonic::Request<Bytes>,
    ) -> Result<tonic::Response<Answers>, Status> {
        self.ask.payload = request.into_inner();
        let responses = action::streamed_out(&self.ask).await?;
        Ok(self.responses(responses).await)
    }

    async fn streamed(
        self,
        request: tonic::Request<Streaming<Bytes>>,
    ) -> Result<tonic::Response<Answers>, Status> {
        let responses = action::streamed(&self.ask, request.into_inner().boxed()).await?;
        Ok(self.responses(responses).await)
    }

    /// One after the other; a failure ends them.
    pub(super) fn answers(
        self,
        responses: Streaming<ActionResponse>,
    ) -> impl Stream<Item = Result<Answer, Refusal>> + Send + 'static {
        futures::stream::unfold(Some((self, responses)), |state| async move {
            let (call, mut responses) = state?;
            loop {
                let answer = match responses.message().await {
                    Ok(None) => return None,
                    Ok(Some(response)) => {
                        let outcome = action::outcome(response);
                        call.router.carry_out(call.ask.clone(), outcome).await
                    }
                    Err(status) => Err(Refusal::from(status)),
                };
                match answer {
                    Ok(Answer { payload: None, .. }) => {}
                    Ok(answer) => return Some((Ok(answer), Some((call, responses)))),
                    Err(refusal) => return Some((Err(refusal), None)),
                }
            }
        })
    }

    /// Headers leave with the first answer, whose metadata they are.
    async fn responses(self, responses: Streaming<ActionResponse>) -> tonic::Response<Answers> {
        let mut answers = self.answers(responses).boxed();
        let payload = |answer: Result<Answer, Refusal>| {
            answer
                .map(|answer| answer.payload.unwrap_or_default())
                .map_err(Status::from)
        };
        match answers.next().await {
            None => tonic::Response::new(futures::stream::empty().boxed()),
            Some(first) => {
                let metadata = first
                    .as_ref()
                    .map(|answer| answer.metadata.clone())
                    .unwrap_or_default();
                let first = futures::stream::iter([payload(first)]);
                let mut response = tonic::Response::new(first.chain(answers.map(payload)).boxed());
                put(&mut response, &metadata);
                response
            }
        }
    }
}

fn single(ask: &Ask, answer: Answer) -> Result<tonic::Response<Bytes>, Status> {
    let Some(payload) = answer.payload else {
        return Err(no_answer(&ask.service.name, &ask.command.method.name));
    };
    let mut response = tonic::Response::new(payload);
    put(&mut response, &answer.metadata);
    Ok(response)
}

fn put<T>(response: &mut tonic::Response<T>, metadata: &wire::cloudstate::Metadata) {
    if metadata.entries.is_empty() {
        return;
    }
    let mut headers = http::HeaderMap::new();
    metadata::put(&mut headers, metadata);
    *response.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers);
}
