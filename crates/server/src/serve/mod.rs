//! Listening, serving and stopping. One way in, two steps:
//!
//! ```no_run
//! # use belay::serve::{self, Apps, Plan, Shutdown};
//! # async fn start(plan: Plan, apps: Apps) -> base::Result<()> {
//! let bound = serve::bind(plan)?;                    // every socket, or none and an error that says what to do
//! let shutdown = Shutdown::default();
//! bound.stop_on_signals(&shutdown)?;
//! // compose the process here: bound.runtimes() are where its work runs, bound.endpoints() what it listens on
//! bound.run(apps, shutdown).await                    // serves until asked to stop, then stops in order
//! # }
//! ```
//!
//! Stopping, in order: readiness and gRPC health say no; listeners close and socket files go; calls in flight end, streams
//! that wait for news are told to come back; what has not ended by the drain's deadline is left; stop hooks, last added
//! first; administration; the endpoints file; the runtimes with all that is still on them.

mod listener;
mod socket_file;

mod runtimes;

mod accept;
mod connection;

mod grpc;
mod health;
mod http;
mod web;

mod endpoints;
mod run;
mod shutdown;

#[cfg(test)]
mod tests;

pub use endpoints::{Endpoints, FILE as ENDPOINTS_FILE};
pub use grpc::Grpc;
pub use listener::{Listen, MovedBy, SOCKET_MODE};
pub use run::{App, Apps};
pub use runtimes::{Runtimes, spawn_on};
pub use shutdown::Shutdown;
pub use web::Web;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base::Result;

use crate::admin::Readiness;
use crate::config;
use crate::telemetry::Metrics;
use accept::Budget;

/// What to listen on, and under which limits.
pub struct Plan {
    pub listeners: Vec<Listen>,
    /// Runtimes for I/O; 0 is one per core.
    pub runtimes: usize,
    pub limits: Limits,
    /// Where the endpoints file goes; it must exist when the process begins to serve.
    pub data_dir: Option<PathBuf>,
    pub metrics: Metrics,
    pub readiness: Readiness,
}

/// What the servers need of the configured limits.
#[derive(Clone, Debug)]
pub struct Limits {
    pub streams_per_connection_max: u32,
    pub header_list_bytes_max: u32,
    /// Of unary calls; streams have none.
    pub request_deadline: Duration,
    pub drain_deadline: Duration,
    pub keep_alive: KeepAlive,
}

/// How a connection that has gone without a word is found.
#[derive(Clone, Copy, Debug)]
pub struct KeepAlive {
    /// Silence after which it is asked for a sign of life.
    pub interval: Duration,
    /// How long it has to give one.
    pub timeout: Duration,
}

impl KeepAlive {
    /// Of listeners whose connections are sessions.
    pub fn of_sessions(configured: &config::Limits) -> KeepAlive {
        KeepAlive {
            interval: Duration::from_millis(configured.session_keep_alive_interval_ms),
            timeout: Duration::from_millis(configured.session_keep_alive_timeout_ms),
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::from(&config::Limits::default())
    }
}

impl From<&config::Limits> for Limits {
    fn from(configured: &config::Limits) -> Limits {
        Limits {
            streams_per_connection_max: configured.streams_per_connection,
            header_list_bytes_max: configured.header_bytes,
            request_deadline: Duration::from_millis(configured.request_deadline_ms),
            drain_deadline: Duration::from_millis(configured.drain_deadline_ms),
            keep_alive: KeepAlive {
                interval: Duration::from_millis(configured.keep_alive_interval_ms),
                timeout: Duration::from_millis(configured.keep_alive_timeout_ms),
            },
        }
    }
}

/// Every socket bound, every runtime started, nothing served yet. Clients that connect now wait in the backlog.
///
/// Dropping it lets go of everything again.
pub struct Bound {
    sockets: Vec<listener::Bound>,
    runtimes: Runtimes,
    endpoints: Endpoints,
    budget: Arc<Budget>,
    limits: Limits,
    data_dir: Option<PathBuf>,
    metrics: Metrics,
    readiness: Readiness,
}

/// Binds every listener of the plan, or none: the error names each that cannot be had, and what moves it.
pub fn bind(plan: Plan) -> Result<Bound> {
    let budget = Arc::new(Budget::of_this_process());
    let sockets = listener::bind_all(&plan.listeners)?;
    for socket in &sockets {
        if socket.listen.connections_max > budget.max() {
            tracing::warn!(
                listener = socket.listen.name,
                configured = socket.listen.connections_max,
                in_force = budget.max(),
                "the limit of open files allows fewer connections than configured"
            );
        }
    }
    let addresses: BTreeMap<String, String> = sockets
        .iter()
        .map(|socket| (socket.listen.name.to_owned(), socket.address()))
        .collect();
    Ok(Bound {
        sockets,
        runtimes: Runtimes::start(plan.runtimes)?,
        endpoints: Endpoints::of_this_process(addresses),
        budget,
        limits: plan.limits,
        data_dir: plan.data_dir,
        metrics: plan.metrics,
        readiness: plan.readiness,
    })
}

impl Bound {
    /// The addresses in force, with the ports that were picked.
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// Where the process's work runs; they are there until `run` returns.
    pub fn runtimes(&self) -> &Runtimes {
        &self.runtimes
    }

    /// From now on SIGTERM and SIGINT begin that shutdown; a second one ends the process at once.
    pub fn stop_on_signals(&self, shutdown: &Shutdown) -> Result<()> {
        shutdown.on_signals(self.runtimes.accept())
    }
}
