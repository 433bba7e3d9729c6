//! The family with a deployment that a test plays: real connections, and every frame in the test's hands.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use base::time::SystemClock;
use base::{Timestamp, task};
use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use prost::Message;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tower::ServiceExt;

use crate::frame::{self, Decoder};
use crate::{Defaults, Service, Talker};

mod appended;
mod filled;
mod ingress;
mod old_admin;
mod people;
mod played;
mod traps;

const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct World {
    pub(crate) service: Service,
    /// Requests to the deployment that wait to be played.
    attempts: mpsc::Receiver<Attempt>,
    uri: String,
}

/// A request that goes on: what Belay says, and what the deployment answers.
pub(crate) struct Attempt {
    pub(crate) path: String,
    pub(crate) content_type: String,
    pub(crate) headers: http::HeaderMap,
    body: h2::RecvStream,
    decoder: Decoder,
    answer: h2::server::SendResponse<Bytes>,
    out: Option<h2::SendStream<Bytes>>,
}

impl World {
    /// A deployment that says it speaks these versions. It is not registered yet.
    pub(crate) async fn new(versions: (u32, u32)) -> World {
        let clock = Arc::new(SystemClock::starting(Timestamp(0)));
        World::over(Arc::new(testkit::Memory::new(clock)), versions).await
    }

    pub(crate) async fn over(kv: Arc<dyn ports::kv::Kv>, versions: (u32, u32)) -> World {
        let talker = Talker::new(None);
        let engine = testkit::engine_with(kv, Arc::new(talker.clone())).await;
        let service = Service::start(engine, Defaults::default(), &talker).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let uri = format!("http://{}", listener.local_addr().expect("an address"));
        let (to, attempts) = mpsc::channel(16);
        drop(task::spawn("deployment", serve(listener, versions, to)));
        World {
            service: service.expect("an empty store"),
            attempts,
            uri,
        }
    }

    pub(crate) async fn registered(versions: (u32, u32)) -> World {
        let world = World::new(versions).await;
        let (status, json) = world.register().await;
        assert_eq!(status, StatusCode::CREATED, "{json}");
        world
    }

    pub(crate) async fn register(&self) -> (StatusCode, Value) {
        let body = serde_json::json!({ "uri": self.uri });
        self.admin("POST", "/deployments", &body.to_string()).await
    }

    pub(crate) async fn admin(&self, method: &str, path: &str, body: &str) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let response = self.service.admin.router().oneshot(request).await;
        read(response.expect("a router always answers")).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> (StatusCode, Value) {
        read(post(&self.service, path, body).await).await
    }

    /// A call whose answer is waited for later.
    pub(crate) fn call(&self, path: &'static str) -> tokio::task::JoinHandle<(StatusCode, Value)> {
        let service = self.service.clone();
        task::spawn(
            "call",
            async move { read(post(&service, path, "\"in\"").await).await },
        )
    }

    pub(crate) async fn attempt(&mut self) -> Attempt {
        let attempt = timeout(PATIENCE, self.attempts.recv()).await;
        attempt
            .expect("an attempt in time")
            .expect("the deployment lives")
    }
}

async fn post(service: &Service, path: &str, body: &str) -> Response<Body> {
    let request = Request::builder().method("POST").uri(path);
    let request = request.header("content-type", "application/json");
    let request = request.body(Body::from(body.to_owned())).expect("a request");
    service.ingress.answer(request).await
}

