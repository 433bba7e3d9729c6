//! A server that answers as Belay does, as far as the commands can see, and remembers what it was asked.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use parking_lot::Mutex;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};
use tonic_health::server::HealthReporter;
use tonic_prost::ProstCodec;
use wire::layotto as pb;
use wire::layotto::state_options::StateConcurrency;
use wire::layotto::subscribe_topic_events_request::SubscribeTopicEventsRequestType as Asked;
use wire::layotto::subscribe_topic_events_response::SubscribeTopicEventsResponseType as Told;

pub(super) struct Server {
    pub(super) address: String,
    pub(super) fake: Fake,
    pub(super) health: HealthReporter,
}

impl Server {
    pub(super) async fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        Server::serve(address, TcpListenerStream::new(listener))
    }

    pub(super) fn on_socket(path: &std::path::Path) -> Server {
        let listener = UnixListener::bind(path).expect("a new socket file");
        let address = format!("unix:{}", path.display());
        Server::serve(address, UnixListenerStream::new(listener))
    }

    fn serve<S>(
        address: String,
        incoming: impl futures::Stream<Item = std::io::Result<S>> + Send + 'static,
    ) -> Server
    where
        S: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let fake = Fake::default();
        let (health, service) = tonic_health::server::health_reporter();
        let serving = tonic::transport::Server::builder()
            .add_service(fake.clone())
            .add_service(service)
            .serve_with_incoming(incoming);
        drop(base::task::spawn("fake server", serving));
        Server {
            address,
            fake,
            health,
        }
    }
}

#[derive(Clone, Default)]
pub(super) struct Fake(pub(super) Arc<Mutex<State>>);

/// What it knows and was asked. The component of every block is the one of `belay dev`.
#[derive(Default)]
pub(super) struct State {
    pub(super) values: HashMap<String, (Bytes, u64)>,
    /// Etags and tokens are counted together.
    pub(super) version: u64,
    pub(super) saved: Vec<pb::StateItem>,
    pub(super) published: Vec<pb::PublishEventRequest>,
    pub(super) subscribed: Option<pb::SubscribeTopicEventsRequestInitial>,
    /// What the next subscription gets.
    pub(super) events: Vec<pb::TopicEventRequest>,
    pub(super) settled: Vec<(String, i32)>,
    /// Lock by owner.
    pub(super) owners: HashMap<String, String>,
    /// Attempts after which the lock is free.
    pub(super) free_after: Option<usize>,
    /// What the next renewals answer; after them all succeed.
    pub(super) renewals: VecDeque<pb::lock_keep_alive_response::Status>,
    /// Written to when the last of them was answered.
    pub(super) then: Option<File>,
    pub(super) increments: Vec<i32>,
}

impl NamedService for Fake {
    const NAME: &'static str = "spec.proto.runtime.v1.Runtime";
}

impl tower::Service<http::Request<Body>> for Fake {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let fake = self.clone();
        Box::pin(async move {
            let method = request
                .uri()
                .path()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            Ok(match method.as_str() {
                "GetState" => unary(request, |asked| fake.get(&asked)).await,
                "SaveState" => unary(request, |asked| fake.save(asked)).await,
                "DeleteState" => unary(request, |asked| fake.delete(&asked)).await,
                "PublishEvent" => unary(request, |asked| fake.publish(asked)).await,
                "TryLock" => unary(request, |asked| fake.try_lock(asked)).await,
                "LockKeepAlive" => unary(request, |asked| fake.keep_alive(&asked)).await,
                "Unlock" => unary(request, |asked| fake.unlock(&asked)).await,
                "GetNextId" => unary(request, |asked| fake.next_id(&asked)).await,
                "SubscribeTopicEvents" => fake.subscribe(request).await,
                method => panic!("{method} is not played"),
            })
        })
    }
}

async fn unary<Q, A>(
    request: http::Request<Body>,
    answer: impl Fn(Q) -> Result<Response<A>, Status>,
) -> http::Response<Body>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let service = tower::service_fn(|request: Request<Q>| {
        let answer = answer(request.into_inner());
        async move { answer }
    });
    Grpc::new(ProstCodec::<A, Q>::default())
        .unary(service, request)
        .await
}

fn coded(mut status: Status, id: &'static str) -> Status {
    let id = id.parse().expect("a header");
    status.metadata_mut().insert("belay-error-code", id);
    status
}

type Answer<A> = Result<Response<A>, Status>;

impl Fake {
    fn get(&self, asked: &pb::GetStateRequest) -> Answer<pb::GetStateResponse> {
        if asked.store_name != "state_demo" {
            let text = format!("state store {} is not found", asked.store_name);
            return Err(Status::invalid_argument(text));
        }
        let state = self.0.lock();
        let found = state.values.get(&asked.key).cloned();
        let found = found.map(|(data, version)| pb::GetStateResponse {
            data,
            etag: version.to_string(),
            metadata: [("ttlInSeconds".to_owned(), "60".to_owned())].into(),
        });
        Ok(Response::new(found.unwrap_or_default()))
    }

    fn save(&self, asked: pb::SaveStateRequest) -> Answer<()> {
        let mut state = self.0.lock();
        for item in asked.states {
            let current = state
                .values
                .get(&item.key)
                .map(|(_, version)| version.to_string());
            let first = item.options.as_ref().map(pb::StateOptions::concurrency);
            let etag = item.etag.as_ref().map(|etag| etag.value.clone());
            if etag.is_some() && etag != current
                || first == Some(StateConcurrency::ConcurrencyFirstWrite) && current.is_some()
            {
                return Err(coded(Status::aborted("possible etag mismatch"), "BLY0050"));
            }
            state.version += 1;
            let version = state.version;
            state
                .values
                .insert(item.key.clone(), (item.value.clone(), version));
            state.saved.push(item);
        }
        Ok(Response::new(()))
    }

