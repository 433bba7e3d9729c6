//! The Cloudstate family, mounted.

use std::sync::Arc;
use std::time::Duration;

use api_cloudstate::{Rules, Service, Watcher};
use base::Result;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::hosts::Hosts;
use crate::admin::Readiness;
use crate::admin::readiness::{Part, Weight};
use crate::config::{Address, Config};
use crate::serve::Web;
use crate::telemetry::Metrics;

pub(super) async fn start(config: Config, hosts: Hosts, readiness: Readiness) -> Result<Service> {
    let engine = Arc::new(hosts.main().await?);
    let functions = config.functions.iter().map(|function| {
        let authority = function.authority();
        let part = readiness.part(format!("user function {authority}"), Weight::Supporting);
        let watcher: Arc<dyn Watcher> = Arc::new(Watched(part));
        (authority, watcher)
    });
    Ok(Service::start(engine, rules(&config), functions.collect()))
}

fn rules(config: &Config) -> Rules {
    let entities = &config.entities;
    Rules {
        passivation: Duration::from_millis(entities.passivation_timeout_ms),
        answer: Duration::from_millis(entities.answer_timeout_ms),
        shared_persistence_ids: entities.shared_persistence_ids,
        cors_origins: entities.cors_origins.clone(),
    }
}

/// Where there is nothing to serve, nothing listens.
pub(super) fn address(config: &Config) -> &Address {
    match config.functions.is_empty() {
        true => &Address::Off,
        false => &config.listen.functions,
    }
}

/// A function as a part of readiness.
struct Watched(Part);

impl Watcher for Watched {
    fn served(&self, _services: &[String], _library: &str) {
        self.0.ready();
    }

    fn waits(&self, why: &str) {
        self.0.not_ready(why);
    }
}

pub(super) fn front_door(service: &Service) -> Web {
    let front = service.front.clone();
    Web(Arc::new(move |request| {
        let front = front.clone();
        Box::pin(async move { front.answer(request).await })
    }))
}

pub(super) fn measure(service: &Service, metrics: &Metrics) {
    let active = Active(service.clone());
    metrics.register(|registry| registry.register_collector(Box::new(active)));
}

/// How many entities have a stream to their user function, or wait for one.
struct Active(Service);

impl std::fmt::Debug for Active {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Active")
    }
}

impl Collector for Active {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let (name, help) = (
            "belay_entities_active",
            "Entities that have a stream to their user function",
        );
        let encoded = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(self.0.active() as f64).encode(encoded)
    }
}
