//! The proxy, which can be restarted over the same store, and its clients.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use base::time::SystemClock;
use base::{Timestamp, task};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use testkit::{Faulty, Memory};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;
use wire::cloudstate::EntitySpec;

use super::fake::{Events, Fake, PATIENCE, Values};
use super::say::{In, Out, init, input, new_spec, ve_init};
use crate::{FrontDoor, Rules, Service, Watcher};

pub(super) struct World {
    pub(super) fake: Fake,
    /// A second one, if there is one.
    other: Option<Fake>,
    /// Of proxies that are started from now on.
    pub(super) rules: Rules,
    pub(super) kv: Arc<Faulty>,
    proxy: Proxy,
}

/// A thread with a runtime of its own: what it spawned ends with it, as a process does.
struct Proxy {
    handle: Handle,
    /// Dropped to kill it.
    life: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    service: Service,
    told: mpsc::Receiver<Told>,
    /// Calls that it has not let go of.
    calls: Arc<AtomicUsize>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.life.take());
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

#[derive(Debug, PartialEq)]
pub(super) enum Told {
    Served(Vec<String>, String),
    Waits(String),
}

struct Teller(mpsc::Sender<Told>);

impl Watcher for Teller {
    fn served(&self, services: &[String], library: &str) {
        drop(
            self.0
                .try_send(Told::Served(services.to_vec(), library.to_owned())),
        );
    }

    fn waits(&self, why: &str) {
        drop(self.0.try_send(Told::Waits(why.to_owned())));
    }
}

impl World {
    /// Of dialect N, and served.
    pub(super) async fn new() -> World {
        World::of(new_spec()).await
    }

    pub(super) async fn of(spec: EntitySpec) -> World {
        World::with(Fake::new(spec).await, Rules::default()).await
    }

    /// A function that listens, served.
    pub(super) async fn with(fake: Fake, rules: Rules) -> World {
        let mut world = World::unserved(fake, rules).await;
        world.served().await;
        world
    }

    pub(super) async fn unserved(fake: Fake, rules: Rules) -> World {
        World::start(fake, None, rules).await
    }

    /// Two functions, of which nothing is known yet.
    pub(super) async fn pair(fake: Fake, other: Fake) -> World {
        World::start(fake, Some(other), Rules::default()).await
    }

    async fn start(fake: Fake, other: Option<Fake>, rules: Rules) -> World {
        let kv = Arc::new(Memory::new(Arc::new(SystemClock::starting(Timestamp(0)))));
        let kv = Faulty::new(kv);
        let fakes = [Some(&fake), other.as_ref()];
        let proxy = start(&kv, &rules, fakes.into_iter().flatten()).await;
        World {
            fake,
            other,
            rules,
            kv,
            proxy,
        }
    }

    /// The proxy is killed, and another one is started over the same store.
    pub(super) async fn restart(&mut self) {
        self.proxy.life = None;
        drop(self.proxy.thread.take().map(std::thread::JoinHandle::join));
        let fakes = [Some(&self.fake), self.other.as_ref()];
        self.proxy = start(&self.kv, &self.rules, fakes.into_iter().flatten()).await;
        self.served().await;
    }

    /// The first of what its watcher is told next that is of this kind.
    pub(super) async fn served(&mut self) -> (Vec<String>, String) {
        loop {
            if let Told::Served(services, library) = self.told().await {
                return (services, library);
            }
        }
    }

    pub(super) async fn waits(&mut self) -> String {
        loop {
            if let Told::Waits(why) = self.told().await {
                return why;
            }
        }
    }

    pub(super) async fn told(&mut self) -> Told {
        let told = timeout(PATIENCE, self.proxy.told.recv()).await;
        told.expect("its watcher is told").expect("it lives")
    }

    pub(super) fn active(&self) -> usize {
        self.proxy.service.active()
    }

