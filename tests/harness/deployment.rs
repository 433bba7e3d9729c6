//! A deployment of our own: services in the protocol that Restate's SDKs speak (version 6), small enough to watch closely.
//!
//! It keeps what is said to it to account: a command that is replayed must be the one it said, and a result that it was told of
//! must be told again in every later attempt.

#![allow(
    clippy::disallowed_methods,
    reason = "it stands for somebody else's program: none of Belay's rules hold in it"
)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::UnboundedReceiverStream;
use wire::restate::appended as pb;
use wire::restate::appended::notification_template::{Id, Result as Came};

const CONTENT_TYPE: &str = "application/vnd.restate.invocation.v6";
const MANIFEST: &str = "application/vnd.restate.endpointmanifest.v3+json";

type Body = StreamBody<UnboundedReceiverStream<Result<Frame<Bytes>, Infallible>>>;

/// One handler's code. `None`: the attempt is over before it is.
pub type Handler = Arc<dyn Fn(Context) -> BoxFuture<'static, Option<()>> + Send + Sync>;

/// What must not happen, and what was counted.
#[derive(Default)]
pub struct Account {
    /// Results of runs that were acknowledged, by invocation and completion id.
    acknowledged: BTreeSet<(Vec<u8>, u32)>,
    pub faults: Vec<String>,
    pub runs: u64,
    pub attempts: u64,
}

/// Ends with its drop.
pub struct Deployment {
    pub uri: String,
    pub account: Arc<Mutex<Account>>,
    crashes: watch::Sender<u64>,
    accepting: JoinHandle<()>,
}

impl Deployment {
    /// `manifest`: the services of its manifest, JSON. Handlers by `Service/handler`.
    pub async fn start(services: &str, handlers: BTreeMap<&'static str, Handler>) -> Deployment {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let uri = format!("http://{}", listener.local_addr().expect("it is bound"));
        let manifest = format!(
            r#"{{"protocolMode":"BIDI_STREAM","minProtocolVersion":5,"maxProtocolVersion":6,"services":{services}}}"#
        );
        let account = Arc::new(Mutex::new(Account::default()));
        let crashes = watch::Sender::new(0);
        let shared = Arc::new(Shared {
            manifest,
            handlers,
            account: account.clone(),
        });
        let accepting = tokio::spawn(accept(listener, shared, crashes.clone()));
        Deployment {
            uri,
            account,
            crashes,
            accepting,
        }
    }

    /// Everything that it is doing is gone, and its connections with it. It listens again at once.
    pub fn crash(&self) {
        self.crashes.send_modify(|crashes| *crashes += 1);
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        self.accepting.abort();
        self.crash();
    }
}

struct Shared {
    manifest: String,
    handlers: BTreeMap<&'static str, Handler>,
    account: Arc<Mutex<Account>>,
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, crashes: watch::Sender<u64>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        drop(stream.set_nodelay(true));
        let (shared, mut crashed) = (shared.clone(), crashes.subscribe());
        tokio::spawn(async move {
            let tasks = Arc::new(Mutex::new(vec![]));
            let of_these = tasks.clone();
            let service = service_fn(move |request| {
                let (shared, tasks) = (shared.clone(), of_these.clone());
                async move { Ok::<_, Infallible>(answer(&shared, &tasks, request).await) }
            });
            let connection =
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                _ = connection => {}
                _ = crashed.changed() => {}
            }
            for task in tasks.lock().drain(..) {
                let task: JoinHandle<()> = task;
                task.abort();
            }
        });
    }
}

async fn answer(
    shared: &Arc<Shared>,
    tasks: &Mutex<Vec<JoinHandle<()>>>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (frames, body) = mpsc::unbounded_channel();
    let path = request.uri().path().to_owned();
    let mut response = Response::new(StreamBody::new(UnboundedReceiverStream::new(body)));
    let content_type = if path == "/discover" {
        drop(frames.send(Ok(Frame::data(Bytes::from(shared.manifest.clone())))));
        MANIFEST
    } else {
        let name = path.trim_start_matches("/invoke/");
        match shared.handlers.get(name).cloned() {
            Some(handler) => {
                let (account, mut body) = (shared.account.clone(), request.into_body());
                let task = tokio::spawn(async move {
                    if let Some(context) = Context::begin(account, frames, &mut body).await {
                        let _ended = handler(context.with(body)).await;
                    }
                });
                tasks.lock().push(task);
            }
            None => *response.status_mut() = http::StatusCode::NOT_FOUND,
        }
        CONTENT_TYPE
    };
    let content_type = http::HeaderValue::from_static(content_type);
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, content_type);
    response
}

