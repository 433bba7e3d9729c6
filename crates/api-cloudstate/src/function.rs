//! A user function: where it is, connections to it, and what is said to those who run it.

use std::error::Error as _;
use std::sync::Arc;
use std::task::{Context, Poll};

use base::cork::Corked;
use base::{Error, codes, limits, task};
use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use wire::cloudstate::UserFunctionError;
use wire::cloudstate::entity_discovery_client::EntityDiscoveryClient;

use crate::entity::Places;

#[derive(Clone)]
pub(crate) struct Function(Arc<Shared>);

struct Shared {
    /// Host and port.
    authority: String,
    /// One for each runtime, so that a call changes no thread.
    channels: Mutex<Vec<(tokio::runtime::Id, Channel)>>,
    places: Places,
    /// Reports on their way.
    reports: Arc<Semaphore>,
}

impl Function {
    pub(crate) fn at(authority: &str) -> Function {
        Function(Arc::new(Shared {
            authority: authority.to_owned(),
            channels: Mutex::default(),
            places: Places::default(),
            reports: Arc::new(Semaphore::new(limits::FUNCTION_REPORTS_MAX)),
        }))
    }

    pub(crate) fn authority(&self) -> &str {
        &self.0.authority
    }

    /// Entities that have a stream.
    pub(crate) fn places(&self) -> &Places {
        &self.0.places
    }

    /// This runtime's connection. One that breaks is made again by the next call.
    pub(crate) fn channel(&self) -> Channel {
        let runtime = tokio::runtime::Handle::current().id();
        let mut channels = self.0.channels.lock();
        if let Some((_, channel)) = channels.iter().find(|(owner, _)| *owner == runtime) {
            return channel.clone();
        }
        let channel = self.connect();
        channels.push((runtime, channel.clone()));
        channel
    }

    fn connect(&self) -> Channel {
        let authority = self.0.authority.clone();
        let endpoint = Endpoint::from_shared(format!("http://{authority}"))
            .unwrap_or_else(|_| Endpoint::from_static("http://function"))
            .http2_keep_alive_interval(limits::KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(limits::KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true);
        let connect = move |_| {
            let authority = authority.clone();
            async move { connect(&authority).await.map(TokioIo::new).map_err(NotConnected) }
        };
        endpoint.connect_with_connector_lazy(tower::service_fn(connect))
    }

    /// A connection of its own, and the task that ends when that does.
    pub(crate) async fn line(&self) -> base::Result<(Line, JoinHandle<()>)> {
        let stream = connect(self.authority())
            .await
            .map_err(|cause| self.unreachable(&cause))?;
        let (requests, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(limits::KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(limits::KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|cause| self.unreachable(&cause))?;
        let driven = task::spawn("user function", async move { drop(connection.await) });
        let line = Line {
            requests,
            authority: self.authority().to_owned(),
        };
        Ok((line, driven))
    }

    pub(crate) fn unreachable(&self, why: &dyn std::fmt::Display) -> Error {
        let message = format!("user function {} cannot be reached: {why}", self.authority());
        Error::new(codes::FUNCTION_UNREACHABLE, message)
    }

    /// Tells those who run the function. That it fails is nobody's business: some SDKs never take a report.
    pub(crate) fn report(&self, message: String) {
        tracing::warn!(function = self.authority(), message, "a user function was told");
        let Ok(permit) = self.0.reports.clone().try_acquire_owned() else {
            return;
        };
        let mut client = EntityDiscoveryClient::new(self.channel());
        drop(task::spawn("report", async move {
            let told = client.report_error(UserFunctionError { message });
            drop(timeout(limits::FUNCTION_REPORT, told).await);
            drop(permit);
        }));
    }
}

/// A connection that never came about.
#[derive(Debug)]
struct NotConnected(std::io::Error);

impl std::fmt::Display for NotConnected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for NotConnected {}

/// Why there was no connection for a call, if that is why it failed.
pub(crate) fn not_connected(status: &Status) -> Option<String> {
    let mut cause = status.source();
    while let Some(error) = cause {
        if let Some(NotConnected(why)) = error.downcast_ref() {
            return Some(why.to_string());
        }
        cause = error.source();
    }
    None
}

async fn connect(authority: &str) -> std::io::Result<Corked<TcpStream>> {
    let connecting = timeout(limits::FUNCTION_CONNECT, TcpStream::connect(authority));
    let stream = connecting
        .await
        .map_err(|_| std::io::Error::other("no answer in time"))??;
    stream.set_nodelay(true)?;
    Ok(Corked::new(stream))
}

/// Requests on one connection.
#[derive(Clone)]
pub(crate) struct Line {
    requests: http2::SendRequest<Body>,
    authority: String,
}

impl tower::Service<Request<Body>> for Line {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Response<Incoming>, hyper::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.requests.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let uri = Uri::builder().scheme("http").authority(self.authority.as_str());
        if let Ok(uri) = uri.path_and_query(path).build() {
            *request.uri_mut() = uri;
        }
        Box::pin(self.requests.send_request(request))
    }
}
