//! How a subscription is asked for: the component's settings, then what the subscription's metadata says otherwise.
//!
//! | metadata | means | otherwise |
//! |---|---|---|
//! | `consumerID` | the consumer group | the component's, or the application's id |
//! | `deadLetterTopic` | where events go that are given up | the component's, or nowhere |
//! | `maxDeliveries` | how often an event is tried before it is given up, 0: for ever | the component's |
//! | `concurrency`, or else `queueDepth` | events with the application at once; what is over the limit is cut down to it | the component's |
//! | `initialOffset` | where a new group begins: `oldest`, or `newest` for behind all that is there | `oldest` |
//!
//! Other names are left to the brokers. A blank value is none.

use std::collections::HashMap;

use base::{Error, Result, codes, limits};
use ports::pubsub::{Start, Subscription};

use crate::components::{Bus, Components};

/// What the metadata of a subscription asks for.
pub(crate) fn subscription(
    components: &Components,
    bus: &Bus,
    topic: &str,
    metadata: &HashMap<String, String>,
) -> Result<Subscription> {
    let consuming = &bus.consuming;
    let text = |name: &str| {
        metadata
            .get(name)
            .map(|text| text.trim())
            .filter(|text| !text.is_empty())
    };
    let group = text("consumerID")
        .or(Some(&*consuming.consumer_id).filter(|id| !id.is_empty()))
        .unwrap_or(&components.app_id);
    let dead_letter_topic = text("deadLetterTopic")
        .map(str::to_owned)
        .or_else(|| consuming.dead_letter_topic.clone());
    let in_flight_max = number(text, "concurrency")?.or(number(text, "queueDepth")?);
    Ok(Subscription {
        topic: topic.to_owned(),
        group: group.to_owned(),
        start: start(text("initialOffset"))?,
        dead_letter_topic,
        deliveries_max: number(text, "maxDeliveries")?.unwrap_or(consuming.deliveries_max),
        in_flight_max: in_flight_max.map_or(consuming.in_flight_max, at_once),
        deadline: consuming.deadline,
    })
}

fn at_once(asked: u32) -> usize {
    (asked as usize).clamp(1, limits::EVENTS_IN_MEMORY_MAX)
}

fn number<'m>(text: impl Fn(&str) -> Option<&'m str>, name: &str) -> Result<Option<u32>> {
    let parse = |text: &str| text.parse().map_err(|_| wrong(name, "it must be a whole number"));
    text(name).map(parse).transpose()
}

fn start(offset: Option<&str>) -> Result<Start> {
    match offset {
        None | Some("oldest") => Ok(Start::Oldest),
        Some("newest") => Ok(Start::Newest),
        Some(_) => Err(wrong("initialOffset", "it must be oldest or newest")),
    }
}

fn wrong(name: &str, why: &str) -> Error {
    Error::new(
        codes::INVALID_ARGUMENT,
        format!("subscription metadata {name}: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::components::Consuming;
    use crate::testing::{Topics, texts};

    fn bus(consuming: Consuming) -> Bus {
        Bus {
            store: Arc::new(Topics::default()),
            consuming,
        }
    }

    fn check<const N: usize>(consuming: Consuming, metadata: [(&str, &str); N]) -> Result<Subscription> {
        let components = Components {
            app_id: "app".into(),
            ..Components::default()
        };
        subscription(&components, &bus(consuming), "t", &texts(metadata))
    }

    fn group<const N: usize>(consumer_id: &str, metadata: [(&str, &str); N]) -> String {
        let consuming = Consuming {
            consumer_id: consumer_id.into(),
            ..Consuming::default()
        };
        check(consuming, metadata).expect("it is a subscription").group
    }

    #[test]
    fn the_group_is_the_nearest_that_is_named() {
        assert_eq!(group("", []), "app");
        assert_eq!(group("", [("consumerID", " ")]), "app");
        assert_eq!(group("component", []), "component");
        assert_eq!(group("component", [("consumerID", "own")]), "own");
    }

    #[test]
    fn metadata_overrides_the_component() {
        let consuming = Consuming {
            in_flight_max: 7,
            deliveries_max: 8,
            dead_letter_topic: Some("dead".into()),
            deadline: Duration::from_secs(9),
            ..Consuming::default()
        };
        let plain = check(consuming.clone(), [("unknown", "x")]).expect("it is a subscription");
        assert_eq!((plain.in_flight_max, plain.deliveries_max), (7, 8));
        assert_eq!(plain.dead_letter_topic.as_deref(), Some("dead"));
        assert_eq!(
            (plain.deadline, plain.start),
            (Duration::from_secs(9), Start::Oldest)
        );
        let own = [
            ("queueDepth", "2"),
            ("concurrency", "1"),
            ("maxDeliveries", "3"),
            ("deadLetterTopic", "other"),
            ("initialOffset", "newest"),
        ];
        let own = check(consuming, own).expect("it is a subscription");
        assert_eq!((own.in_flight_max, own.deliveries_max), (1, 3));
        assert_eq!(own.dead_letter_topic.as_deref(), Some("other"));
        assert_eq!(own.start, Start::Newest);
    }

    #[test]
    fn what_is_over_the_limit_is_cut_down() {
        for (asked, expected) in [
            ("0", 1),
            ("100", 100),
            ("4294967295", limits::EVENTS_IN_MEMORY_MAX),
        ] {
            let subscription = check(Consuming::default(), [("queueDepth", asked)]);
            assert_eq!(
                subscription.expect("it is a subscription").in_flight_max,
                expected
            );
        }
    }

    #[test]
    fn senseless_values_are_named() {
        for (name, value) in [
            ("concurrency", "many"),
            ("queueDepth", "-1"),
            ("maxDeliveries", "1.5"),
            ("initialOffset", "latest"),
        ] {
            let error = check(Consuming::default(), [(name, value)]).expect_err(name);
            assert_eq!(error.code(), codes::INVALID_ARGUMENT);
            assert!(error.message().contains(name), "{error}");
        }
    }
}
