//! Accepting: one loop per listener, which deals connections out to the runtimes.
//!
//! | happens | then |
//! |---|---|
//! | a connection | goes to the runtime with the fewest of this listener, in turn among equals |
//! | the listener's or the process's limit is reached | refused: told why, then closed, and counted |
//! | that runtime's queue is full | goes to the next; if all are, the loop waits and the kernel's backlog holds the rest |
//! | no descriptor or memory for another (EMFILE and its like) | a pause, counted, then again: never a spin |
//! | the client has gone before it was accepted | nothing |
//!
//! In turn alone would leave a core idle after the others' clients have gone; by fewest alone is the same as in turn while
//! nobody goes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::{limits, task};
use futures::future::select_ok;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use rustix::io::Errno;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::mpsc::error::SendError;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::connection::{Accepted, Permit, Socket};
use super::listener::{Bound, Listening};
use super::socket_file::SocketFile;
use crate::telemetry::Metrics;
use crate::telemetry::metrics::{ListenerLabels, RefusalLabels};

/// How many connections of clients the process has, and may have.
pub(super) struct Budget {
    open: Arc<AtomicUsize>,
    max: usize,
}

impl Budget {
    /// Asks the system for as many descriptors as it gives without privileges, and keeps some for everything else.
    pub(super) fn of_this_process() -> Budget {
        let descriptors = raise_descriptors();
        Budget {
            open: Arc::default(),
            max: descriptors
                .saturating_sub(limits::DESCRIPTORS_RESERVED)
                .max(descriptors / 2),
        }
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn has_room(&self) -> bool {
        self.open.load(Ordering::Relaxed) < self.max
    }
}

fn raise_descriptors() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let in_force = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(cause) => {
            tracing::warn!(%cause, "the limit of open files cannot be raised");
            limit.current
        }
    };
    // No limit at all is more than a process ever has.
    in_force.map_or(1 << 20, |count| usize::try_from(count).unwrap_or(usize::MAX))
}

/// How a refused client is told why.
#[derive(Clone, Copy)]
pub(super) enum Protocol {
    Grpc,
    Http,
}

/// An empty SETTINGS frame, which a server must send first, and a GOAWAY: no stream was looked at (last stream 0),
/// ENHANCE_YOUR_CALM (11), and why. Clients show the text, and try again later.
const GO_AWAY: &[u8] = b"\0\0\0\x04\0\0\0\0\0\
\0\0\x20\x07\0\0\0\0\0\
\0\0\0\0\0\0\0\x0b\
connection limit reached";
const SERVICE_UNAVAILABLE: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 24\r\n\r\nconnection limit reached";

impl Protocol {
    fn refusal(self) -> &'static [u8] {
        match self {
            Protocol::Grpc => GO_AWAY,
            Protocol::Http => SERVICE_UNAVAILABLE,
        }
    }
}

/// A runtime that serves some of a listener's connections.
pub(super) struct Lane {
    pub(super) queue: mpsc::Sender<Accepted>,
    open: Arc<AtomicUsize>,
}

impl Lane {
    pub(super) fn new(queue: mpsc::Sender<Accepted>) -> Lane {
        Lane {
            queue,
            open: Arc::default(),
        }
    }
}

pub(super) struct Acceptor {
    listening: Listener,
    name: &'static str,
    protocol: Protocol,
    connections_max: usize,
    budget: Option<Arc<Budget>>,
    lanes: Vec<Lane>,
    /// Of all lanes.
    open: Arc<AtomicUsize>,
    turn: usize,
    refusals: Arc<Semaphore>,
    counts: Counts,
}

enum Listener {
    Tcp(TcpListener),
    Unix(
        UnixListener,
        #[expect(dead_code, reason = "removes the file when it is dropped")] SocketFile,
    ),
}

struct Counts {
    open: Gauge,
    accepted: Counter,
    over_limit: Counter,
    out_of_descriptors: Counter,
}

impl Acceptor {
    /// Must be called inside the runtime that accepts. Without a budget only the listener's own limit counts.
    pub(super) fn new(
        bound: Bound,
        protocol: Protocol,
        lanes: Vec<Lane>,
        budget: Option<Arc<Budget>>,
        metrics: &Metrics,
    ) -> io::Result<Acceptor> {
        let listening = match bound.socket {
            Listening::Tcp(listener) => Listener::Tcp(TcpListener::from_std(listener)?),
            Listening::Unix(listener, file) => Listener::Unix(UnixListener::from_std(listener)?, file),
        };
        Ok(Acceptor {
            listening,
            name: bound.listen.name,
            protocol,
            connections_max: bound.listen.connections_max,
            budget,
            lanes,
            open: Arc::default(),
            turn: 0,
            refusals: Arc::new(Semaphore::new(limits::REFUSALS_MAX)),
            counts: Counts::of(bound.listen.name, metrics),
        })
    }

