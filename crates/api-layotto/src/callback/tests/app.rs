//! An application with a callback server, on a thread of its own, so that it can die like one.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::JoinHandle;

use futures::StreamExt;
use parking_lot::Mutex;
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{oneshot, watch};
use tokio_stream::wrappers::{TcpListenerStream, UnixListenerStream};
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};
use wire::layotto as pb;
use wire::layotto::app_callback_server::{AppCallback, AppCallbackServer};

use crate::callback::Address;
use crate::testing::STORE;

/// What the application makes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Status(i32),
    Error(Code),
    /// When the gate opens.
    Wait,
    Never,
}

type Behaviour = Box<dyn Fn(&pb::TopicEventRequest) -> Answer + Send>;

/// What is shared by all lives of an application.
pub(super) struct App {
    pub(super) topics: Mutex<Vec<pb::TopicSubscription>>,
    pub(super) list_error: Mutex<Option<Code>>,
    pub(super) lists: AtomicUsize,
    pub(super) seen: Mutex<Vec<pb::TopicEventRequest>>,
    pub(super) connections: AtomicUsize,
    pub(super) out: AtomicUsize,
    pub(super) out_max: AtomicUsize,
    behaviour: Mutex<Behaviour>,
    gate: watch::Sender<bool>,
}

/// A running application. Dropping it kills it.
pub(super) struct Life {
    pub(super) address: Address,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

pub(super) fn topic(topic: &str) -> pb::TopicSubscription {
    pb::TopicSubscription {
        pubsub_name: STORE.into(),
        topic: topic.into(),
        metadata: HashMap::new(),
    }
}

impl App {
    pub(super) fn wanting(topics: &[&str]) -> Arc<App> {
        Arc::new(App {
            topics: Mutex::new(topics.iter().map(|name| topic(name)).collect()),
            list_error: Mutex::default(),
            lists: AtomicUsize::new(0),
            seen: Mutex::default(),
            connections: AtomicUsize::new(0),
            out: AtomicUsize::new(0),
            out_max: AtomicUsize::new(0),
            behaviour: Mutex::new(Box::new(|_| Answer::Status(0))),
            gate: watch::Sender::new(false),
        })
    }

    pub(super) fn behaves(&self, behaviour: impl Fn(&pb::TopicEventRequest) -> Answer + Send + 'static) {
        *self.behaviour.lock() = Box::new(behaviour);
    }

    pub(super) fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    pub(super) fn data(&self) -> Vec<String> {
        let seen = self.seen.lock();
        seen.iter()
            .map(|event| String::from_utf8_lossy(&event.data).into_owned())
            .collect()
    }

    pub(super) fn live(self: &Arc<App>) -> Life {
        self.live_at(Port::free(), None)
    }

    pub(super) fn live_at(self: &Arc<App>, port: impl Borrow<Port>, streams_max: Option<u32>) -> Life {
        let address = port.borrow().address;
        let listen = move || async move {
            let listener = TcpListener::bind(address).await.expect("the port is free");
            TcpListenerStream::new(listener)
        };
        self.clone().begin(port.borrow().app(), streams_max, listen)
    }

    pub(super) fn live_on(self: &Arc<App>, socket: PathBuf) -> Life {
        let address = Address::Unix(socket.clone());
        let listen = move || async move {
            UnixListenerStream::new(UnixListener::bind(socket).expect("the path is free"))
        };
        self.clone().begin(address, None, listen)
    }

    fn begin<L, F, S, I>(self: Arc<App>, address: Address, streams_max: Option<u32>, listen: L) -> Life
    where
        L: FnOnce() -> F + Send + 'static,
        F: Future<Output = S>,
        S: futures::Stream<Item = std::io::Result<I>>,
        I: tokio::io::AsyncRead
            + tokio::io::AsyncWrite
            + tonic::transport::server::Connected
            + Unpin
            + Send
            + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = runtime.enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let app = self.clone();
                let incoming = listen().await.inspect(|_| {
                    app.connections.fetch_add(1, SeqCst);
                });
                let server = Server::builder()
                    .max_concurrent_streams(streams_max)
                    .add_service(AppCallbackServer::new(Served(self.clone())))
                    .serve_with_incoming(incoming);
                ready.send(()).expect("somebody waits");
                tokio::select! {
                    served = server => served.expect("it serves until it is killed"),
                    _ = stopped => (),
                }
            });
        });
        is_ready.recv().expect("it listens");
        Life {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the application has not panicked");
        }
    }
}

/// A port on which nobody listens unless the test's own application does.
pub(super) struct Port {
    pub(super) address: SocketAddr,
    /// Bound, so that no other test is given it.
    _socket: Socket,
}

impl Port {
    pub(super) fn free() -> Port {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("there is a free descriptor");
        // With it the application may bind the port as well, and listen.
        socket.set_reuse_address(true).expect("a socket has this option");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).expect("loopback has a free port");
        let bound = socket.local_addr().expect("the socket is bound");
        Port {
            address: bound.as_socket().expect("it is an internet address"),
            _socket: socket,
        }
    }

    pub(super) fn app(&self) -> Address {
        Address::Tcp(self.address.to_string())
    }
}

struct Served(Arc<App>);

#[tonic::async_trait]
impl AppCallback for Served {
    async fn list_topic_subscriptions(
        &self,
        _: Request<()>,
    ) -> Result<Response<pb::ListTopicSubscriptionsResponse>, Status> {
        self.0.lists.fetch_add(1, SeqCst);
        match *self.0.list_error.lock() {
            Some(code) => Err(failure(code)),
            None => {
                let subscriptions = self.0.topics.lock().clone();
                Ok(Response::new(pb::ListTopicSubscriptionsResponse {
                    subscriptions,
                }))
            }
        }
    }

    async fn on_topic_event(
        &self,
        request: Request<pb::TopicEventRequest>,
    ) -> Result<Response<pb::TopicEventResponse>, Status> {
        let app = &self.0;
        let event = request.into_inner();
        let out = app.out.fetch_add(1, SeqCst) + 1;
        app.out_max.fetch_max(out, SeqCst);
        let answer = (*app.behaviour.lock())(&event);
        app.seen.lock().push(event);
        let answered = match answer {
            Answer::Status(status) => Ok(status),
            Answer::Error(code) => Err(failure(code)),
            Answer::Wait => {
                app.gate
                    .subscribe()
                    .wait_for(|open| *open)
                    .await
                    .expect("the gate is there");
                Ok(0)
            }
            Answer::Never => std::future::pending().await,
        };
        app.out.fetch_sub(1, SeqCst);
        answered.map(|status| Response::new(pb::TopicEventResponse { status }))
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the application is not this family's server"
)]
fn failure(code: Code) -> Status {
    Status::new(code, "told to fail")
}
