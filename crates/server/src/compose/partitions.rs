//! Metrics of partitions: what waits, what was done, by the store's number and the partition's.

use std::fmt::Error;

use host::Counts;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::hosts::Hosts;
use crate::telemetry::Metrics;

pub(super) fn measure(hosts: &Hosts, metrics: &Metrics) {
    let partitions = Partitions(hosts.clone());
    metrics.register(|registry| registry.register_collector(Box::new(partitions)));
}

struct Partitions(Hosts);

impl std::fmt::Debug for Partitions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Partitions")
    }
}

struct Metric {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    read: fn(&Counts) -> u64,
}

const METRICS: [Metric; 8] = [
    Metric {
        name: "belay_partition_waiting_commands",
        help: "Commands that wait for their partition",
        kind: MetricType::Gauge,
        read: |counts| counts.waiting_commands,
    },
    Metric {
        name: "belay_partition_waiting_bytes",
        help: "Bytes of the commands that wait for their partition",
        kind: MetricType::Gauge,
        read: |counts| counts.waiting_bytes,
    },
    Metric {
        name: "belay_partition_batches",
        help: "Batches of steps that are durable",
        kind: MetricType::Counter,
        read: |counts| counts.batches,
    },
    Metric {
        name: "belay_partition_steps",
        help: "Commands and timers in the batches that are durable",
        kind: MetricType::Counter,
        read: |counts| counts.steps,
    },
    Metric {
        name: "belay_partition_batches_refused",
        help: "Batches that the store refused",
        kind: MetricType::Counter,
        read: |counts| counts.batches_refused,
    },
    Metric {
        name: "belay_partition_timers_in_memory",
        help: "Timers in memory; there may be more in the store",
        kind: MetricType::Gauge,
        read: |counts| counts.timers_in_memory,
    },
    Metric {
        name: "belay_partition_letters_not_received",
        help: "Letters to other partitions without a receipt",
        kind: MetricType::Gauge,
        read: |counts| counts.letters_not_received,
    },
    Metric {
        name: "belay_partition_machines_watched",
        help: "Machines that somebody watches",
        kind: MetricType::Gauge,
        read: |counts| counts.machines_watched,
    },
];

impl Collector for Partitions {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let hosts = self.0.counts();
        let all: Vec<(String, &Counts)> = (0..)
            .zip(&hosts)
            .flat_map(|(store, counts)| counts.iter().map(move |counts| (format!("{store}"), counts)))
            .collect();
        for metric in METRICS {
            let mut encoded = encoder.encode_descriptor(metric.name, metric.help, None, metric.kind)?;
            for (store, counts) in &all {
                let partition = counts.partition.to_string();
                let labels = [("store", store.as_str()), ("partition", partition.as_str())];
                let (family, value) = (encoded.encode_family(&labels)?, (metric.read)(counts));
                match metric.kind {
                    MetricType::Counter => encode_counter(family, value)?,
                    _ => ConstGauge::new(value as f64).encode(family)?,
                }
            }
        }
        Ok(())
    }
}

fn encode_counter(mut family: MetricEncoder<'_>, value: u64) -> Result<(), Error> {
    family.encode_counter::<NoLabelSet, u64, u64>(&value, None)
}