    fn delete(&self, asked: &pb::DeleteStateRequest) -> Answer<()> {
        let mut state = self.0.lock();
        let current = state
            .values
            .get(&asked.key)
            .map(|(_, version)| version.to_string());
        if asked
            .etag
            .as_ref()
            .is_some_and(|etag| Some(&etag.value) != current.as_ref())
        {
            return Err(coded(Status::aborted("possible etag mismatch"), "BLY0050"));
        }
        state.values.remove(&asked.key);
        Ok(Response::new(()))
    }

    fn publish(&self, asked: pb::PublishEventRequest) -> Answer<()> {
        self.0.lock().published.push(asked);
        Ok(Response::new(()))
    }

    fn next_id(&self, asked: &pb::GetNextIdRequest) -> Answer<pb::GetNextIdResponse> {
        let mut state = self.0.lock();
        state
            .increments
            .push(asked.options.as_ref().map_or(-1, |options| options.increment));
        let next_id = i64::try_from(state.increments.len()).expect("few ids");
        Ok(Response::new(pb::GetNextIdResponse { next_id }))
    }
}

/// Locks.
impl Fake {
    fn try_lock(&self, asked: pb::TryLockRequest) -> Answer<pb::TryLockResponse> {
        let mut state = self.0.lock();
        if let Some(attempts) = &mut state.free_after {
            *attempts = attempts.saturating_sub(1);
            if *attempts == 0 {
                state.owners.remove(&asked.resource_id);
            }
        }
        if state.owners.contains_key(&asked.resource_id) {
            return Ok(Response::new(pb::TryLockResponse { success: false }));
        }
        state.owners.insert(asked.resource_id, asked.lock_owner);
        state.version += 1;
        let mut response = Response::new(pb::TryLockResponse { success: true });
        response
            .metadata_mut()
            .insert("belay-fencing-token", state.version.into());
        Ok(response)
    }

    fn keep_alive(&self, asked: &pb::LockKeepAliveRequest) -> Answer<pb::LockKeepAliveResponse> {
        use pb::lock_keep_alive_response::Status as Extended;
        let mut state = self.0.lock();
        let status = state.renewals.pop_front().unwrap_or(Extended::Success);
        if status != Extended::Success {
            state.owners.remove(&asked.resource_id);
        }
        if state.renewals.is_empty()
            && let Some(mut then) = state.then.take()
        {
            then.write_all(b"go on\n").expect("a pipe");
            state.then = Some(then);
        }
        Ok(Response::new(pb::LockKeepAliveResponse {
            status: status.into(),
        }))
    }

    fn unlock(&self, asked: &pb::UnlockRequest) -> Answer<pb::UnlockResponse> {
        use pb::unlock_response::Status as Released;
        let mut state = self.0.lock();
        let status = match state.owners.get(&asked.resource_id) {
            None => Released::LockUnexist,
            Some(owner) if *owner != asked.lock_owner => Released::LockBelongToOthers,
            Some(_) => {
                state.owners.remove(&asked.resource_id);
                Released::Success
            }
        };
        Ok(Response::new(pb::UnlockResponse {
            status: status.into(),
        }))
    }
}

type Events = BoxStream<'static, Result<pb::SubscribeTopicEventsResponse, Status>>;

/// Events.
impl Fake {
    async fn subscribe(self, request: http::Request<Body>) -> http::Response<Body> {
        let service = tower::service_fn(
            move |request: Request<Streaming<pb::SubscribeTopicEventsRequest>>| {
                let fake = self.clone();
                async move { fake.events(request.into_inner()).await.map(Response::new) }
            },
        );
        let codec =
            ProstCodec::<pb::SubscribeTopicEventsResponse, pb::SubscribeTopicEventsRequest>::default();
        Grpc::new(codec).streaming(service, request).await
    }

    /// Everything there is at once, then the answers until the client has closed its side.
    async fn events(
        self,
        mut requests: Streaming<pb::SubscribeTopicEventsRequest>,
    ) -> Result<Events, Status> {
        let first = requests
            .message()
            .await?
            .and_then(|first| first.subscribe_topic_events_request_type);
        let Some(Asked::InitialRequest(initial)) = first else {
            return Err(Status::unknown("initial request is required"));
        };
        if initial.topic == "busy" {
            return Err(coded(Status::resource_exhausted("the group is full"), "BLY0059"));
        }
        let events = {
            let mut state = self.0.lock();
            state.subscribed = Some(initial);
            state.events.clone()
        };
        let hello = Told::InitialResponse(pb::SubscribeTopicEventsResponseInitial {});
        let told = std::iter::once(hello).chain(events.into_iter().map(Told::EventMessage));
        let told = told.map(|told| {
            Ok(pb::SubscribeTopicEventsResponse {
                subscribe_topic_events_response_type: Some(told),
            })
        });
        let end = futures::stream::once(async move { Err(self.read(requests).await) });
        Ok(futures::stream::iter(told.collect::<Vec<_>>()).chain(end).boxed())
    }

    async fn read(&self, mut requests: Streaming<pb::SubscribeTopicEventsRequest>) -> Status {
        while let Ok(Some(request)) = requests.message().await {
            if let Some(Asked::EventProcessed(processed)) = request.subscribe_topic_events_request_type {
                let status = processed.status.map_or(-1, |response| response.status);
                self.0.lock().settled.push((processed.id, status));
            }
        }
        Status::unknown("EOF")
    }
}
