//! Starts the server as `compose` does, and talks to it as clients do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::echo::{self, Echo, Strings};
use crate::admin::{About, Admin, Readiness};
use crate::serve::{self, Apps, Grpc, Limits, Listen, MovedBy, Plan, Shutdown};
use crate::telemetry::Metrics;

/// Longer than anything here takes; a test that waits so long has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Server {
    pub(super) strings: Arc<Strings>,
    pub(super) shutdown: Shutdown,
    pub(super) readiness: Readiness,
    pub(super) address: String,
    pub(super) admin: String,
    running: JoinHandle<Result<()>>,
}

pub(super) struct Setup {
    pub(super) limits: Limits,
    pub(super) connections_max: usize,
    pub(super) address: String,
    pub(super) data_dir: Option<std::path::PathBuf>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            limits: Limits::default(),
            connections_max: 100,
            address: "127.0.0.1:0".to_owned(),
            data_dir: None,
        }
    }
}

pub(super) fn listen(name: &'static str, address: &str) -> Listen {
    let moved_by = MovedBy {
        flag: "--listen",
        variable: "BELAY_LISTEN",
        setting: "listen",
    };
    Listen::new(name, address.parse().expect("a good address"), moved_by)
}

impl Setup {
    pub(super) fn start(self) -> Server {
        let (metrics, readiness, strings) = (Metrics::new(), Readiness::default(), Arc::<Strings>::default());
        let mut echo = listen("echo", &self.address);
        echo.connections_max = self.connections_max;
        let plan = Plan {
            listeners: vec![echo, listen("admin", "127.0.0.1:0")],
            runtimes: 2,
            limits: self.limits,
            data_dir: self.data_dir,
            metrics: metrics.clone(),
            readiness: readiness.clone(),
        };
        let bound = serve::bind(plan).expect("free addresses");
        let address = bound.endpoints().addresses["echo"].clone();
        let admin = bound.endpoints().addresses["admin"].clone();
        let shutdown = Shutdown::default();
        let router = Admin {
            about: About::this_binary(),
            readiness: readiness.clone(),
            metrics,
        };
        let apps = Apps::default()
            .grpc("echo", app(strings.clone()))
            .http("admin", router.router());
        Server {
            running: base::task::spawn("server", bound.run(apps, shutdown.clone())),
            strings,
            shutdown,
            readiness,
            address,
            admin,
        }
    }
}

pub(super) fn app(strings: Arc<Strings>) -> Grpc {
    Grpc {
        routes: Arc::new(move |runtime| {
            Routes::new(Echo {
                strings: strings.clone(),
                runtime,
            })
        }),
        descriptors: vec![echo::descriptors()],
        services: vec![echo::NAME],
        waiting: vec![],
        flow_control: Default::default(),
        keep_alive: None,
    }
}

impl Server {
    pub(super) fn start() -> Server {
        Setup::default().start()
    }

    /// A new connection of its own, made at once.
    pub(super) async fn client(&self) -> Client {
        Client::connect(&self.address).await.expect("it listens")
    }

    /// Until the server has stopped; it must have been asked to.
    pub(super) async fn stopped(self) {
        let stopped = tokio::time::timeout(PATIENCE, self.running)
            .await
            .expect("in time");
        stopped.expect("no panic").expect("in order");
    }

    /// Status and body of an administrative request.
    pub(super) async fn get(&self, path: &str) -> (u16, String) {
        get(&self.admin, path).await.expect("administration answers")
    }
}

/// Waits until nobody listens there. A process that another test starts holds copies of our sockets for a moment.
pub(in crate::serve) async fn closes(address: &str) {
    let closed = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, closed)
        .await
        .expect("somebody still listens");
}

pub(super) async fn get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: belay\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status.expect("a status line"), body.to_owned()))
}

/// A client of `test.Echo` with one connection.
#[derive(Clone)]
pub(super) struct Client {
    channel: Channel,
    grpc: tonic::client::Grpc<Channel>,
}

impl Client {
    pub(super) async fn connect(address: &str) -> std::result::Result<Client, tonic::transport::Error> {
        let uri = match address.strip_prefix("unix:") {
            Some(path) => format!("unix://{}", Path::new(path).display()),
            None => format!("http://{address}"),
        };
        let channel = Endpoint::from_shared(uri)?
            .connect_timeout(PATIENCE)
            .connect()
            .await?;
        Ok(Client {
            grpc: tonic::client::Grpc::new(channel.clone()),
            channel,
        })
    }

    pub(super) fn channel(self) -> Channel {
        self.channel
    }

    pub(super) async fn call(&mut self, text: impl Into<String>) -> std::result::Result<String, Status> {
        self.call_with(Request::new(text.into())).await
    }

    pub(super) async fn call_with(
        &mut self,
        request: Request<String>,
    ) -> std::result::Result<String, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static("/test.Echo/Call");
        let codec = ProstCodec::<String, String>::default();
        let answered = tokio::time::timeout(PATIENCE, self.grpc.unary(request, path, codec)).await;
        Ok(answered.expect("in time")?.into_inner())
    }

    pub(super) async fn stream(
        &mut self,
        text: &str,
    ) -> std::result::Result<tonic::Streaming<String>, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static("/test.Echo/Stream");
        let codec = ProstCodec::<String, String>::default();
        let answered = self
            .grpc
            .server_streaming(Request::new(text.to_owned()), path, codec)
            .await;
        Ok(answered?.into_inner())
    }

    pub(super) async fn upload(
        &mut self,
        messages: impl futures::Stream<Item = String> + Send + 'static,
    ) -> std::result::Result<String, Status> {
        self.ready().await?;
        let path = PathAndQuery::from_static("/test.Echo/Upload");
        let codec = ProstCodec::<String, String>::default();
        let answered = self.grpc.client_streaming(Request::new(messages), path, codec);
        let answered = tokio::time::timeout(PATIENCE, answered).await;
        Ok(answered.expect("in time")?.into_inner())
    }

    async fn ready(&mut self) -> std::result::Result<(), Status> {
        self.grpc
            .ready()
            .await
            .map_err(|cause| Status::unavailable(cause.to_string()))
    }
}
