//! What the process still waits for, by name; read by `/ready`, `/health` and the gRPC health service.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

/// The parts of the process and their state. Cheap to clone; every clone is the same registry.
#[derive(Clone)]
pub struct Readiness(Arc<Inner>);

struct Inner {
    parts: Mutex<Parts>,
    changes: watch::Sender<()>,
}

#[derive(Default)]
struct Parts {
    by_name: BTreeMap<String, (Weight, State)>,
    draining: bool,
}

/// What it means that a part is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// No call can be served: gRPC health says NOT_SERVING.
    Essential,
    /// Some calls fail or some events do not arrive: only `/ready` says so, the rest is served.
    Supporting,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Ready,
    Waiting(String),
    /// Only a restart helps.
    Failed(String),
}

/// A part that is not ready, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    pub name: String,
    pub reason: String,
}

/// One part's own handle. It is not ready until it says so; dropping the handle takes the part off the list.
pub struct Part {
    registry: Readiness,
    name: String,
}

impl Default for Readiness {
    fn default() -> Readiness {
        Readiness(Arc::new(Inner {
            parts: Mutex::default(),
            changes: watch::channel(()).0,
        }))
    }
}

impl Readiness {
    /// Adds a part: `engine`, `component orders-db`, `subscription orders/placed`. A second one of the same name takes
    /// the first one's place.
    pub fn part(&self, name: impl Into<String>, weight: Weight) -> Part {
        let name = name.into();
        self.change(|parts| {
            let state = State::Waiting("starting".to_owned());
            parts.by_name.insert(name.clone(), (weight, state));
        });
        Part {
            registry: self.clone(),
            name,
        }
    }

    /// From now on nothing is ready.
    pub fn drain(&self) {
        self.change(|parts| parts.draining = true);
    }

    /// Every part that is not ready, by name; empty when the process is ready.
    pub fn missing(&self) -> Vec<Missing> {
        let parts = self.0.parts.lock();
        let draining = parts.draining.then(|| Missing {
            name: "process".to_owned(),
            reason: "stopping".to_owned(),
        });
        let waiting = parts.by_name.iter().filter_map(|(name, (_, state))| {
            Some(Missing {
                name: name.clone(),
                reason: state.reason()?.to_owned(),
            })
        });
        draining.into_iter().chain(waiting).collect()
    }

    /// Whether calls can be served at all.
    pub fn is_serving(&self) -> bool {
        let parts = self.0.parts.lock();
        !parts.draining
            && parts
                .by_name
                .values()
                .all(|(weight, state)| *weight == Weight::Supporting || *state == State::Ready)
    }

    /// The essential parts that only a restart can help.
    pub fn failed(&self) -> Vec<Missing> {
        let parts = self.0.parts.lock();
        parts
            .by_name
            .iter()
            .filter_map(|(name, (weight, state))| match (weight, state) {
                (Weight::Essential, State::Failed(reason)) => Some(Missing {
                    name: name.clone(),
                    reason: reason.clone(),
                }),
                _ => None,
            })
            .collect()
    }

    /// Tells of every change.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.0.changes.subscribe()
    }

    fn change(&self, change: impl FnOnce(&mut Parts)) {
        change(&mut self.0.parts.lock());
        self.0.changes.send_replace(());
    }
}

impl State {
    fn reason(&self) -> Option<&str> {
        match self {
            State::Ready => None,
            State::Waiting(reason) | State::Failed(reason) => Some(reason),
        }
    }
}

impl Part {
    pub fn ready(&self) {
        self.set(State::Ready);
    }

    /// For now; the reason is shown to operators.
    pub fn not_ready(&self, reason: impl Into<String>) {
        self.set(State::Waiting(reason.into()));
    }

    /// For good: `/health` fails too, so that whoever watches the process restarts it.
    pub fn failed(&self, reason: impl Into<String>) {
        self.set(State::Failed(reason.into()));
    }

    fn set(&self, state: State) {
        self.registry.change(|parts| {
            if let Some((_, current)) = parts.by_name.get_mut(&self.name) {
                *current = state;
            }
        });
    }
}

/// A part that is gone is not asked for any more; one that failed for good still is.
impl Drop for Part {
    fn drop(&mut self) {
        self.registry.change(|parts| {
            let stays = |(_, state): &(Weight, State)| matches!(state, State::Failed(_));
            if !parts.by_name.get(&self.name).is_some_and(stays) {
                parts.by_name.remove(&self.name);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(missing: &[Missing]) -> Vec<&str> {
        missing.iter().map(|missing| &*missing.name).collect()
    }

    #[test]
    fn a_part_is_not_ready_until_it_says_so() {
        let readiness = Readiness::default();
        let engine = readiness.part("engine", Weight::Essential);
        assert_eq!(readiness.missing()[0].reason, "starting");
        engine.ready();
        assert!(readiness.missing().is_empty() && readiness.is_serving());
    }

    #[test]
    fn what_failed_for_good_outlives_its_part() {
        let readiness = Readiness::default();
        let engine = readiness.part("engine", Weight::Essential);
        drop(readiness.part("component files", Weight::Essential));
        engine.failed("a write failed");
        drop(engine);
        assert_eq!(names(&readiness.failed()), ["engine"]);
        assert_eq!(names(&readiness.missing()), ["engine"]);
    }

    #[test]
    fn a_broker_that_is_away_does_not_stop_the_rest() {
        let readiness = Readiness::default();
        let subscription = readiness.part("subscription bus/orders", Weight::Supporting);
        subscription.ready();
        subscription.not_ready("broker refused the topic");
        assert_eq!(names(&readiness.missing()), ["subscription bus/orders"]);
        assert!(readiness.is_serving());
    }

    #[test]
    fn only_an_essential_part_that_failed_for_good_asks_for_a_restart() {
        let readiness = Readiness::default();
        let engine = readiness.part("engine", Weight::Essential);
        let bus = readiness.part("component bus", Weight::Supporting);
        bus.failed("wrong password");
        engine.not_ready("opening");
        assert!(readiness.failed().is_empty());
        engine.failed("a write failed");
        assert_eq!(names(&readiness.failed()), ["engine"]);
        assert!(!readiness.is_serving());
    }

    #[test]
    fn a_part_that_is_gone_is_not_missed() {
        let readiness = Readiness::default();
        drop(readiness.part("subscription bus/orders", Weight::Supporting));
        assert!(readiness.missing().is_empty());
    }

    #[tokio::test]
    async fn a_drain_is_seen_by_whoever_watches() {
        let readiness = Readiness::default();
        let mut changes = readiness.changes();
        readiness.drain();
        changes.changed().await.expect("the registry is alive");
        assert!(!readiness.is_serving());
        assert_eq!(names(&readiness.missing()), ["process"]);
    }
}