    /// Until the token is cancelled; then the socket is closed and its file removed, before this returns.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                accepted = self.listening.accept() => accepted,
            };
            match accepted {
                Ok(socket) if self.has_room() => {
                    let stopped = stop.run_until_cancelled(self.deal(socket)).await;
                    if stopped.is_none() {
                        return;
                    }
                }
                Ok(socket) => self.refuse(socket),
                Err(cause) if is_the_clients(&cause) => {}
                Err(cause) => self.pause(&cause, &stop).await,
            }
        }
    }

    fn has_room(&self) -> bool {
        self.open.load(Ordering::Relaxed) < self.connections_max
            && self.budget.as_ref().is_none_or(|budget| budget.has_room())
    }

    async fn deal(&mut self, socket: Socket) {
        self.counts.accepted.inc();
        let Some((index, slot)) = self.slot().await else {
            tracing::error!(listener = self.name, "no runtime takes connections any more");
            return;
        };
        let mut counts = vec![self.open.clone(), self.lanes[index].open.clone()];
        counts.extend(self.budget.as_ref().map(|budget| budget.open.clone()));
        slot.send(Accepted {
            socket,
            permit: Permit::new(counts, self.counts.open.clone()),
        });
        self.turn = index + 1;
    }

    /// Room with the first runtime by load that has some, or else with the first that gets some: one that is stuck must not
    /// keep the others from work.
    async fn slot(&self) -> Option<(usize, mpsc::Permit<'_, Accepted>)> {
        let lanes = self.lanes_by_load();
        let free = |index: &usize| Some((*index, self.lanes[*index].queue.try_reserve().ok()?));
        if let Some(slot) = lanes.iter().find_map(free) {
            return Some(slot);
        }
        let waiting = lanes.into_iter().map(|index| {
            let reserved = self.lanes[index].queue.reserve();
            Box::pin(async move { Ok::<_, SendError<()>>((index, reserved.await?)) })
        });
        Some(select_ok(waiting).await.ok()?.0)
    }

    /// The fewest connections first, in turn among equals.
    fn lanes_by_load(&self) -> Vec<usize> {
        let count = self.lanes.len();
        let mut lanes: Vec<usize> = (0..count).map(|step| (self.turn + step) % count).collect();
        lanes.sort_by_key(|index| self.lanes[*index].open.load(Ordering::Relaxed));
        lanes
    }

    /// Tells the client why before closing. Closing at once could reset the connection before the client has read it, so
    /// its own close is waited for, a little, and only for so many at a time.
    fn refuse(&self, socket: Socket) {
        if self.counts.over_limit.inc() == 0 {
            tracing::warn!(
                listener = self.name,
                limit = self.connections_max,
                "the first connection over the limit was refused; see the metric connections_refused"
            );
        }
        let Ok(permit) = self.refusals.clone().try_acquire_owned() else {
            return;
        };
        let words = self.protocol.refusal();
        drop(task::spawn("refuse", async move {
            let told = tokio::time::timeout(limits::REFUSAL_DEADLINE, tell(socket, words));
            drop(told.await);
            drop(permit);
        }));
    }

    async fn pause(&self, cause: &io::Error, stop: &CancellationToken) {
        if self.counts.out_of_descriptors.inc() == 0 {
            tracing::error!(
                listener = self.name,
                %cause,
                "no connection can be accepted, trying again; raise the limit of open files"
            );
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(limits::ACCEPT_PAUSE) => {}
        }
    }
}

async fn tell(socket: Socket, words: &[u8]) -> io::Result<()> {
    let mut stream = socket.register()?;
    stream.write_all(words).await?;
    stream.shutdown().await?;
    let mut ignored = [0; 1_024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}

impl Listener {
    /// A socket that no runtime knows yet.
    async fn accept(&self) -> io::Result<Socket> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Small answers must not wait for more to send.
                drop(stream.set_nodelay(true));
                Ok(Socket::Tcp(stream.into_std()?))
            }
            Listener::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok(Socket::Unix(stream.into_std()?))
            }
        }
    }
}

/// Whether only the connection that was to be accepted is at fault. Source: accept(2), "Error handling".
fn is_the_clients(cause: &io::Error) -> bool {
    let errno = cause.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(
            Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::INTR
                | Errno::PERM
                | Errno::PROTO
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::HOSTUNREACH
                | Errno::HOSTDOWN
        )
    )
}

impl Counts {
    fn of(listener: &'static str, metrics: &Metrics) -> Counts {
        let connections = metrics.connections();
        let labels = ListenerLabels { listener };
        let refused = |reason| {
            let labels = RefusalLabels { listener, reason };
            connections.refused.get_or_create_owned(&labels)
        };
        Counts {
            open: connections.open.get_or_create_owned(&labels),
            accepted: connections.accepted.get_or_create_owned(&labels),
            over_limit: refused("limit"),
            out_of_descriptors: refused("descriptors"),
        }
    }
}

#[cfg(test)]
mod tests;
