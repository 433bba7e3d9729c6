//! A user function: where it is, connections to it, and what is said to those who run it.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use base::cork::Corked;
use base::{Error, codes, limits, task};
use futures::future::BoxFuture;
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::body::Body;
use wire::cloudstate::UserFunctionError;
use wire::cloudstate::entity_discovery_client::EntityDiscoveryClient;

use crate::entity::Places;

#[derive(Clone)]
pub(crate) struct Function(Arc<Shared>);

struct Shared {
    /// Host and port.
    authority: String,
    /// One for each runtime.
    lines: Mutex<HashMap<tokio::runtime::Id, Line>>,
    connecting: tokio::sync::Mutex<()>,
    places: Places,
    /// Reports on their way.
    reports: Arc<Semaphore>,
}

impl Function {
    pub(crate) fn at(authority: &str) -> Function {
        Function(Arc::new(Shared {
            authority: authority.to_owned(),
            lines: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
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

    /// This runtime's connection, so that a call changes no thread. One that has ended is made again.
    pub(crate) async fn here(&self) -> base::Result<Line> {
        let runtime = tokio::runtime::Handle::current().id();
        if let Some(line) = self.open(runtime) {
            return Ok(line);
        }
        // Whoever waits longer than one attempt takes is not queued behind the next ones.
        let _one_at_a_time = timeout(limits::FUNCTION_CONNECT, self.0.connecting.lock())
            .await
            .map_err(|_| self.unreachable(&"no connection in time"))?;
        if let Some(line) = self.open(runtime) {
            return Ok(line);
        }
        let (line, _driven) = self.line().await?;
        self.0.lines.lock().insert(runtime, line.clone());
        Ok(line)
    }

    fn open(&self, runtime: tokio::runtime::Id) -> Option<Line> {
        let lines = self.0.lines.lock();
        let line = lines.get(&runtime)?;
        (!line.requests.is_closed()).then(|| line.clone())
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
            .initial_stream_window_size(limits::FUNCTION_WINDOW_BYTES)
            .initial_connection_window_size(limits::FUNCTION_CONNECTION_WINDOW_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|cause| self.unreachable(&cause))?;
        let driven = task::spawn("user function", async move { drop(connection.await) });
        let authority = self
            .authority()
            .parse()
            .map_err(|cause| self.unreachable(&cause))?;
        let line = Line { requests, authority };
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
        let function = self.clone();
        drop(task::spawn("report", async move {
            let told = async {
                let mut client = EntityDiscoveryClient::new(function.here().await.ok()?);
                client.report_error(UserFunctionError { message }).await.ok()
            };
            drop(timeout(limits::FUNCTION_REPORT, told).await);
            drop(permit);
        }));
    }
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
    authority: Authority,
}

impl tower::Service<Request<Body>> for Line {
    type Response = Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Response<Incoming>, hyper::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.requests.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
        Box::pin(self.requests.send_request(request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_the_attempts_of_all_others() {
        let function = Function::at("127.0.0.1:1");
        let _endless = function.0.connecting.lock().await;
        let begin = tokio::time::Instant::now();
        let waiting = (0..100).map(|_| function.here());
        for told in futures::future::join_all(waiting).await {
            let error = told.err().expect("nobody is there");
            assert_eq!(error.code(), codes::FUNCTION_UNREACHABLE);
        }
        assert!(
            begin.elapsed() < 2 * limits::FUNCTION_CONNECT,
            "{:?}",
            begin.elapsed()
        );
    }
}
