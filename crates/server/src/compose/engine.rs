//! The engine of the process: opened from the configuration, watched, measured.

use std::sync::Arc;

use base::time::SystemClock;
use base::{Clock, Error, Result, codes};
use drivers::embedded::Embedded;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;

use crate::admin::readiness::Part;
use crate::config::Config;
use crate::serve::Shutdown;
use crate::telemetry::Metrics;

pub(super) fn open(config: &Config, metrics: &Metrics) -> Result<Arc<Embedded>> {
    let clock = |seen| -> Arc<dyn Clock> { Arc::new(SystemClock::starting(seen)) };
    let engine = Arc::new(Embedded::open(&config.data_dir, &config.engine, clock)?);
    metrics.register(|registry| registry.register_collector(Box::new(Measures(engine.clone()))));
    Ok(engine)
}

/// A write that failed ends the process: only a new start can know what is stored.
pub(super) async fn end_with(engine: Arc<Embedded>, part: Part, shutdown: Shutdown) {
    let mut stopped = engine.stopped();
    if stopped.wait_for(|stopped| *stopped).await.is_ok() {
        part.failed(codes::ENGINE_STOPPED.title);
        shutdown.begin();
    }
}

/// Whether it has not failed: what it says counts more than how serving ended.
pub(super) fn check(engine: &Embedded) -> Result<()> {
    if *engine.stopped().borrow() {
        let message =
            "a write to the data directory failed: start belay again, what was acknowledged is safe";
        return Err(Error::new(codes::ENGINE_STOPPED, message));
    }
    Ok(())
}

struct Measures(Arc<Embedded>);

impl std::fmt::Debug for Measures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Measures")
    }
}

impl Collector for Measures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: u64| {
            let gauge = ConstGauge::new(value as f64);
            let metric =
                encoder.encode_descriptor(name, help, None, prometheus_client::metrics::MetricType::Gauge)?;
            gauge.encode(metric)
        };
        gauge(
            "belay_engine_journal_bytes",
            "Journal files on disk",
            self.0.journal_bytes(),
        )?;
        gauge(
            "belay_engine_memory_bytes",
            "Newest rows, in memory until they are written as a table",
            self.0.memory_bytes(),
        )?;
        gauge(
            "belay_engine_disk_bytes",
            "All files of the engine on disk",
            self.0.disk_bytes(),
        )?;
        gauge(
            "belay_engine_queued_commits",
            "Commits that wait for the disk",
            self.0.queued() as u64,
        )
    }
}