    /// Until so many commands wait behind others.
    #[track_caller]
    pub(super) fn has_waiting(&self, count: usize) -> impl Future<Output = ()> + '_ {
        becomes(move || self.proxy.service.entities.waiting() == count)
    }

    /// Until no entity is active.
    #[track_caller]
    pub(super) fn is_quiet(&self) -> impl Future<Output = ()> + '_ {
        becomes(move || self.active() == 0)
    }

    pub(super) fn door(&self) -> Door {
        Door {
            front: self.proxy.service.front.clone(),
            runtime: self.proxy.handle.clone(),
            calls: self.proxy.calls.clone(),
            version: Version::HTTP_2,
        }
    }

    /// Its client goes away, and the proxy knows it.
    pub(super) async fn drops(&self, asked: Asked) {
        let before = self.proxy.calls.load(Ordering::SeqCst);
        asked.0.abort();
        becomes(|| self.proxy.calls.load(Ordering::SeqCst) < before).await;
    }

    /// A unary call whose answer is waited for later. Calls arrive in the order in which they are made.
    pub(super) fn ask(&self, method: &str, id: &str, text: &str) -> Asked {
        let (door, method, message) = (self.door(), method.to_owned(), input(id, text));
        Asked(task::spawn("client", async move {
            door.unary(&method, message).await
        }))
    }

    /// An active event sourced entity that has done one command, whose id was 1.
    pub(super) async fn log(&self, id: &str) -> Events {
        let asked = self.ask("Log/Do", id, "first");
        let mut talk = self.fake.events().await;
        talk.hears(init(id, None)).await;
        talk.hears(super::say::es_command(1, id, "first")).await;
        talk.says(super::say::es_out(super::say::es(1, super::say::reply("done"))));
        asked.is("done").await;
        talk
    }

    pub(super) async fn val(&self, id: &str) -> Values {
        let asked = self.ask("Val/Do", id, "first");
        let mut talk = self.fake.values().await;
        talk.hears(ve_init(id, None)).await;
        talk.hears(super::say::ve_command(1, id, "first")).await;
        talk.says(super::say::ve_out(super::say::ve(1, super::say::reply("done"))));
        asked.is("done").await;
        talk
    }
}

async fn start(kv: &Arc<Faulty>, rules: &Rules, fakes: impl Iterator<Item = &Fake>) -> Proxy {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let handle = runtime.handle().clone();
    let (life, death) = oneshot::channel::<()>();
    let thread = std::thread::spawn(move || drop(runtime.block_on(death)));
    let (teller, told) = mpsc::channel(1_000);
    let watcher: Arc<dyn Watcher> = Arc::new(Teller(teller));
    let functions = fakes.map(|fake| (fake.authority(), watcher.clone()));
    let (kv, rules, functions) = (kv.clone(), rules.clone(), functions.collect());
    let starting = handle.spawn(async move {
        let engine = testkit::engine(kv).await;
        Service::start(engine, rules, functions)
    });
    Proxy {
        service: starting.await.expect("a service"),
        handle,
        life: Some(life),
        thread: Some(thread),
        calls: Arc::default(),
        told,
    }
}

/// A call on its way.
pub(super) struct Asked(JoinHandle<Result<Out, Status>>);

impl Asked {
    pub(super) async fn answer(self) -> Result<Out, Status> {
        let answer = timeout(PATIENCE, self.0).await;
        answer.expect("an answer in time").expect("no panic")
    }

    #[track_caller]
    pub(super) fn is(self, expected: &str) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let answer = self.answer().await.map(|out| out.text);
            let answer = answer.map_err(|status| status.to_string());
            assert_eq!(answer.as_deref(), Ok(expected), "{at}");
        }
    }

    #[track_caller]
    pub(super) fn fails(self, code: Code, message: &str) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let status = self.answer().await.expect_err("it fails");
            assert_eq!((status.code(), status.message()), (code, message), "{at}");
        }
    }

    /// With whatever text.
    #[track_caller]
    pub(super) fn fails_with(self, code: Code) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let status = self.answer().await.expect_err("it fails");
            assert_eq!(status.code(), code, "{at}: {status}");
        }
    }

    /// With the text of the reference.
    #[track_caller]
    pub(super) fn crashes(self, message: &str) -> impl Future<Output = ()> {
        self.fails(Code::Unknown, message)
    }
}

/// The front door without a socket: each request is a task of the proxy that ends with its client.
#[derive(Clone)]
pub(super) struct Door {
    front: FrontDoor,
    runtime: Handle,
    calls: Arc<AtomicUsize>,
    pub(super) version: Version,
}

