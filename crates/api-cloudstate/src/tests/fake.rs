//! A user function that a test plays: a real gRPC server that speaks both dialects, and every stream in the test's hands.
//!
//! A call of the proxy becomes a [`Talk`]: the test hears what is said on it, in order, and says whatever it likes. What is not
//! heard stays on its way, as with a function that is slow to read. `discover` and `reportError` are answered as was arranged,
//! and kept.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base::task;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use hyper::body::Frame;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tower::ServiceExt;
use wire::cloudstate::action::action_protocol_server::{ActionProtocol, ActionProtocolServer};
use wire::cloudstate::action::{ActionCommand, ActionResponse};
use wire::cloudstate::entity_discovery_server::{EntityDiscovery, EntityDiscoveryServer};
use wire::cloudstate::eventsourced::event_sourced_server::{EventSourced, EventSourcedServer};
use wire::cloudstate::eventsourced::{EventSourcedStreamIn, EventSourcedStreamOut};
use wire::cloudstate::function::stateless_function_server::{StatelessFunction, StatelessFunctionServer};
use wire::cloudstate::valueentity::value_entity_server::{ValueEntity, ValueEntityServer};
use wire::cloudstate::valueentity::{ValueEntityStreamIn, ValueEntityStreamOut};
use wire::cloudstate::{EntitySpec, ProxyInfo, UserFunctionError};

/// Longest that something may take which must come. Nothing waits that long.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
const QUEUE: usize = 1_024;
/// A status whose text this is breaks its stream instead of ending it.
const RESET: &str = "reset";

pub(super) type Events = Talk<EventSourcedStreamIn, EventSourcedStreamOut>;
pub(super) type Values = Talk<ValueEntityStreamIn, ValueEntityStreamOut>;
pub(super) type Actions = Talk<ActionCommand, ActionResponse>;

/// A clone is the same function.
#[derive(Clone)]
pub(super) struct Fake(Arc<Shared>);

struct Shared {
    address: SocketAddr,
    spec: Mutex<Result<EntitySpec, Status>>,
    reports_fail: AtomicBool,
    /// Closes all connections behind each `discover`.
    hangs_up: AtomicBool,
    hang_up: Notify,
    streams: AtomicUsize,
    /// Streams that are served at once; others hear nothing meanwhile.
    places: Option<Arc<Semaphore>>,
    listening: Mutex<Option<JoinHandle<()>>>,
    discovered: Queue<ProxyInfo>,
    reports: Queue<String>,
    events: Queue<Events>,
    values: Queue<Values>,
    actions: Queue<Actions>,
}

struct Queue<T> {
    put: mpsc::Sender<T>,
    taken: tokio::sync::Mutex<mpsc::Receiver<T>>,
}

impl<T> Queue<T> {
    fn new() -> Queue<T> {
        let (put, taken) = mpsc::channel(QUEUE);
        let taken = taken.into();
        Queue { put, taken }
    }

    fn put(&self, one: T) {
        assert!(self.put.try_send(one).is_ok(), "a test leaves too much lying");
    }

    async fn next(&self, at: &Location<'_>) -> T {
        let mut taken = self.taken.lock().await;
        let next = timeout(PATIENCE, taken.recv()).await;
        next.unwrap_or_else(|_| panic!("{at}: nothing has come"))
            .expect("its other half is here")
    }

    fn count(&self) -> usize {
        self.put.max_capacity() - self.put.capacity()
    }
}

impl Fake {
    /// One that listens.
    pub(super) async fn new(spec: EntitySpec) -> Fake {
        let fake = Fake::silent(spec, None).await;
        fake.come().await;
        fake
    }

    /// One that has room for so many streams, and says nothing of it.
    pub(super) async fn narrow(spec: EntitySpec, places: usize) -> Fake {
        let fake = Fake::silent(spec, Some(places)).await;
        fake.come().await;
        fake
    }

    /// One that is not there yet.
    pub(super) async fn absent(spec: EntitySpec) -> Fake {
        Fake::silent(spec, None).await
    }

