//! The methods that a listener serves, with everything that is counted per call looked up beforehand.
//!
//! They come from descriptors, because only those say whether a method streams: a deadline must never cut a stream.
//! Labels come from this table alone, so a client cannot invent series by calling names of its own.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use base::{Error, Result, codes};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prost::Message;
use prost_types::FileDescriptorSet;

use super::flow::{Gate, Rules};
use super::metrics::{CodeLabels, DecimalCounter, MethodLabels, Metrics, PathLabels};

/// Names of the gRPC status codes, by number.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Every method of one listener.
pub struct Methods {
    by_path: HashMap<Box<str>, Arc<Method>>,
    services: HashSet<Box<str>>,
    unknown: Arc<Method>,
}

/// Whether a call is one request and one answer, and how long the answer may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Unary,
    /// Unary, and waits for as long as its caller wants, as a lock does: it has no deadline of ours.
    Waiting,
    Streaming,
}

pub struct Method {
    /// `/package.Service/Method`
    pub path: Box<str>,
    pub service: Box<str>,
    pub name: Box<str>,
    pub shape: Shape,
    gate: Option<Gate>,
    metrics: Metrics,
    /// Made by the first call, so that a method nobody calls has no series.
    counts: OnceLock<Counts>,
}

struct Counts {
    ended: [OnceLock<Counter>; CODES.len()],
    seconds: Histogram,
    in_flight: Gauge,
    layotto: Option<LayottoCounts>,
}

/// Only unary calls have them, as in Layotto.
struct LayottoCounts {
    total: DecimalCounter,
    succeeded: DecimalCounter,
    failed: DecimalCounter,
}

impl Methods {
    /// The methods of those services, which must all be described.
    pub fn of(descriptors: &[&[u8]], services: &[&str], rules: &Rules, metrics: &Metrics) -> Result<Methods> {
        let mut methods = Methods {
            by_path: HashMap::new(),
            services: HashSet::new(),
            unknown: Arc::new(Method::new("unknown", "unknown", Shape::Unary, None, metrics)),
        };
        for encoded in descriptors {
            let set = FileDescriptorSet::decode(*encoded).map_err(|cause| {
                Error::new(codes::INTERNAL, "a descriptor set cannot be decoded").because(cause)
            })?;
            methods.add(&set, services, rules, metrics);
        }
        match services
            .iter()
            .find(|service| !methods.services.contains(**service))
        {
            Some(missing) => Err(Error::new(
                codes::INTERNAL,
                format!("service {missing} is served without its descriptor"),
            )),
            None => Ok(methods),
        }
    }

    fn add(&mut self, set: &FileDescriptorSet, services: &[&str], rules: &Rules, metrics: &Metrics) {
        for file in &set.file {
            for service in &file.service {
                let full_name = match file.package() {
                    "" => service.name().to_owned(),
                    package => format!("{package}.{}", service.name()),
                };
                if !services.contains(&full_name.as_str()) {
                    continue;
                }
                for method in &service.method {
                    let shape = match (method.client_streaming(), method.server_streaming()) {
                        (false, false) => Shape::Unary,
                        _ => Shape::Streaming,
                    };
                    let path = format!("/{full_name}/{}", method.name());
                    let gate = rules.0.get(&path).map(|per_second| Gate::new(*per_second));
                    let method = Method::new(&full_name, method.name(), shape, gate, metrics);
                    self.by_path.insert(path.into(), Arc::new(method));
                }
                self.services.insert(full_name.into());
            }
        }
    }

    /// The same, but for those unary methods, which wait.
    pub fn waiting(mut self, paths: &[&str]) -> Result<Methods> {
        for path in paths {
            let method = self.by_path.get_mut(*path).and_then(Arc::get_mut);
            let unary = method.filter(|method| method.shape == Shape::Unary);
            let unknown = || {
                Error::new(
                    codes::INTERNAL,
                    format!("{path} is no unary method that is served"),
                )
            };
            unary.ok_or_else(unknown)?.shape = Shape::Waiting;
        }
        Ok(self)
    }

    pub fn find(&self, path: &str) -> Option<&Arc<Method>> {
        self.by_path.get(path)
    }

    /// Where calls of all other names are counted.
    pub(super) fn unknown(&self) -> &Arc<Method> {
        &self.unknown
    }

    /// What the reference's gRPC library says about a path that nothing serves.
    pub(super) fn complaint(&self, path: &str) -> String {
        match path.strip_prefix('/').and_then(|path| path.rsplit_once('/')) {
            Some((service, method)) if self.services.contains(service) => {
                format!("unknown method {method} for service {service}")
            }
            Some((service, _)) => format!("unknown service {service}"),
            None => format!("malformed method name: {path:?}"),
        }
    }
}

impl Method {
    fn new(service: &str, name: &str, shape: Shape, gate: Option<Gate>, metrics: &Metrics) -> Method {
        Method {
            path: format!("/{service}/{name}").into(),
            service: service.into(),
            name: name.into(),
            shape,
            gate,
            metrics: metrics.clone(),
            counts: OnceLock::new(),
        }
    }