/// One that the proxy has not let go of.
struct Call(Arc<AtomicUsize>);

impl Call {
    fn new(calls: &Arc<AtomicUsize>) -> Call {
        calls.fetch_add(1, Ordering::SeqCst);
        Call(calls.clone())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Door {
    pub(super) async fn answer(&self, mut request: Request<Body>) -> Response<Body> {
        *request.version_mut() = self.version;
        let front = self.front.clone();
        let call = Call::new(&self.calls);
        let mut tasks = JoinSet::new();
        let answering = async move {
            let _call = call;
            front.answer(request).await
        };
        tasks.spawn_on(answering, &self.runtime);
        let answer = timeout(PATIENCE, tasks.join_next()).await;
        match answer.expect("an answer in time").expect("a task") {
            // Its proxy has been killed.
            Err(cause) if cause.is_cancelled() => std::future::pending().await,
            answer => answer.expect("no panic"),
        }
    }

    /// Behind a socket, as the server has it.
    pub(super) async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let front = self.front.clone();
        self.runtime.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let front = front.clone();
                let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                    let front = front.clone();
                    async move { Ok::<_, Infallible>(front.answer(request.map(Body::new)).await) }
                });
                connections.spawn(async move {
                    let server = auto::Builder::new(TokioExecutor::new());
                    drop(server.serve_connection(TokioIo::new(stream), service).await);
                });
            }
        });
        address
    }

    pub(super) fn grpc(&self) -> tonic::client::Grpc<Door> {
        tonic::client::Grpc::new(self.clone())
    }

    pub(super) async fn unary(&self, method: &str, message: In) -> Result<Out, Status> {
        let request = tonic::Request::new(message);
        let answer = self.unary_with(method, request).await;
        answer.map(tonic::Response::into_inner)
    }

    pub(super) async fn unary_with(
        &self,
        method: &str,
        request: tonic::Request<In>,
    ) -> Result<tonic::Response<Out>, Status> {
        let codec = ProstCodec::<In, Out>::default();
        self.grpc().unary(request, path(method), codec).await
    }

    pub(super) async fn streamed(
        &self,
        method: &str,
        messages: mpsc::Receiver<In>,
    ) -> Result<tonic::Response<Streaming<Out>>, Status> {
        let codec = ProstCodec::<In, Out>::default();
        let messages = tokio_stream::wrappers::ReceiverStream::new(messages);
        let request = tonic::Request::new(messages);
        self.grpc().streaming(request, path(method), codec).await
    }

    /// A request of HTTP/1.1.
    pub(super) async fn http(&self, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let (verb, uri) = line.split_once(' ').expect("a method and a path");
        let mut request = Request::builder().method(verb).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let door = Door {
            version: Version::HTTP_11,
            ..self.clone()
        };
        Answer::of(door.answer(request).await).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.http(&format!("GET {path}"), &[], "").await
    }
}

pub(super) fn path(method: &str) -> PathAndQuery {
    PathAndQuery::try_from(format!("/t.{method}")).expect("a path")
}

impl tower::Service<Request<tonic::body::Body>> for Door {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let door = self.clone();
        Box::pin(async move { Ok(door.answer(request.map(Body::new)).await) })
    }
}

/// What a client of HTTP sees.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) async fn of(response: Response<Body>) -> Answer {
        let (head, body) = response.into_parts();
        let body = timeout(PATIENCE, axum::body::to_bytes(body, 1 << 20)).await;
        Answer {
            status: head.status,
            headers: head.headers,
            body: body.expect("a body in time").expect("a whole body"),
        }
    }

    #[track_caller]
    pub(super) fn is(&self, status: u16, body: &str) {
        let found = (self.status.as_u16(), String::from_utf8_lossy(&self.body));
        assert_eq!(found, (status, body.into()));
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Something that becomes so, and that nobody tells of.
#[track_caller]
pub(super) fn becomes<F: Fn() -> bool + Send>(is_so: F) -> impl Future<Output = ()> {
    let at = Location::caller();
    async move {
        let soon = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, soon)
            .await
            .unwrap_or_else(|_| panic!("{at}: it never becomes so"));
    }
}