    async fn silent(spec: EntitySpec, places: Option<usize>) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        drop(listener);
        let fake = Fake(Arc::new(Shared {
            address,
            spec: Mutex::new(Ok(spec)),
            reports_fail: AtomicBool::new(false),
            hangs_up: AtomicBool::new(false),
            hang_up: Notify::new(),
            streams: AtomicUsize::new(0),
            places: places.map(|places| Arc::new(Semaphore::new(places))),
            listening: Mutex::new(None),
            discovered: Queue::new(),
            reports: Queue::new(),
            events: Queue::new(),
            values: Queue::new(),
            actions: Queue::new(),
        }));
        fake.hold();
        fake
    }

    pub(super) fn authority(&self) -> String {
        self.0.address.to_string()
    }

    pub(super) fn says_it_is(&self, spec: Result<EntitySpec, Status>) {
        *self.0.spec.lock() = spec;
    }

    pub(super) fn fails_reports(&self) {
        self.0.reports_fail.store(true, Ordering::Relaxed);
    }

    pub(super) fn hangs_up(&self) {
        self.0.hangs_up.store(true, Ordering::Relaxed);
    }

    /// Keeps its port, and refuses all that connect to it.
    fn hold(&self) {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("a socket");
        socket
            .bind(self.0.address)
            .expect("a port that nobody else took meanwhile");
        let held = task::spawn("held port", async move {
            std::future::pending::<()>().await;
            drop(socket);
        });
        *self.0.listening.lock() = Some(held);
    }

    /// Its process is killed: all connections break.
    pub(super) async fn die(&self) {
        self.stop().await;
        self.hold();
    }

    async fn stop(&self) {
        let task = self.0.listening.lock().take();
        if let Some(task) = task {
            task.abort();
            drop(task.await);
        }
    }

    pub(super) async fn come(&self) {
        self.stop().await;
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("a socket");
        socket.bind(self.0.address).expect("its own port");
        let listener = socket.listen(1_024).expect("its own port");
        let listening = task::spawn("fake function", self.clone().listen(listener));
        *self.0.listening.lock() = Some(listening);
    }

    async fn listen(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        let routes = Routes::new(EntityDiscoveryServer::new(self.clone()))
            .add_service(EventSourcedServer::new(self.clone()).max_decoding_message_size(usize::MAX))
            .add_service(ValueEntityServer::new(self.clone()))
            .add_service(ActionProtocolServer::new(self.clone()))
            .add_service(StatelessFunctionServer::new(self.clone()));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.0.hang_up.notified() => {
                    connections.abort_all();
                    continue;
                }
            };
            let (stream, _) = accepted.expect("a connection");
            stream.set_nodelay(true).expect("a connection");
            let routes = routes.clone();
            let service = hyper::service::service_fn(move |request| {
                let answer = routes.clone().oneshot(request);
                async move { Ok::<_, std::convert::Infallible>(answer.await?.map(breakable)) }
            });
            let connection = http2::Builder::new(TokioExecutor::new())
                .max_concurrent_streams(10_000)
                .serve_connection(TokioIo::new(stream), service);
            connections.spawn(connection);
        }
    }

    /// Streams of entities and calls of actions so far.
    pub(super) fn streams(&self) -> usize {
        self.0.streams.load(Ordering::SeqCst)
    }

    /// What came and nobody took: `discover`, reports, streams.
    pub(super) fn left(&self) -> [usize; 3] {
        let shared = &self.0;
        let talks = shared.events.count() + shared.values.count() + shared.actions.count();
        [shared.discovered.count(), shared.reports.count(), talks]
    }

    #[track_caller]
    pub(super) fn discovered(&self) -> impl Future<Output = ProxyInfo> + '_ {
        self.0.discovered.next(Location::caller())
    }

    #[track_caller]
    pub(super) fn report(&self) -> impl Future<Output = String> + '_ {
        self.0.reports.next(Location::caller())
    }

    #[track_caller]
    pub(super) fn events(&self) -> impl Future<Output = Events> + '_ {
        self.0.events.next(Location::caller())
    }

    #[track_caller]
    pub(super) fn values(&self) -> impl Future<Output = Values> + '_ {
        self.0.values.next(Location::caller())
    }

    #[track_caller]
    pub(super) fn actions(&self) -> impl Future<Output = Actions> + '_ {
        self.0.actions.next(Location::caller())
    }

    /// A stream, once there is room for it.
    async fn talk<In, Out>(
        &self,
        queue: &Queue<Talk<In, Out>>,
        path: &'static str,
        heard: BoxStream<'static, Result<In, Status>>,
    ) -> mpsc::Receiver<Result<Out, Status>> {
        let number = self.0.streams.fetch_add(1, Ordering::SeqCst) + 1;
        let place = match &self.0.places {
            Some(places) => places.clone().acquire_owned().await.ok(),
            None => None,
        };
        let (say, said) = mpsc::channel(QUEUE);
        queue.put(Talk {
            number,
            path,
            heard,
            say: Some(say),
            _place: place,
        });
        said
    }

    async fn single(
        &self,
        path: &'static str,
        heard: BoxStream<'static, Result<ActionCommand, Status>>,
    ) -> Result<Response<ActionResponse>, Status> {
        let mut said = self.talk(&self.0.actions, path, heard).await;
        let answer = said.recv().await;
        answer
            .unwrap_or_else(|| Err(Status::aborted("no answer")))
            .map(Response::new)
    }

    async fn several(
        &self,
        path: &'static str,
        heard: BoxStream<'static, Result<ActionCommand, Status>>,
    ) -> Result<Response<Said<ActionResponse>>, Status> {
        let said = self.talk(&self.0.actions, path, heard).await;
        Ok(Response::new(ReceiverStream::new(said)))
    }
}

