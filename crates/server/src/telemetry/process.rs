//! What the process costs, read when somebody asks. Names as Prometheus' own client libraries have them.
//!
//! Read from `/proc`; where there is none, only the up-time is shown.

use std::fs;
use std::time::Instant;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

#[derive(Debug)]
pub(super) struct Process {
    started: Instant,
}

impl Process {
    pub(super) fn new() -> Process {
        Process {
            started: Instant::now(),
        }
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let mut gauge = |name: &str, help: &str, value: f64| {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge_type())?;
            gauge.encode(metric)
        };
        gauge(
            "process_uptime_seconds",
            "Time since the start",
            self.started.elapsed().as_secs_f64(),
        )?;
        let sample = Sample::take();
        if let Some(bytes) = sample.resident_bytes {
            gauge("process_resident_memory_bytes", "Memory in RAM", bytes)?;
        }
        if let Some(count) = sample.threads {
            gauge("process_threads", "Threads", count)?;
        }
        if let Some(count) = sample.open_descriptors {
            gauge("process_open_fds", "Open file descriptors", count)?;
        }
        if let Some(count) = descriptors_max() {
            gauge("process_max_fds", "Most file descriptors there can be", count)?;
        }
        if let Some(seconds) = sample.cpu_seconds {
            let counter = ConstCounter::new(seconds);
            let metric = encoder.encode_descriptor(
                "process_cpu_seconds",
                "CPU time, user and system",
                None,
                prometheus_client::metrics::MetricType::Counter,
            )?;
            counter.encode(metric)?;
        }
        Ok(())
    }
}

fn gauge_type() -> prometheus_client::metrics::MetricType {
    prometheus_client::metrics::MetricType::Gauge
}

#[derive(Default)]
struct Sample {
    resident_bytes: Option<f64>,
    threads: Option<f64>,
    cpu_seconds: Option<f64>,
    open_descriptors: Option<f64>,
}

impl Sample {
    fn take() -> Sample {
        let Ok(stat) = fs::read_to_string("/proc/self/stat") else {
            return Sample::default();
        };
        // The second field is the program's name in brackets and may hold anything; the third starts after the last one.
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map_or("", |(_, rest)| rest)
            .split_whitespace()
            .collect();
        // Numbered as in proc(5), where the first field here is the third.
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let ticks_per_second = rustix::param::clock_ticks_per_second() as f64;
        let cpu_ticks = field(14).zip(field(15)).map(|(user, system)| user + system);
        Sample {
            resident_bytes: field(24).map(|pages| pages * rustix::param::page_size() as f64),
            threads: field(20),
            cpu_seconds: cpu_ticks.map(|ticks| ticks / ticks_per_second),
            // Reading the folder takes a descriptor of its own, which is not counted.
            open_descriptors: fs::read_dir("/proc/self/fd")
                .ok()
                .map(|entries| entries.count().saturating_sub(1) as f64),
        }
    }
}

fn descriptors_max() -> Option<f64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile)
        .current
        .map(|count| count as f64)
}

#[cfg(test)]
mod tests {
    use crate::telemetry::Metrics;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_page_shows_what_the_process_costs() {
        let page = Metrics::new().encode().expect("plain metrics");
        let value = |name: &str| {
            page.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<f64>().ok())
                .unwrap_or_else(|| panic!("no {name} in {page}"))
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_threads") >= 1.0);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
        assert!(value("process_cpu_seconds_total") >= 0.0);
        assert!(value("process_uptime_seconds") >= 0.0);
    }
}