/// What a handler stands on: it looks as if it ran once.
pub struct Context {
    account: Arc<Mutex<Account>>,
    frames: mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>,
    body: Option<Incoming>,
    bytes: BytesMut,
    id: Vec<u8>,
    pub key: String,
    pub input: Bytes,
    state: BTreeMap<Bytes, Bytes>,
    /// Commands that were said in earlier attempts.
    replayed: VecDeque<(u16, Bytes)>,
    came: BTreeMap<u32, Came>,
    cancelled: bool,
    completions: u32,
}

impl Context {
    async fn begin(
        account: Arc<Mutex<Account>>,
        frames: mpsc::UnboundedSender<Result<Frame<Bytes>, Infallible>>,
        body: &mut Incoming,
    ) -> Option<Context> {
        let mut context = Context {
            account,
            frames,
            body: None,
            bytes: BytesMut::new(),
            id: vec![],
            key: String::new(),
            input: Bytes::new(),
            state: BTreeMap::new(),
            replayed: VecDeque::new(),
            came: BTreeMap::new(),
            cancelled: false,
            completions: 0,
        };
        let (kind, start) = next(&mut context.bytes, body).await?;
        let start = pb::StartMessage::decode(start).expect("a start");
        context.expect(
            kind == 0 && start.known_entries > 0,
            "an attempt begins with something else",
        );
        context.id = start.id.to_vec();
        context.key = start.key;
        context.state = start
            .state_map
            .into_iter()
            .map(|entry| (entry.key, entry.value))
            .collect();
        for number in 0..start.known_entries {
            let (kind, body) = next(&mut context.bytes, body).await?;
            match kind {
                0x0400 => {
                    context.expect(number == 0, "the input is not the first");
                    let input = pb::InputCommandMessage::decode(body).expect("an input");
                    context.input = input.value.unwrap_or_default().content;
                }
                0x8000.. => context.note(body),
                _ => context.replayed.push_back((kind, body)),
            }
        }
        context.account.lock().attempts += 1;
        let account = context.account.clone();
        let of_this = |(id, _): &&(Vec<u8>, u32)| *id == context.id;
        let lost: Vec<_> = account
            .lock()
            .acknowledged
            .iter()
            .filter(of_this)
            .filter(|(_, completion)| !context.came.contains_key(completion))
            .cloned()
            .collect();
        context.expect(
            lost.is_empty(),
            "a result that was acknowledged is not told again",
        );
        Some(context)
    }

    fn with(mut self, body: Incoming) -> Context {
        self.body = Some(body);
        self
    }

    fn expect(&self, holds: bool, otherwise: &str) {
        if !holds {
            self.account.lock().faults.push(otherwise.to_owned());
        }
    }

    fn note(&mut self, body: Bytes) {
        let notification = pb::NotificationTemplate::decode(body).expect("a notification");
        match (notification.id, notification.result) {
            (Some(Id::CompletionId(id)), Some(came)) => drop(self.came.insert(id, came)),
            (Some(Id::SignalId(1)), _) => self.cancelled = true,
            _ => {}
        }
    }

    fn completion(&mut self) -> u32 {
        self.completions += 1;
        self.completions
    }

    fn send(&self, kind: u16, message: &impl Message) {
        let mut bytes = BytesMut::new();
        bytes.put_u16(kind);
        bytes.put_u16(0);
        bytes.put_u32(u32::try_from(message.encoded_len()).expect("it is small"));
        message.encode(&mut bytes).expect("there is room");
        drop(self.frames.send(Ok(Frame::data(bytes.freeze()))));
    }

    /// Says a command, or hears that it was said.
    fn command(&mut self, kind: u16, message: &impl Message) {
        match self.replayed.pop_front() {
            Some(said) => self.expect(
                said == (kind, message.encode_to_vec().into()),
                "a command is not what was said",
            ),
            None => self.send(kind, message),
        }
    }

    /// `None`: the attempt is over.
    async fn wait(&mut self, id: u32) -> Option<Came> {
        while !self.came.contains_key(&id) {
            if self.cancelled {
                self.output(Err(409));
                return None;
            }
            let mut body = self.body.take()?;
            let heard = next(&mut self.bytes, &mut body).await;
            self.body = Some(body);
            match heard {
                Some((_, notification)) => self.note(notification),
                None => {
                    let suspension = pb::SuspensionMessageV6 {
                        waiting_completions: vec![id],
                        waiting_signals: vec![1],
                        waiting_named_signals: vec![],
                    };
                    self.send(0x0001, &suspension);
                    return None;
                }
            }
        }
        self.came.get(&id).cloned()
    }