type Said<T> = ReceiverStream<Result<T, Status>>;

/// One stream between the proxy and the function.
pub(super) struct Talk<In, Out> {
    /// Of all streams, from 1.
    pub(super) number: usize,
    pub(super) path: &'static str,
    heard: BoxStream<'static, Result<In, Status>>,
    say: Option<mpsc::Sender<Result<Out, Status>>>,
    _place: Option<OwnedSemaphorePermit>,
}

impl<In: PartialEq + Debug, Out> Talk<In, Out> {
    /// What is said next; `None` when the proxy has ended its side.
    pub(super) async fn next(&mut self) -> Option<Result<In, Status>> {
        timeout(PATIENCE, self.heard.next())
            .await
            .expect("something to hear, or the end")
    }

    /// Neither a message nor an end.
    pub(super) fn has_nothing_to_hear(&mut self) -> bool {
        self.heard.next().now_or_never().is_none()
    }

    #[track_caller]
    pub(super) fn hears(&mut self, expected: impl Into<In>) -> impl Future<Output = ()> + '_ {
        let at = Location::caller();
        let expected = expected.into();
        async move {
            let heard = self.next().await;
            let heard = heard.map(|heard| heard.map_err(|status| status.to_string()));
            let expected = Some(Ok(expected));
            assert!(
                heard == expected,
                "{at}, stream {}: {}, expected was {}",
                self.number,
                short(&heard),
                short(&expected)
            );
        }
    }

    /// Nothing more, and that the proxy has nothing more to say.
    #[track_caller]
    pub(super) fn hears_the_end(&mut self) -> impl Future<Output = ()> + '_ {
        let at = Location::caller();
        async move {
            let heard = self.next().await;
            assert!(heard.is_none(), "{at}, stream {}: {heard:?}", self.number);
        }
    }

    /// That the proxy wants nothing more of the stream: it is ended or cut.
    #[track_caller]
    pub(super) fn is_left(&mut self) -> impl Future<Output = ()> + '_ {
        let at = Location::caller();
        async move {
            let heard = self.next().await;
            assert!(
                !matches!(heard, Some(Ok(_))),
                "{at}, stream {}: {heard:?}",
                self.number
            );
        }
    }

    pub(super) fn says(&self, message: impl Into<Out>) {
        self.put(Ok(message.into()));
    }

    fn put(&self, what: Result<Out, Status>) {
        let say = self.say.as_ref().expect("a stream that was not ended");
        // Whether the proxy still listens is its own business.
        drop(say.try_send(what));
    }

    pub(super) fn ends(&mut self) {
        self.say = None;
    }

    pub(super) fn fails(&mut self, status: Status) {
        self.put(Err(status));
        self.ends();
    }

    /// The stream breaks.
    pub(super) fn resets(&mut self) {
        self.fails(Status::internal(RESET));
    }

    /// Until nobody listens any more.
    pub(super) async fn is_cancelled(&self) {
        let say = self.say.as_ref().expect("a stream that was not ended");
        timeout(PATIENCE, say.closed()).await.expect("it is cancelled");
    }
}

