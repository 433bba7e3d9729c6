//! A Belay, a user function, and clients of both kinds.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::Value;
use tempfile::TempDir;
use tests::Belay;
use tests::volume::Volume;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::function::{self, Function, Sdk};

pub(crate) struct World {
    pub(crate) belay: Belay,
    pub(crate) function: Function,
    work: TempDir,
    http: Client<HttpConnector, Full<Bytes>>,
}

/// Longer than any of these programs takes to answer.
const ANSWER: Duration = Duration::from_secs(20);

impl World {
    /// Everything is discovered.
    pub(crate) async fn start(sdk: &Sdk) -> World {
        World::start_with(sdk, "").await
    }

    /// `config`: further lines of `belay.yaml`.
    pub(crate) async fn start_with(sdk: &Sdk, config: &str) -> World {
        World::start_belay(sdk, config, async |config| Belay::run(config).await).await
    }

    /// With its data on that volume.
    pub(crate) async fn start_on(sdk: &Sdk, config: &str, volume: Arc<Volume>) -> World {
        World::start_belay(sdk, config, async |config| Belay::run_on(config, volume).await).await
    }

    async fn start_belay(sdk: &Sdk, config: &str, start: impl AsyncFnOnce(&str) -> Belay) -> World {
        let work = tempfile::tempdir().expect("a temporary folder");
        let function = Function::start(sdk, work.path()).await;
        let url = format!("http://127.0.0.1:{}", function.port);
        let belay = start(&format!("functions: [{{ url: '{url}' }}]\n{config}")).await;
        let world = World {
            belay,
            function,
            work,
            http: Client::builder(hyper_util::rt::TokioExecutor::new()).build_http(),
        };
        world.ready().await;
        world
    }

    pub(crate) async fn ready(&self) {
        let what = "the function to be discovered";
        tests::eventually(what, || async {
            let (status, text) = self.http("GET", &self.belay.admin, "/ready", "").await?;
            (status == 200).then_some(text)
        })
        .await;
    }

    /// Belay is killed and started again over the same data.
    pub(crate) async fn restart_belay(mut self) -> World {
        self.belay = self.belay.restart().await;
        self.ready().await;
        self
    }

    /// Starts the function again, where it was.
    pub(crate) async fn start_function(&mut self, sdk: &Sdk) {
        let function = Function::start_at(sdk, self.work.path(), self.function.port).await;
        self.function = function.unwrap_or_else(|| panic!("its port is its own: {}", self.said()));
    }

    pub(crate) fn said(&self) -> String {
        format!(
            "{}\nbelay: {}",
            function::said(self.work.path()),
            self.belay.log()
        )
    }

    async fn http(&self, method: &str, host: &str, path: &str, body: &str) -> Option<(u16, String)> {
        let request = http::Request::builder()
            .method(method)
            .uri(format!("http://{host}{path}"))
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
            .expect("a request");
        let asked = async {
            let response = self.http.request(request).await.ok()?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.ok()?.to_bytes();
            Some((status, String::from_utf8_lossy(&body).into_owned()))
        };
        tokio::time::timeout(ANSWER, asked)
            .await
            .expect("an answer in time")
    }

    /// Status and body of a call through the front door.
    pub(crate) async fn call(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let answer = self.http(method, &self.belay.functions, path, body).await;
        answer.unwrap_or_else(|| panic!("{method} {path} has no answer\n{}", self.said()))
    }

    /// `None`: Belay was killed, or the function.
    pub(crate) async fn try_call(&self, method: &str, path: &str, body: &str) -> Option<(u16, String)> {
        self.http(method, &self.belay.functions, path, body).await
    }

    pub(crate) async fn json(&self, path: &str) -> Value {
        let (status, text) = self.call("GET", path, "").await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Rows of an answer to a question.
    pub(crate) async fn sql(&self, question: &str) -> Vec<Value> {
        let body = serde_json::json!({ "query": question }).to_string();
        let answer = self.http("POST", &self.belay.admin, "/query", &body).await;
        let (status, text) = answer.expect("an answer");
        assert_eq!(status, 200, "{question}: {text}");
        let mut json: Value = serde_json::from_str(&text).expect("JSON");
        match json["rows"].take() {
            Value::Array(rows) => rows,
            other => panic!("{question}: {other}"),
        }
    }

    fn door(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.belay.functions)).expect("an address")
    }

    pub(crate) async fn grpc(&self) -> Grpc {
        Grpc::to(&self.door()).await
    }

    /// A client that takes not one byte of an answer, so that none can leave.
    pub(crate) async fn deaf(&self) -> Grpc {
        Grpc::to(&self.door().initial_stream_window_size(0)).await
    }
}

/// A client that knows the messages.
#[derive(Clone)]
pub(crate) struct Grpc(tonic::client::Grpc<Channel>);

impl Grpc {
    async fn to(door: &Endpoint) -> Grpc {
        let channel = door.connect().await.expect("it listens");
        Grpc(tonic::client::Grpc::new(channel))
    }

    pub(crate) async fn call<In, Out>(&mut self, path: &'static str, message: In) -> Result<Out, Status>
    where
        In: prost::Message + 'static,
        Out: prost::Message + Default + 'static,
    {
        let answer = self.request(path, Request::new(message)).await;
        answer.map(tonic::Response::into_inner)
    }

    pub(crate) async fn request<In, Out>(
        &mut self,
        path: &'static str,
        request: Request<In>,
    ) -> Result<tonic::Response<Out>, Status>
    where
        In: prost::Message + 'static,
        Out: prost::Message + Default + 'static,
    {
        self.0.ready().await.expect("it listens");
        let path = http::uri::PathAndQuery::from_static(path);
        let asked = self.0.unary(request, path, ProstCodec::<In, Out>::default());
        tokio::time::timeout(ANSWER, asked)
            .await
            .expect("an answer in time")
    }

    /// With streams on both sides; one message is a stream as well.
    pub(crate) async fn stream<In, Out>(
        &mut self,
        path: &'static str,
        messages: Vec<In>,
    ) -> Result<Vec<Out>, Status>
    where
        In: prost::Message + 'static,
        Out: prost::Message + Default + 'static,
    {
        self.0.ready().await.expect("it listens");
        let path = http::uri::PathAndQuery::from_static(path);
        let messages = Request::new(futures::stream::iter(messages));
        let asked = async {
            let answer = self.0.streaming(messages, path, ProstCodec::<In, Out>::default());
            let mut stream = answer.await?.into_inner();
            let mut heard = vec![];
            while let Some(message) = stream.message().await? {
                heard.push(message);
            }
            Ok(heard)
        };
        tokio::time::timeout(ANSWER, asked)
            .await
            .expect("an answer in time")
    }
}