async fn read(response: Response<Body>) -> (StatusCode, Value) {
    let status = response.status();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn serve(listener: TcpListener, versions: (u32, u32), to: mpsc::Sender<Attempt>) {
    while let Ok((stream, _)) = listener.accept().await {
        let to = to.clone();
        drop(task::spawn("connection", async move {
            let mut connection = h2::server::handshake(stream).await.expect("HTTP/2");
            while let Some(Ok((request, answer))) = connection.accept().await {
                if request.uri().path() == "/discover" {
                    discover(versions, answer);
                    continue;
                }
                let (head, body) = request.into_parts();
                let content_type = head.headers["content-type"].to_str().expect("a text");
                let attempt = Attempt {
                    path: head.uri.path().to_owned(),
                    content_type: content_type.to_owned(),
                    headers: head.headers.clone(),
                    body,
                    decoder: Decoder::default(),
                    answer,
                    out: None,
                };
                drop(to.send(attempt).await);
            }
        }));
    }
}

fn discover((min, max): (u32, u32), mut answer: h2::server::SendResponse<Bytes>) {
    let handlers =
        serde_json::json!([{ "name": "add", "ty": "EXCLUSIVE" }, { "name": "get", "ty": "SHARED" }]);
    let signup =
        serde_json::json!([{ "name": "run", "ty": "WORKFLOW" }, { "name": "approve", "ty": "SHARED" }]);
    let manifest = serde_json::json!({
        "protocolMode": "BIDI_STREAM", "minProtocolVersion": min, "maxProtocolVersion": max,
        "services": [
            { "name": "Counter", "ty": "VIRTUAL_OBJECT", "handlers": handlers },
            { "name": "Signup", "ty": "WORKFLOW", "handlers": signup },
            { "name": "Plain", "ty": "SERVICE", "handlers": [{ "name": "run" }, { "name": "callee" }] },
        ],
    });
    let head = Response::builder().header("content-type", "application/vnd.restate.endpointmanifest.v1+json");
    let mut out = answer
        .send_response(head.body(()).expect("a head"), false)
        .expect("it is open");
    out.send_data(manifest.to_string().into(), true)
        .expect("it is open");
}

impl Attempt {
    /// What Belay says next; nothing more within a moment: `None`, and the same when it has ended its side.
    pub(crate) async fn heard(&mut self) -> Option<(u16, u16, Bytes)> {
        loop {
            if let Some(frame) = self.decoder.next().expect("small frames") {
                return Some((frame.kind, frame.flags, frame.body));
            }
            let piece = timeout(PATIENCE, self.body.data())
                .await
                .expect("a frame in time")?;
            let piece = piece.expect("the request goes on");
            drop(self.body.flow_control().release_capacity(piece.len()));
            self.decoder.push(&piece);
        }
    }

    /// So many bytes of what Belay says, or a little more, whatever they mean.
    pub(crate) async fn bytes(&mut self, least: usize) -> BytesMut {
        let mut bytes = BytesMut::new();
        while bytes.len() < least {
            let piece = timeout(PATIENCE, self.body.data()).await.expect("more in time");
            let piece = piece.expect("more").expect("the request goes on");
            drop(self.body.flow_control().release_capacity(piece.len()));
            bytes.extend_from_slice(&piece);
        }
        bytes
    }

    /// The next one, which has to be of that kind.
    pub(crate) async fn expect<M: Message + Default>(&mut self, kind: u16, flags: u16) -> M {
        let (seen, seen_flags, body) = self.heard().await.expect("a frame");
        assert_eq!((seen, seen_flags), (kind, flags));
        M::decode(body).expect("that message")
    }

    pub(crate) fn answer(&mut self, status: u16) {
        let head = Response::builder()
            .status(status)
            .header("content-type", &self.content_type)
            .body(())
            .expect("a head");
        self.out = self.answer.send_response(head, status != 200).ok();
    }

    pub(crate) fn say(&mut self, kind: u16, flags: u16, message: &impl Message) {
        let mut bytes = BytesMut::new();
        frame::put(&mut bytes, kind, flags, message);
        self.say_bytes(bytes.freeze());
    }

    pub(crate) fn say_bytes(&mut self, bytes: Bytes) {
        if self.out.is_none() {
            self.answer(200);
        }
        let out = self.out.as_mut().expect("it answered");
        out.send_data(bytes, false).expect("it is open");
    }

    pub(crate) fn end(mut self) {
        if let Some(out) = &mut self.out {
            out.send_data(Bytes::new(), true).expect("it is open");
        }
    }
}