    /// Whether flow control lets a call through, counting it either way.
    pub(super) fn admits(&self, since_start: Duration) -> bool {
        let Some(gate) = &self.gate else { return true };
        let admitted = gate.admits(since_start);
        if !admitted {
            self.metrics.calls().limited.get_or_create(&self.labels()).inc();
        }
        admitted
    }

    pub(super) fn began(&self) {
        let counts = self.counts();
        counts.in_flight.inc();
        if let Some(layotto) = &counts.layotto {
            layotto.total.inc();
        }
    }

    /// A number that is no gRPC status counts as UNKNOWN.
    pub(super) fn ended(&self, code: i32, started: Instant) {
        let counts = self.counts();
        counts.in_flight.dec();
        counts.seconds.observe(started.elapsed().as_secs_f64());
        self.ended_counter(counts, code).inc();
        match &counts.layotto {
            Some(layotto) if code == 0 => drop(layotto.succeeded.inc()),
            Some(layotto) => drop(layotto.failed.inc()),
            None => {}
        }
    }

    pub(super) fn panicked(&self) {
        self.metrics.calls().panics.get_or_create(&self.labels()).inc();
    }

    fn ended_counter<'a>(&self, counts: &'a Counts, code: i32) -> &'a Counter {
        let number = usize::try_from(code)
            .ok()
            .filter(|number| *number < CODES.len())
            .unwrap_or(2);
        counts.ended[number].get_or_init(|| {
            let labels = CodeLabels {
                service: self.service.to_string(),
                method: self.name.to_string(),
                code: CODES[number],
            };
            self.metrics.calls().ended.get_or_create_owned(&labels)
        })
    }

    fn counts(&self) -> &Counts {
        self.counts.get_or_init(|| {
            let calls = self.metrics.calls();
            let path = PathLabels {
                service: self.path.to_string(),
            };
            Counts {
                ended: [const { OnceLock::new() }; CODES.len()],
                seconds: calls.seconds.get_or_create_owned(&self.labels()),
                in_flight: calls.in_flight.get_or_create_owned(&self.labels()),
                layotto: (self.shape != Shape::Streaming).then(|| LayottoCounts {
                    total: calls.layotto_total.get_or_create_owned(&path),
                    succeeded: calls.layotto_succeeded.get_or_create_owned(&path),
                    failed: calls.layotto_failed.get_or_create_owned(&path),
                }),
            }
        })
    }

    fn labels(&self) -> MethodLabels {
        MethodLabels {
            service: self.service.to_string(),
            method: self.name.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEALTH: &str = "grpc.health.v1.Health";

    fn health() -> Methods {
        let descriptors = [tonic_health::pb::FILE_DESCRIPTOR_SET];
        Methods::of(&descriptors, &[HEALTH], &Rules::default(), &Metrics::new()).expect("health is described")
    }

    #[test]
    fn descriptors_say_which_methods_stream() {
        let shape = |path| health().find(path).map(|method| method.shape);
        assert_eq!(shape("/grpc.health.v1.Health/Check"), Some(Shape::Unary));
        assert_eq!(shape("/grpc.health.v1.Health/Watch"), Some(Shape::Streaming));
        assert_eq!(shape("/grpc.health.v1.Health/check"), None);
    }

    #[test]
    fn unary_methods_may_wait_and_streams_do_anyway() {
        const CHECK: &str = "/grpc.health.v1.Health/Check";
        let waiting = health().waiting(&[CHECK]).expect("it is unary");
        let shape = waiting.find(CHECK).map(|method| method.shape);
        assert_eq!(shape, Some(Shape::Waiting));
        assert!(health().waiting(&["/grpc.health.v1.Health/Watch"]).is_err());
        assert!(health().waiting(&["/a.B/C"]).is_err());
    }

    #[test]
    fn a_service_without_descriptor_is_refused() {
        let error = Methods::of(&[], &["a.B"], &Rules::default(), &Metrics::new());
        assert!(error.is_err_and(|error| error.message().contains("a.B")));
    }

    #[test]
    fn a_service_that_is_described_but_not_served_is_unknown() {
        let methods = Methods::of(
            &[tonic_health::pb::FILE_DESCRIPTOR_SET],
            &[],
            &Rules::default(),
            &Metrics::new(),
        )
        .expect("nothing is asked for");
        assert!(methods.find("/grpc.health.v1.Health/Check").is_none());
        assert_eq!(
            methods.complaint("/grpc.health.v1.Health/Check"),
            "unknown service grpc.health.v1.Health"
        );
    }

    #[test]
    fn complaints_read_as_the_reference_has_them() {
        let complaint = |path| health().complaint(path);
        assert_eq!(complaint("/a.B/C"), "unknown service a.B");
        assert_eq!(
            complaint("/grpc.health.v1.Health/C"),
            "unknown method C for service grpc.health.v1.Health"
        );
        assert_eq!(complaint("/"), "malformed method name: \"/\"");
    }
}