/// Some messages are large.
fn short(heard: &impl Debug) -> String {
    format!("{heard:?}").chars().take(2_000).collect()
}

#[tonic::async_trait]
impl EntityDiscovery for Fake {
    async fn discover(&self, request: Request<ProxyInfo>) -> Result<Response<EntitySpec>, Status> {
        self.0.discovered.put(request.into_inner());
        if self.0.hangs_up.load(Ordering::Relaxed) {
            let fake = self.clone();
            drop(task::spawn("hang up", async move {
                // The answer is to leave before.
                tokio::time::sleep(Duration::from_millis(20)).await;
                fake.0.hang_up.notify_one();
            }));
        }
        self.0.spec.lock().clone().map(Response::new)
    }

    async fn report_error(&self, request: Request<UserFunctionError>) -> Result<Response<()>, Status> {
        self.0.reports.put(request.into_inner().message);
        match self.0.reports_fail.load(Ordering::Relaxed) {
            true => Err(Status::internal("reports are not taken")),
            false => Ok(Response::new(())),
        }
    }
}

#[tonic::async_trait]
impl EventSourced for Fake {
    type handleStream = Said<EventSourcedStreamOut>;

    async fn handle(
        &self,
        request: Request<Streaming<EventSourcedStreamIn>>,
    ) -> Result<Response<Self::handleStream>, Status> {
        let heard = request.into_inner().boxed();
        let said = self.talk(&self.0.events, "handle", heard).await;
        Ok(Response::new(ReceiverStream::new(said)))
    }
}

#[tonic::async_trait]
impl ValueEntity for Fake {
    type handleStream = Said<ValueEntityStreamOut>;

    async fn handle(
        &self,
        request: Request<Streaming<ValueEntityStreamIn>>,
    ) -> Result<Response<Self::handleStream>, Status> {
        let heard = request.into_inner().boxed();
        let said = self.talk(&self.0.values, "handle", heard).await;
        Ok(Response::new(ReceiverStream::new(said)))
    }
}

/// The two dialects have the same calls under different names.
macro_rules! calls_without_state {
    ($service:ident, $dialect:literal) => {
        #[tonic::async_trait]
        impl $service for Fake {
            type handleStreamedOutStream = Said<ActionResponse>;
            type handleStreamedStream = Said<ActionResponse>;

            async fn handle_unary(
                &self,
                request: Request<ActionCommand>,
            ) -> Result<Response<ActionResponse>, Status> {
                self.single(concat!($dialect, " unary"), one(request)).await
            }

            async fn handle_streamed_in(
                &self,
                request: Request<Streaming<ActionCommand>>,
            ) -> Result<Response<ActionResponse>, Status> {
                let heard = request.into_inner().boxed();
                self.single(concat!($dialect, " streamed in"), heard).await
            }

            async fn handle_streamed_out(
                &self,
                request: Request<ActionCommand>,
            ) -> Result<Response<Said<ActionResponse>>, Status> {
                self.several(concat!($dialect, " streamed out"), one(request))
                    .await
            }

            async fn handle_streamed(
                &self,
                request: Request<Streaming<ActionCommand>>,
            ) -> Result<Response<Said<ActionResponse>>, Status> {
                let heard = request.into_inner().boxed();
                self.several(concat!($dialect, " streamed"), heard).await
            }
        }
    };
}

calls_without_state!(ActionProtocol, "N");
calls_without_state!(StatelessFunction, "L");

fn one(request: Request<ActionCommand>) -> BoxStream<'static, Result<ActionCommand, Status>> {
    futures::stream::iter([Ok(request.into_inner())]).boxed()
}

fn breakable(body: Body) -> Body {
    Body::new(Breakable(body))
}

/// A body that breaks where its trailers say so.
struct Breakable(Body);

impl hyper::body::Body for Breakable {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(cx));
        let breaks = |frame: &Frame<Bytes>| {
            let message = frame
                .trailers_ref()
                .and_then(|trailers| trailers.get("grpc-message"));
            message.is_some_and(|message| message == RESET)
        };
        Poll::Ready(match frame {
            Some(Ok(frame)) if breaks(&frame) => Some(Err(Status::internal(RESET))),
            other => other,
        })
    }
}
