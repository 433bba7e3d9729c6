//! The registry of metrics, and the families that serving fills.
//!
//! A family is asked for a series once, when a method or listener is first used; after that a call touches plain atomics.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use base::{Error, Result, codes};
use parking_lot::RwLock;
use prometheus_client::encoding::{EncodeLabelSet, prometheus_text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::process;

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// Upper bounds of the latency buckets, seconds: from a call that never left memory to one at its deadline.
const SECONDS: [f64; 17] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0, 60.0,
];

#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: RwLock<Registry>,
    calls: Calls,
    connections: Connections,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    pub fn new() -> Metrics {
        let mut registry = Registry::default();
        let calls = Calls::registered(&mut registry);
        let connections = Connections::registered(&mut registry);
        registry.register_collector(Box::new(process::Process::new()));
        Metrics(Arc::new(Inner {
            registry: RwLock::new(registry),
            calls,
            connections,
        }))
    }

    /// Adds metrics of another part of the process.
    pub fn register<R>(&self, add: impl FnOnce(&mut Registry) -> R) -> R {
        add(&mut self.0.registry.write())
    }

    /// Every metric, in Prometheus' text format 0.0.4.
    pub fn encode(&self) -> Result<String> {
        let mut text = String::new();
        prometheus_text::encode(&mut text, &self.0.registry.read()).map_err(|cause| {
            Error::new(codes::INTERNAL, "a metric cannot be written as text").because(cause)
        })?;
        Ok(text)
    }

    pub(super) fn calls(&self) -> &Calls {
        &self.0.calls
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.0.connections
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct MethodLabels {
    pub(super) service: String,
    pub(super) method: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct CodeLabels {
    pub(super) service: String,
    pub(super) method: String,
    pub(super) code: &'static str,
}

/// Layotto calls the full path of a method its service.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(super) struct PathLabels {
    pub(super) service: String,
}

/// Layotto's counters are printed with a decimal: `1.0`.
pub(super) type DecimalCounter = Counter<f64, AtomicU64>;

/// Calls of every gRPC listener.
pub(super) struct Calls {
    pub(super) ended: Family<CodeLabels, Counter>,
    pub(super) seconds: Family<MethodLabels, Histogram, fn() -> Histogram>,
    pub(super) in_flight: Family<MethodLabels, Gauge>,
    pub(super) panics: Family<MethodLabels, Counter>,
    pub(super) limited: Family<MethodLabels, Counter>,
    pub(super) layotto_total: Family<PathLabels, DecimalCounter>,
    pub(super) layotto_succeeded: Family<PathLabels, DecimalCounter>,
    pub(super) layotto_failed: Family<PathLabels, DecimalCounter>,
}

impl Calls {
    fn registered(registry: &mut Registry) -> Calls {
        let histogram: fn() -> Histogram = || Histogram::new(SECONDS);
        let calls = Calls {
            ended: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            in_flight: Family::default(),
            panics: Family::default(),
            limited: Family::default(),
            layotto_total: Family::default(),
            layotto_succeeded: Family::default(),
            layotto_failed: Family::default(),
        };
        registry.register(
            "grpc_requests",
            "Calls that ended, by gRPC status",
            calls.ended.clone(),
        );
        registry.register(
            "grpc_request_duration_seconds",
            "Time from a call's head to its status",
            calls.seconds.clone(),
        );
        registry.register(
            "grpc_requests_in_flight",
            "Calls that have not ended",
            calls.in_flight.clone(),
        );
        registry.register(
            "grpc_panics",
            "Calls whose handler panicked",
            calls.panics.clone(),
        );
        registry.register(
            "grpc_requests_limited",
            "Calls refused by flow control",
            calls.limited.clone(),
        );
        registry.register(
            "grpc_request",
            "Unary calls, Layotto's name",
            calls.layotto_total.clone(),
        );
        registry.register(
            "grpc_response_succ",
            "Unary calls that ended OK, Layotto's name",
            calls.layotto_succeeded.clone(),
        );
        registry.register(
            "grpc_response_fail",
            "Unary calls that ended otherwise, Layotto's name",
            calls.layotto_failed.clone(),
        );
        calls
    }
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct ListenerLabels {
    pub(crate) listener: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub(crate) struct RefusalLabels {
    pub(crate) listener: &'static str,
    /// `limit`: too many are open; `descriptors`: the machine has none left.
    pub(crate) reason: &'static str,
}

/// Connections of every listener.
pub(crate) struct Connections {
    pub(crate) open: Family<ListenerLabels, Gauge>,
    pub(crate) accepted: Family<ListenerLabels, Counter>,
    pub(crate) refused: Family<RefusalLabels, Counter>,
}

impl Connections {
    fn registered(registry: &mut Registry) -> Connections {
        let connections = Connections {
            open: Family::default(),
            accepted: Family::default(),
            refused: Family::default(),
        };
        registry.register("connections_open", "Open connections", connections.open.clone());
        registry.register(
            "connections",
            "Connections accepted",
            connections.accepted.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections refused, or accepts put off",
            connections.refused.clone(),
        );
        connections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_parts_add_their_metrics_to_the_page() {
        let metrics = Metrics::new();
        let commits: Counter = metrics.register(|registry| {
            let commits = Counter::default();
            registry.register("engine_commits", "Commits", commits.clone());
            commits
        });
        commits.inc();
        let page = metrics.encode().expect("plain metrics");
        assert!(page.contains("\nengine_commits_total 1\n"), "{page}");
    }

    #[test]
    fn names_that_differ_by_one_letter_are_different_metrics() {
        let metrics = Metrics::new();
        let path = PathLabels {
            service: "/a.B/C".to_owned(),
        };
        metrics.calls().layotto_total.get_or_create(&path).inc();
        let page = metrics.encode().expect("plain metrics");
        assert!(
            page.contains("\ngrpc_request_total{service=\"/a.B/C\"} 1.0\n"),
            "{page}"
        );
        assert!(!page.contains("grpc_requests_total{"), "{page}");
    }
}
