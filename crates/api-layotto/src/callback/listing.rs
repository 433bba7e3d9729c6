//! What the application wants (spec 4.4).

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::limits;
use tonic::Code;
use wire::layotto as pb;

use super::Subscription;
use super::pool::{Pool, Unsent};
use crate::components::Components;

/// One topic, and how it is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) pubsub: String,
    pub(super) topic: String,
    pub(super) metadata: HashMap<String, String>,
}

impl From<&Subscription> for Wanted {
    fn from(configured: &Subscription) -> Wanted {
        Wanted {
            pubsub: configured.pubsub.clone(),
            topic: configured.topic.clone(),
            metadata: configured.metadata.clone().into_iter().collect(),
        }
    }
}

/// An application that is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Listed {
    Topics(Vec<Wanted>),
    /// It answers, but not with a list.
    Refused(String),
}

/// An error says why the application cannot be reached.
pub(super) async fn ask(pool: &Arc<Pool>) -> Result<Listed, String> {
    let mut client = pool.client();
    let asked = tokio::time::timeout(limits::APP_LIST_DEADLINE, client.list_topic_subscriptions(())).await;
    let Ok(answer) = asked else {
        return Ok(Listed::Refused("it did not list its topics in time".to_owned()));
    };
    match answer {
        Ok(response) => Ok(listed(response.into_inner().subscriptions)),
        // It has no list to give: what is configured is delivered.
        Err(status) if status.code() == Code::Unimplemented => Ok(Listed::Topics(vec![])),
        Err(status) => match Unsent::of(&status) {
            Some(unsent) => Err(unsent.to_string()),
            None => Ok(Listed::Refused(format!(
                "it answered {}: {}",
                status.code(),
                status.message()
            ))),
        },
    }
}

fn listed(subscriptions: Vec<pb::TopicSubscription>) -> Listed {
    if subscriptions.len() > limits::APP_SUBSCRIPTIONS_MAX {
        let (count, max) = (subscriptions.len(), limits::APP_SUBSCRIPTIONS_MAX);
        return Listed::Refused(format!("it lists {count} topics, it may list {max}"));
    }
    let wanted = subscriptions.into_iter().map(|subscription| Wanted {
        pubsub: subscription.pubsub_name,
        topic: subscription.topic,
        metadata: subscription.metadata,
    });
    Listed::Topics(wanted.collect())
}

/// One per topic: the last one counts. What no component serves is left out.
pub(super) fn merge(
    wanted: impl Iterator<Item = Wanted>,
    components: &Components,
) -> BTreeMap<(String, String), Wanted> {
    let mut merged = BTreeMap::new();
    for wanted in wanted {
        let (pubsub, topic) = (&wanted.pubsub, &wanted.topic);
        if !components.pubsubs.contains_key(pubsub) {
            tracing::warn!(
                pubsub,
                topic,
                "the application wants a topic of a component that is not there"
            );
            continue;
        }
        merged.insert((pubsub.clone(), topic.clone()), wanted);
    }
    merged
}
