//! `test.Echo`: a hand-made service whose requests say what it does. Messages are plain texts.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use http::{Request, Response};
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::server::{ClientStreamingService, Grpc, NamedService, ServerStreamingService, UnaryService};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

pub(super) const NAME: &str = "test.Echo";

/// What the test and the service share.
#[derive(Default)]
pub(super) struct Strings {
    /// One permit for each call that has begun to wait or spin.
    pub(super) begun: Pulse,
    /// Lets calls that wait go on.
    pub(super) release: Pulse,
    /// Lets calls that spin go on.
    pub(super) spun_enough: AtomicBool,
}

/// A semaphore that begins without permits.
pub(super) struct Pulse(Semaphore);

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse(Semaphore::new(0))
    }
}

impl Pulse {
    pub(super) fn give(&self) {
        self.0.add_permits(1);
    }

    pub(super) async fn take(&self) {
        self.0.acquire().await.expect("never closed").forget();
    }
}

#[derive(Clone)]
pub(super) struct Echo {
    pub(super) strings: Arc<Strings>,
    /// The runtime it was made on.
    pub(super) runtime: usize,
}

impl Echo {
    /// | text | answer |
    /// |---|---|
    /// | `runtime` | the number of the runtime |
    /// | `trace` | the trace context |
    /// | `wait` | nothing until it is released |
    /// | `spin` | keeps its thread busy until it has spun enough |
    /// | `panic` | |
    /// | anything else | itself |
    async fn answer(self, text: String) -> String {
        match text.as_str() {
            "runtime" => self.runtime.to_string(),
            "trace" => base::trace::current_traceparent().unwrap_or_default(),
            "wait" => {
                self.strings.begun.give();
                self.strings.release.take().await;
                "released".to_owned()
            }
            "spin" => {
                self.strings.begun.give();
                while !self.strings.spun_enough.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                text
            }
            "panic" => panic!("as asked"),
            _ => text,
        }
    }

    /// `news`: one message, then silence; `panic`: one message, then that; a number: so many messages of 64 KiB.
    fn stream(text: &str) -> BoxStream<'static, Result<String, Status>> {
        let hello = futures::stream::iter([Ok("hello".to_owned())]);
        match text {
            "news" => hello.chain(futures::stream::pending()).boxed(),
            "panic" => {
                let panicking = async {
                    // Lets the first message go out on its own.
                    tokio::task::yield_now().await;
                    panic!("as asked")
                };
                hello.chain(futures::stream::once(panicking)).boxed()
            }
            count => {
                let count = count.parse().expect("a number of messages");
                futures::stream::iter((0..count).map(|_| Ok("x".repeat(64 << 10)))).boxed()
            }
        }
    }
}

impl NamedService for Echo {
    const NAME: &'static str = NAME;
}

impl tower::Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let echo = self.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<String, String>::default());
            Ok(match request.uri().path() {
                "/test.Echo/Call" => grpc.unary(Call(echo), request).await,
                "/test.Echo/Stream" => grpc.server_streaming(Stream, request).await,
                "/test.Echo/Upload" => grpc.client_streaming(Upload, request).await,
                path => panic!("{path} is not described"),
            })
        })
    }
}

struct Call(Echo);

impl UnaryService<String> for Call {
    type Response = String;
    type Future = BoxFuture<'static, Result<tonic::Response<String>, Status>>;

    fn call(&mut self, request: tonic::Request<String>) -> Self::Future {
        let answer = self.0.clone().answer(request.into_inner());
        Box::pin(async { Ok(tonic::Response::new(answer.await)) })
    }
}

struct Stream;

impl ServerStreamingService<String> for Stream {
    type Response = String;
    type ResponseStream = BoxStream<'static, Result<String, Status>>;
    type Future = BoxFuture<'static, Result<tonic::Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: tonic::Request<String>) -> Self::Future {
        let stream = Echo::stream(request.get_ref());
        Box::pin(async { Ok(tonic::Response::new(stream)) })
    }
}

/// Counts bytes; a first message of `refuse` is refused at once, with the rest unread.
struct Upload;

impl ClientStreamingService<String> for Upload {
    type Response = String;
    type Future = BoxFuture<'static, Result<tonic::Response<String>, Status>>;

    fn call(&mut self, request: tonic::Request<Streaming<String>>) -> Self::Future {
        Box::pin(async {
            let mut messages = request.into_inner();
            let mut bytes = 0;
            while let Some(message) = messages.message().await? {
                if message == "refuse" {
                    return Err(Status::invalid_argument("the mode is missing"));
                }
                bytes += message.len();
            }
            Ok(tonic::Response::new(bytes.to_string()))
        })
    }
}

/// The service's descriptors, as a code generator would write them.
pub(super) fn descriptors() -> &'static [u8] {
    let method = |name: &str, client_streaming, server_streaming| MethodDescriptorProto {
        name: Some(name.to_owned()),
        client_streaming: Some(client_streaming),
        server_streaming: Some(server_streaming),
        ..MethodDescriptorProto::default()
    };
    let service = ServiceDescriptorProto {
        name: Some("Echo".to_owned()),
        method: vec![
            method("Call", false, false),
            method("Stream", false, true),
            method("Upload", true, false),
        ],
        ..ServiceDescriptorProto::default()
    };
    let file = FileDescriptorProto {
        name: Some("test/echo.proto".to_owned()),
        package: Some("test".to_owned()),
        service: vec![service],
        ..FileDescriptorProto::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec().leak()
}