    /// Of its state, as it was when the attempt began and as it has written it.
    pub fn get(&mut self, key: &'static str) -> Option<Bytes> {
        self.completion();
        let key = Bytes::from_static(key.as_bytes());
        match self.replayed.pop_front() {
            Some((_, said)) => {
                let said = pb::GetEagerStateCommandMessage::decode(said).expect("an eager read");
                match said.result {
                    Some(pb::get_eager_state_command_message::Result::Value(value)) => Some(value.content),
                    _ => None,
                }
            }
            None => {
                use pb::get_eager_state_command_message::Result;
                let value = self.state.get(&key).cloned();
                let result = match value.clone() {
                    Some(content) => Result::Value(pb::Value { content }),
                    None => Result::Void(pb::Void {}),
                };
                let command = pb::GetEagerStateCommandMessage {
                    key: key.clone(),
                    name: String::new(),
                    result: Some(result),
                };
                self.send(0x0407, &command);
                value
            }
        }
    }

    pub fn set(&mut self, key: &'static str, value: Bytes) {
        let key = Bytes::from_static(key.as_bytes());
        self.state.insert(key.clone(), value.clone());
        let command = pb::SetStateCommandMessage {
            key,
            value: Some(pb::Value { content: value }),
            name: String::new(),
        };
        self.command(0x0403, &command);
    }

    /// A step of its own.
    pub async fn run(&mut self, result: &'static str) -> Option<Bytes> {
        let id = self.completion();
        let command = pb::RunCommandMessage {
            result_completion_id: id,
            name: "step".into(),
        };
        self.command(0x0411, &command);
        if !self.came.contains_key(&id) {
            self.account.lock().runs += 1;
            let proposal = pb::ProposeRunCompletionMessage {
                result_completion_id: id,
                result: Some(pb::propose_run_completion_message::Result::Value(
                    Bytes::from_static(result.as_bytes()),
                )),
            };
            self.send(0x0005, &proposal);
        }
        let came = self.wait(id).await?;
        self.account.lock().acknowledged.insert((self.id.clone(), id));
        match came {
            Came::Value(value) => Some(value.content),
            _ => None,
        }
    }

    pub async fn sleep(&mut self, until_ms: u64) -> Option<()> {
        let id = self.completion();
        let until = match self.replayed.front() {
            Some((_, said)) => {
                pb::SleepCommandMessage::decode(said.clone())
                    .expect("a sleep")
                    .wake_up_time
            }
            None => until_ms,
        };
        let command = pb::SleepCommandMessage {
            wake_up_time: until,
            result_completion_id: id,
            name: String::new(),
        };
        self.command(0x040c, &command);
        self.wait(id).await.map(drop)
    }

    pub async fn call(&mut self, service: &str, handler: &str, key: &str, parameter: Bytes) -> Option<Bytes> {
        let (callee, id) = (self.completion(), self.completion());
        let command = pb::CallCommandMessage {
            service_name: service.into(),
            handler_name: handler.into(),
            key: key.into(),
            parameter,
            invocation_id_notification_idx: callee,
            result_completion_id: id,
            ..pb::CallCommandMessage::default()
        };
        self.command(0x040d, &command);
        match self.wait(id).await? {
            Came::Value(value) => Some(value.content),
            _ => Some(Bytes::new()),
        }
    }

    /// The attempt fails: there will be another one.
    pub fn fail(&self) {
        let error = pb::ErrorMessage {
            code: 500,
            message: "on purpose".into(),
            ..pb::ErrorMessage::default()
        };
        self.send(0x0002, &error);
    }

    /// And the end.
    pub fn output(&mut self, result: Result<Bytes, u32>) {
        use pb::output_command_message::Result as Output;
        let result = match result {
            Ok(content) => Output::Value(pb::Value { content }),
            Err(code) => Output::Failure(pb::Failure {
                code,
                message: "cancelled".into(),
                metadata: vec![],
            }),
        };
        let command = pb::OutputCommandMessage {
            result: Some(result),
            name: String::new(),
        };
        self.command(0x0401, &command);
        self.send(0x0003, &pb::EndMessage {});
    }
}

/// `None`: nothing more comes.
async fn next(bytes: &mut BytesMut, body: &mut Incoming) -> Option<(u16, Bytes)> {
    loop {
        if let Some(mut header) = bytes.first_chunk::<8>().map(|header| &header[..]) {
            let (kind, _, length) = (header.get_u16(), header.get_u16(), header.get_u32() as usize);
            if bytes.len() >= 8 + length {
                bytes.advance(8);
                return Some((kind, bytes.split_to(length).freeze()));
            }
        }
        let frame = body.frame().await?.ok()?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
}
