//! A few HTTP/2 connections to the application.
//!
//! The first is kept, so that its loss is noticed. Another one is opened when all that are open are busy,
//! up to a limit; beyond it calls queue on the least busy one, as they do when the application takes only so many streams
//! at once. Ones that have nothing to do are closed again.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use base::cork::Corked;
use base::{limits, task};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::sync::watch;
use tonic::Status;
use tonic::body::Body;
use wire::layotto::app_callback_client::AppCallbackClient;

use super::Address;

pub(super) struct Pool {
    address: Address,
    connections: Mutex<Vec<Connection>>,
    /// One connects at a time.
    connecting: tokio::sync::Mutex<()>,
    /// Counts the connections that were lost, and the attempts that failed.
    lost: watch::Sender<u64>,
}

struct Connection {
    requests: SendRequest<Body>,
    load: Arc<Load>,
}

#[derive(Default)]
struct Load {
    calls: AtomicUsize,
    /// Since it was last looked at.
    used: AtomicBool,
}

/// A connection as long as a call is on it.
struct Lease {
    requests: SendRequest<Body>,
    load: Arc<Load>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.load.calls.fetch_sub(1, Relaxed);
    }
}

/// The call did not reach the application.
#[derive(Debug)]
pub(super) struct Unsent(String);

impl Unsent {
    /// Whether that is why a call failed.
    pub(super) fn of(status: &Status) -> Option<&Unsent> {
        let mut source = std::error::Error::source(status);
        while let Some(error) = source {
            if let Some(unsent) = error.downcast_ref() {
                return Some(unsent);
            }
            source = error.source();
        }
        None
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsent {}

impl Pool {
    pub(super) fn new(address: Address) -> Arc<Pool> {
        Arc::new(Pool {
            address,
            connections: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            lost: watch::Sender::new(0),
        })
    }

    pub(super) fn client(self: &Arc<Pool>) -> AppCallbackClient<Calls> {
        AppCallbackClient::with_origin(Calls(self.clone()), self.address.origin())
    }

    /// Changes with every connection that is lost, and every attempt to connect that fails.
    pub(super) fn lost(&self) -> watch::Receiver<u64> {
        self.lost.subscribe()
    }

    #[cfg(test)]
    pub(super) fn connection_count(&self) -> usize {
        self.connections.lock().len()
    }

    /// Closes connections that had nothing to do since the last call, but one.
    pub(super) fn trim(&self) {
        let mut first = true;
        self.connections.lock().retain(|connection| {
            let used = connection.load.used.swap(false, Relaxed);
            let busy = connection.load.calls.load(Relaxed) > 0;
            std::mem::take(&mut first) || used || busy
        });
    }

    async fn lease(self: &Arc<Pool>) -> Result<Lease, Unsent> {
        if let Some(lease) = self.least_busy(limits::APP_CALLS_PER_CONNECTION) {
            return Ok(lease);
        }
        let _alone = self.connecting.lock().await;
        if let Some(lease) = self.least_busy(limits::APP_CALLS_PER_CONNECTION) {
            return Ok(lease);
        }
        match self.connect().await {
            Ok(connection) => self.connections.lock().push(connection),
            Err(unsent) => {
                return self.least_busy(usize::MAX).ok_or_else(|| {
                    self.lost.send_modify(|count| *count += 1);
                    unsent
                });
            }
        }
        let closed_already = || Unsent(format!("{} closes its connections at once", self.address));
        self.least_busy(usize::MAX).ok_or_else(closed_already)
    }

    /// `None` when it has as many calls as `calls_max`, and another connection may be opened.
    fn least_busy(&self, calls_max: usize) -> Option<Lease> {
        let connections = self.connections.lock();
        let open = connections
            .iter()
            .filter(|connection| !connection.requests.is_closed());
        let least = open.min_by_key(|connection| connection.load.calls.load(Relaxed))?;
        let busy = least.load.calls.load(Relaxed) >= calls_max;
        if busy && connections.len() < limits::APP_CONNECTIONS_MAX {
            return None;
        }
        least.load.calls.fetch_add(1, Relaxed);
        least.load.used.store(true, Relaxed);
        Some(Lease {
            requests: least.requests.clone(),
            load: least.load.clone(),
        })
    }

    async fn connect(self: &Arc<Pool>) -> Result<Connection, Unsent> {
        let unsent = |why: &dyn fmt::Display| Unsent(format!("{} cannot be reached: {why}", self.address));
        let handshake = async {
            let stream = self.address.connect().await.map_err(|cause| unsent(&cause))?;
            let connection = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                // Until the application has said how many it takes.
                .initial_max_send_streams(1)
                .handshake(TokioIo::new(Corked::new(stream)));
            connection.await.map_err(|cause| unsent(&cause))
        };
        let connected = tokio::time::timeout(limits::APP_CONNECT_DEADLINE, handshake).await;
        let (requests, connection) = connected.map_err(|_| unsent(&"it takes too long"))??;
        let load = Arc::new(Load::default());
        drop(task::spawn(
            "connection to the application",
            watch_over(Arc::downgrade(self), load.clone(), connection),
        ));
        Ok(Connection { requests, load })
    }

    /// Takes it out. One that was closed for want of work is out already.
    fn ended(&self, load: &Arc<Load>) {
        let mut connections = self.connections.lock();
        let count = connections.len();
        connections.retain(|connection| !Arc::ptr_eq(&connection.load, load));
        if connections.len() < count {
            self.lost.send_modify(|count| *count += 1);
        }
    }
}

/// Moves a connection's bytes until it ends.
async fn watch_over<C: Future<Output = hyper::Result<()>>>(pool: Weak<Pool>, load: Arc<Load>, connection: C) {
    if let Err(cause) = connection.await {
        tracing::debug!(%cause, "a connection to the application broke");
    }
    if let Some(pool) = pool.upgrade() {
        pool.ended(&load);
    }
}

/// Calls, each on the connection that has least to do.
#[derive(Clone)]
pub(super) struct Calls(Arc<Pool>);

impl tower::Service<http::Request<Body>> for Calls {
    type Response = http::Response<Incoming>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(call(self.0.clone(), request))
    }
}

/// A connection that closes before it takes the call is replaced once.
async fn call(
    pool: Arc<Pool>,
    mut request: http::Request<Body>,
) -> Result<http::Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
    for _ in 0..2 {
        let mut lease = pool.lease().await?;
        match lease.requests.try_send_request(request).await {
            Ok(mut response) => {
                // The call ends when its answer has been read.
                response.extensions_mut().insert(Arc::new(lease));
                return Ok(response);
            }
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(error.into_error().into()),
            },
        }
    }
    Err(Unsent(format!("{} closes its connections at once", pool.address)).into())
}
