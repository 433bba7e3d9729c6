//! Metrics of topics: what happened to events, by component, topic and consumer group.

use std::fmt::Error;
use std::sync::Arc;

use drivers::derived::pubsub::{GroupCounts, TopicCounts};
use drivers::derived::{PubSub, Upkeep};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::telemetry::Metrics;

pub(super) fn measure(components: &[Upkeep], metrics: &Metrics) {
    let topics = components.iter().filter_map(Upkeep::topics).cloned().collect();
    metrics.register(|registry| registry.register_collector(Box::new(Topics(topics))));
}

struct Topics(Vec<Arc<PubSub>>);

impl std::fmt::Debug for Topics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Topics")
    }
}

/// What the component is called, and what it counted.
type Counted<T> = Vec<(String, T)>;

type Read<T> = fn(&T) -> u64;

/// How the events of a group ended, or did not yet.
const OUTCOMES: [(&str, Read<GroupCounts>); 5] = [
    ("ack", |group| group.acknowledged),
    ("retry", |group| group.retried),
    ("drop", |group| group.dropped),
    ("expire", |group| group.expired),
    ("dead_letter", |group| group.dead_lettered),
];

impl Collector for Topics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let (mut topics, mut groups, mut hidden) = (vec![], vec![], vec![]);
        for pubsub in &self.0 {
            let (component, counts) = (pubsub.component(), pubsub.counts());
            let named = |topic| (component.to_owned(), topic);
            topics.extend(counts.topics.into_iter().map(named));
            let named = |group| (component.to_owned(), group);
            groups.extend(counts.groups.into_iter().map(named));
            hidden.push((component, counts.topics_hidden, counts.groups_hidden));
        }
        of_topics(&mut encoder, &topics)?;
        of_groups(&mut encoder, &groups)?;
        let help =
            "Topics that the other metrics leave out, because there are too many or their names are too long";
        let mut metric = encoder.encode_descriptor("belay_topics_hidden", help, None, MetricType::Gauge)?;
        for (component, topics, _) in &hidden {
            gauge(&mut metric, &[("component", *component)], *topics as u64)?;
        }
        let help = "Consumer groups that the other metrics leave out, for the same reasons";
        let mut metric = encoder.encode_descriptor("belay_groups_hidden", help, None, MetricType::Gauge)?;
        for (component, _, groups) in &hidden {
            gauge(&mut metric, &[("component", *component)], *groups as u64)?;
        }
        Ok(())
    }
}

fn of_topics(encoder: &mut DescriptorEncoder<'_>, topics: &Counted<TopicCounts>) -> Result<(), Error> {
    let counters: [(&str, &str, Read<TopicCounts>); 2] = [
        (
            "belay_topic_events_published",
            "Events that were stored",
            |topic| topic.published,
        ),
        (
            "belay_topic_events_lost",
            "Events that were removed by age before every group had them",
            |topic| topic.lost,
        ),
    ];
    for (name, help, read) in counters {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (component, topic) in topics {
            counter(&mut metric, &of_topic(component, topic), read(topic))?;
        }
    }
    let help = "Bytes of events that are kept, which is what the slowest group has to go";
    let mut metric = encoder.encode_descriptor("belay_topic_kept_bytes", help, None, MetricType::Gauge)?;
    for (component, topic) in topics {
        gauge(&mut metric, &of_topic(component, topic), topic.kept_bytes)?;
    }
    Ok(())
}

fn of_groups(encoder: &mut DescriptorEncoder<'_>, groups: &Counted<GroupCounts>) -> Result<(), Error> {
    let help = "Events handed to the consumer, each attempt counted";
    let mut metric =
        encoder.encode_descriptor("belay_group_events_delivered", help, None, MetricType::Counter)?;
    for (component, group) in groups {
        counter(&mut metric, &of_group(component, group), group.delivered)?;
    }
    let help = "How deliveries ended: ack, retry, drop, expire, dead_letter";
    let mut metric =
        encoder.encode_descriptor("belay_group_events_settled", help, None, MetricType::Counter)?;
    for (component, group) in groups {
        for (outcome, read) in OUTCOMES {
            let [component, topic, group_name] = of_group(component, group);
            let labels = [component, topic, group_name, ("outcome", outcome)];
            counter(&mut metric, &labels, read(group))?;
        }
    }
    let help = "Events that wait for another attempt, or behind one that does";
    let mut metric = encoder.encode_descriptor("belay_group_events_parked", help, None, MetricType::Gauge)?;
    for (component, group) in groups {
        gauge(&mut metric, &of_group(component, group), group.parked)?;
    }
    Ok(())
}

type Label<'a> = (&'a str, &'a str);

fn of_topic<'a>(component: &'a str, topic: &'a TopicCounts) -> [Label<'a>; 2] {
    [("component", component), ("topic", &topic.topic)]
}

fn of_group<'a>(component: &'a str, group: &'a GroupCounts) -> [Label<'a>; 3] {
    [
        ("component", component),
        ("topic", &group.topic),
        ("group", &group.group),
    ]
}

fn counter(metric: &mut MetricEncoder<'_>, labels: &[Label<'_>], value: u64) -> Result<(), Error> {
    metric
        .encode_family(&labels)?
        .encode_counter::<NoLabelSet, u64, u64>(&value, None)
}

fn gauge(metric: &mut MetricEncoder<'_>, labels: &[Label<'_>], value: u64) -> Result<(), Error> {
    ConstGauge::new(value as f64).encode(metric.encode_family(&labels)?)
}
