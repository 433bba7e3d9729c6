//! HTTP/1.1 connections to one address: never more open than the limit, and none that lies idle for long.
//!
//! - A call holds one *place* from its start to its end, and there are as many places as connections may be open. Whoever
//!   finds no place waits for one until the call's deadline.
//! - An idle connection of the same thread is preferred: its task runs on this thread's runtime, so nobody is woken across
//!   threads. When the limit is reached, any idle one is taken; there is one, because the caller holds a place.
//! - A call that is dropped closes its connection: HTTP/1.1 can't take a request back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, ThreadId};

use base::limits;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::Address;
use super::address::Stream;
use super::answer::{Answer, Failure};
use super::connect::Connector;
use super::places::{Place, Places};

pub(crate) struct Pool {
    connector: Connector,
    connections_max: usize,
    places: Places,
    idle: Mutex<Idle>,
    /// Connections that are in use or idle. It grows only under the lock of `idle`.
    open: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Idle {
    /// The one that was used last is last.
    connections: Vec<(Connection, Instant)>,
    /// A task closes what lies idle for too long.
    watched: bool,
}

impl Pool {
    pub(crate) fn new(address: Address, connections_max: usize) -> Arc<Pool> {
        Arc::new(Pool {
            connector: Connector::to(address),
            connections_max,
            places: Places::of(connections_max),
            idle: Mutex::default(),
            open: Arc::default(),
        })
    }

    pub(crate) fn address(&self) -> &Address {
        self.connector.address()
    }

    /// Sends a request, whose URI is a path, and waits for the head of its answer.
    pub(crate) async fn send(
        self: &Arc<Self>,
        request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let place = self.places.take(deadline).await?;
        let exchange = self.exchange(request, place, deadline);
        timeout_at(deadline, exchange)
            .await
            .map_err(|_| Failure::Deadline)?
    }

    /// A request that an idle connection gives back unsent, because it was just being closed, goes to another one.
    async fn exchange(
        self: &Arc<Self>,
        mut request: Request<Full<Bytes>>,
        place: Place,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        loop {
            let (mut connection, used_before) = match self.take() {
                Taken::Idle(connection) => (connection, true),
                Taken::Free(slot) => (self.connect(slot).await?, false),
            };
            match connection.send(request).await {
                Ok(response) => {
                    let lease = Lease {
                        connection,
                        pool: self.clone(),
                        place,
                    };
                    return Ok(Answer::new(response, lease, deadline));
                }
                Err((_, Some(unsent))) if used_before => request = unsent,
                Err((cause, Some(_))) => {
                    return Err(Failure::Connect(format!("{}: {cause}", self.address())));
                }
                Err((cause, None)) => return Err(Failure::Broken(cause)),
            }
        }
    }

    fn take(&self) -> Taken {
        let mut idle = self.idle.lock();
        idle.connections
            .retain(|(connection, _)| !connection.sender.is_closed());
        let thread = thread::current().id();
        let of_this_thread = idle
            .connections
            .iter()
            .rposition(|(connection, _)| connection.thread == thread);
        if let Some(index) = of_this_thread {
            return Taken::Idle(idle.connections.remove(index).0);
        }
        if self.open.load(Ordering::Relaxed) < self.connections_max {
            return Taken::Free(Slot::of(&self.open));
        }
        match idle.connections.pop() {
            Some((connection, _)) => Taken::Idle(connection),
            // Not reached as long as every user of a connection holds a place.
            None => Taken::Free(Slot::of(&self.open)),
        }
    }

    async fn connect(&self, slot: Slot) -> Result<Connection, Failure> {
        let stream = self.connector.connect().await.map_err(Failure::Connect)?;
        let connection = match stream {
            Stream::Tcp(stream) => Connection::over(TokioIo::new(stream), slot).await,
            Stream::Unix(stream) => Connection::over(TokioIo::new(stream), slot).await,
        };
        connection.map_err(Failure::Broken)
    }

    fn give_back(self: &Arc<Self>, connection: Connection) {
        if connection.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.lock();
        idle.connections.push((connection, Instant::now()));
        if !std::mem::replace(&mut idle.watched, true) {
            base::task::spawn("close idle connections", close_idle(Arc::downgrade(self)));
        }
    }

    /// Closes what has been idle for too long; when the next one will be, unless none is left.
    fn close_idle(&self) -> Option<Instant> {
        let mut idle = self.idle.lock();
        let now = Instant::now();
        idle.connections.retain(|(connection, since)| {
            !connection.sender.is_closed() && *since + limits::OUTBOUND_IDLE > now
        });
        let oldest = idle.connections.iter().map(|(_, since)| *since).min();
        idle.watched = oldest.is_some();
        Some(oldest? + limits::OUTBOUND_IDLE)
    }

    #[cfg(test)]
    pub(crate) fn open_count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

async fn close_idle(pool: Weak<Pool>) {
    while let Some(next) = pool.upgrade().and_then(|pool| pool.close_idle()) {
        sleep_until(next).await;
    }
}

enum Taken {
    Idle(Connection),
    /// One more may be opened.
    Free(Slot),
}

/// One of the connections that may be open.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn of(open: &Arc<AtomicUsize>) -> Slot {
        open.fetch_add(1, Ordering::Relaxed);
        Slot(open.clone())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// The task that reads and writes; it ends with this value.
    task: AbortHandle,
    thread: ThreadId,
    _slot: Slot,
}

impl Connection {
    async fn over(io: impl Read + Write + Send + Unpin + 'static, slot: Slot) -> hyper::Result<Connection> {
        let (sender, connection) = http1::handshake(io).await?;
        let task = base::task::spawn("outbound connection", async move {
            if let Err(cause) = connection.await {
                tracing::debug!(%cause, "a connection broke");
            }
        });
        Ok(Connection {
            sender,
            task: task.abort_handle(),
            thread: thread::current().id(),
            _slot: slot,
        })
    }

    /// With the error comes the request, if it certainly was not sent.
    async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<http::Response<hyper::body::Incoming>, (hyper::Error, Option<Request<Full<Bytes>>>)> {
        if let Err(closed) = self.sender.ready().await {
            return Err((closed, Some(request)));
        }
        self.sender.try_send_request(request).await.map_err(|mut error| {
            let unsent = error.take_message();
            (error.into_error(), unsent)
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A connection that is in use, and its place. Dropping it closes the connection.
pub(super) struct Lease {
    // Before the place, so that the connection is closed before another may be opened.
    connection: Connection,
    pool: Arc<Pool>,
    place: Place,
}

impl Lease {
    /// The answer was read to its end: the connection may serve another call.
    pub(super) fn give_back(self) {
        let Lease {
            connection,
            pool,
            place,
        } = self;
        pool.give_back(connection);
        drop(place);
    }
}
