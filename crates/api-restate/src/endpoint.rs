//! Connections to deployments: HTTP/2 with prior knowledge, or HTTP/1.1 where a deployment asks for it.
//!
//! Each runtime has its own connections, so that a call changes no thread. A connection carries so many calls at once; when all
//! are full another one is opened.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::{limits, task};
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::identity::Identity;

/// Why a deployment could not be talked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) String);

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Http {
    One,
    Two,
}

/// All connections of this process to deployments.
pub(crate) struct Connections {
    open: Mutex<HashMap<(tokio::runtime::Id, String), Vec<Connection>>>,
    /// Who signs what is asked.
    identity: Option<Identity>,
}

#[derive(Clone)]
struct Connection {
    requests: SendRequest<Bytes>,
    open: Arc<AtomicUsize>,
    over: Arc<std::sync::atomic::AtomicBool>,
}

/// Counts a call on its connection for as long as it lasts.
struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is asked for.
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// What follows the deployment's own address in `uri`.
    pub(crate) path: String,
}

/// What is being said to a deployment.
pub(crate) struct Out(Way);

enum Way {
    Two {
        stream: h2::SendStream<Bytes>,
        _held: Held,
    },
    One(mpsc::Sender<Bytes>),
    Ended,
}

/// What a deployment says, after its head.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    body: Body,
}

enum Body {
    Two(h2::RecvStream),
    One(Incoming),
}

pub(crate) enum Waiting {
    Two(h2::client::ResponseFuture),
    One(futures::future::BoxFuture<'static, Result<http::Response<Incoming>, Broken>>),
}

impl Connections {
    pub(crate) fn new(identity: Option<Identity>) -> Connections {
        Connections {
            open: Mutex::default(),
            identity,
        }
    }

    /// Begins a call: its body is sent by [`Out`], its answer comes by [`Waiting`].
    pub(crate) async fn call(&self, http: Http, mut ask: Ask) -> Result<(Out, Waiting), Broken> {
        if let Some(identity) = &self.identity {
            identity.sign(&ask.path, &mut ask.headers);
        }
        match http {
            Http::Two => self.call_two(ask).await,
            Http::One => call_one(ask).await,
        }
    }

    async fn call_two(&self, ask: Ask) -> Result<(Out, Waiting), Broken> {
        let authority = authority(&ask.uri)?;
        // A connection that has gone is found out by using it: then a new one is tried, once.
        for _ in 0..2 {
            let connection = self.connection(&authority).await?;
            let held = connection.hold();
            let mut request = Request::new(());
            *request.method_mut() = ask.method.clone();
            *request.uri_mut() = ask.uri.clone();
            *request.headers_mut() = ask.headers.clone();
            let Ok(mut requests) = connection.requests.clone().ready().await else {
                connection.over.store(true, Ordering::Relaxed);
                continue;
            };
            match requests.send_request(request, false) {
                Ok((answer, out)) => {
                    return Ok((
                        Out(Way::Two {
                            stream: out,
                            _held: held,
                        }),
                        Waiting::Two(answer),
                    ));
                }
                Err(_) => connection.over.store(true, Ordering::Relaxed),
            }
        }
        Err(Broken(format!("{authority} closes its connections")))
    }

    async fn connection(&self, authority: &str) -> Result<Connection, Broken> {
        let key = (tokio::runtime::Handle::current().id(), authority.to_owned());
        if let Some(connection) = self.with_room(&key) {
            return Ok(connection);
        }
        let stream = connect(authority).await?;
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(limits::RESTATE_WINDOW_BYTES)
            .initial_connection_window_size(limits::RESTATE_CONNECTION_WINDOW_BYTES)
            .max_frame_size(limits::RESTATE_FRAME_BYTES)
            .enable_push(false);
        let (requests, mut driver) = timeout(limits::RESTATE_CONNECT, builder.handshake::<_, Bytes>(stream))
            .await
            .map_err(|_| Broken(format!("{authority} does not speak HTTP/2")))?
            .map_err(|error| Broken(format!("{authority} does not speak HTTP/2: {error}")))?;
        let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let ended = over.clone();
        let pings = driver.ping_pong();
        drop(task::spawn("deployment", async move {
            let alive = keep_alive(pings);
            tokio::select! {
                _ = driver => {}
                () = alive => {}
            }
            ended.store(true, Ordering::Relaxed);
        }));
        let connection = Connection {
            requests,
            open: Arc::default(),
            over,
        };
        self.open.lock().entry(key).or_default().push(connection.clone());
        Ok(connection)
    }

    /// The one with the fewest calls that has room.
    fn with_room(&self, key: &(tokio::runtime::Id, String)) -> Option<Connection> {
        let mut all = self.open.lock();
        let connections = all.get_mut(key)?;
        connections.retain(|connection| !connection.over.load(Ordering::Relaxed));
        let open = |connection: &&Connection| connection.open.load(Ordering::Relaxed);
        let least = connections.iter().min_by_key(open)?;
        let room = open(&least) < limits::RESTATE_STREAMS_PER_CONNECTION;
        let full = connections.len() >= limits::RESTATE_CONNECTIONS_MAX;
        (room || full).then(|| least.clone())
    }
}

impl Connection {
    fn hold(&self) -> Held {
        self.open.fetch_add(1, Ordering::Relaxed);
        Held(self.open.clone())
    }
}

/// Ends when the other side gives no sign of life.
async fn keep_alive(pings: Option<h2::PingPong>) {
    let Some(mut pings) = pings else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(limits::RESTATE_KEEP_ALIVE).await;
        let pong = timeout(limits::RESTATE_KEEP_ALIVE_TIMEOUT, pings.ping(h2::Ping::opaque()));
        if !matches!(pong.await, Ok(Ok(_))) {
            return;
        }
    }
}

fn authority(uri: &Uri) -> Result<String, Broken> {
    let host = uri.host().ok_or_else(|| Broken(format!("{uri} names no host")))?;
    Ok(format!("{host}:{}", uri.port_u16().unwrap_or(80)))
}

async fn connect(authority: &str) -> Result<TcpStream, Broken> {
    let stream = timeout(limits::RESTATE_CONNECT, TcpStream::connect(authority)).await;
    let stream = stream.map_err(|_| Broken(format!("connect {authority}: no answer in time")))?;
    let stream = stream.map_err(|error| Broken(format!("connect {authority}: {error}")))?;
    stream
        .set_nodelay(true)
        .map_err(|error| Broken(format!("connect {authority}: {error}")))?;
    Ok(stream)
}

/// A connection for each call: such deployments are for development.
async fn call_one(ask: Ask) -> Result<(Out, Waiting), Broken> {
    let authority = authority(&ask.uri)?;
    let stream = connect(&authority).await?;
    let (mut requests, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| Broken(error.to_string()))?;
    drop(task::spawn("deployment", async move { drop(driver.await) }));
    let (out, chunks) = mpsc::channel(limits::RESTATE_PIECES_MAX);
    let chunks = futures::stream::unfold(chunks, |mut chunks: mpsc::Receiver<Bytes>| async move {
        let chunk = chunks.recv().await?;
        Some((
            Ok::<_, std::convert::Infallible>(hyper::body::Frame::data(chunk)),
            chunks,
        ))
    });
    let mut request = Request::new(http_body_util::StreamBody::new(Box::pin(chunks)));
    *request.method_mut() = ask.method;
    *request.headers_mut() = ask.headers;
    let host = http::HeaderValue::from_str(&authority).map_err(|error| Broken(error.to_string()))?;
    request.headers_mut().insert(http::header::HOST, host);
    *request.uri_mut() = ask
        .uri
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .parse()
        .unwrap_or_default();
    let answer = async move {
        let answer = requests.send_request(request).await;
        answer.map_err(|error| Broken(error.to_string()))
    };
    Ok((Out(Way::One(out)), Waiting::One(Box::pin(answer))))
}

impl Out {
    pub(crate) fn send(&mut self, bytes: Bytes) -> Result<(), Broken> {
        match &mut self.0 {
            Way::Two { stream, .. } => stream
                .send_data(bytes, false)
                .map_err(|error| Broken(error.to_string())),
            Way::One(chunks) => chunks
                .try_send(bytes)
                .map_err(|_| Broken("it does not read what it is told".into())),
            Way::Ended => Ok(()),
        }
    }

    /// Nothing more will be said. The other side may go on.
    pub(crate) fn end(&mut self) {
        match &mut self.0 {
            Way::Two { stream, .. } => drop(stream.send_data(Bytes::new(), true)),
            Way::One(_) => self.0 = Way::Ended,
            Way::Ended => {}
        }
    }
}

impl Waiting {
    pub(crate) async fn answer(self) -> Result<Answer, Broken> {
        match self {
            Waiting::Two(answer) => {
                let (head, body) = answer
                    .await
                    .map_err(|error| Broken(error.to_string()))?
                    .into_parts();
                Ok(Answer {
                    status: head.status,
                    headers: head.headers,
                    body: Body::Two(body),
                })
            }
            Waiting::One(answer) => {
                let (head, body) = answer.await?.into_parts();
                Ok(Answer {
                    status: head.status,
                    headers: head.headers,
                    body: Body::One(body),
                })
            }
        }
    }
}

impl Answer {
    /// `None` at its end. May be dropped and called again.
    pub(crate) async fn chunk(&mut self) -> Option<Result<Bytes, Broken>> {
        match &mut self.body {
            Body::Two(stream) => {
                let chunk = stream.data().await?;
                if let Ok(chunk) = &chunk {
                    drop(stream.flow_control().release_capacity(chunk.len()));
                }
                Some(chunk.map_err(|error| Broken(error.to_string())))
            }
            Body::One(body) => loop {
                match body.frame().await? {
                    Ok(frame) => {
                        if let Ok(chunk) = frame.into_data() {
                            return Some(Ok(chunk));
                        }
                    }
                    Err(error) => return Some(Err(Broken(error.to_string()))),
                }
            },
        }
    }

    /// The whole body, of at most so many bytes and in so much time.
    pub(crate) async fn body(&mut self, bytes_max: usize, time: Duration) -> Result<Bytes, Broken> {
        let read = async {
            let mut body = bytes::BytesMut::new();
            while let Some(chunk) = self.chunk().await {
                body.extend_from_slice(&chunk?);
                if body.len() > bytes_max {
                    return Err(Broken(format!("the answer is larger than {bytes_max} bytes")));
                }
            }
            Ok(body.freeze())
        };
        timeout(time, read)
            .await
            .map_err(|_| Broken("the answer does not end".into()))?
    }
}
