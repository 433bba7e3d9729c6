//! The building blocks that any [`Kv`](ports::kv::Kv) has for nothing: written once, over rows that `keys` lays out.
//!
//! Each is a value with two faces. Behind its port it stands alone. With its `stage_` methods several of them put their
//! changes into one [`ports::kv::Batch`], so that one commit changes a value, a configuration and a counter, or nothing.

use std::sync::Arc;
use std::time::Duration;

use base::task::Tasks;
use base::{Error, Result, Timestamp, codes};
use ports::{Component, Port};

pub(crate) mod keys;

pub mod state;

pub mod lock;

pub mod sequencer;

pub mod config;

pub mod pubsub;

pub mod ownership;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use lock::Lock;
pub use ownership::Ownership;
pub use pubsub::PubSub;
pub use sequencer::Sequencer;
pub use state::State;

/// Fills the ports of `serves` that can be derived from the component's `Kv` and that its driver did not fill. `name` is
/// the component's: components that share a store are kept apart by it. Call it on a runtime.
pub fn complete(
    component: &mut Component,
    name: &str,
    serves: &[Port],
    retention: pubsub::Retention,
    tasks: &Tasks,
) -> Upkeep {
    let Some(kv) = component.kv.clone() else {
        return Upkeep::default();
    };
    let mut upkeep = Upkeep::default();
    let mut wanted = serves.to_vec();
    wanted.retain(|port| !component.has(*port));
    for port in wanted {
        match port {
            Port::State => component.state = Some(Arc::new(State::over(kv.clone(), name))),
            Port::Lock => component.lock = Some(Arc::new(Lock::over(kv.clone(), name))),
            Port::Sequencer => component.sequencer = Some(Arc::new(Sequencer::over(kv.clone(), name))),
            Port::PubSub => {
                let pubsub = PubSub::over(kv.clone(), name, retention, tasks.clone());
                component.pubsub = Some(pubsub.clone());
                upkeep.pubsub = Some(pubsub);
            }
            Port::Config => {
                let config = Arc::new(Config::over(kv.clone(), name));
                component.config = Some(config.clone());
                upkeep.config = Some(config);
            }
            Port::Kv | Port::Secret | Port::File | Port::Binding | Port::Invoke => {}
        }
    }
    upkeep
}

/// What derived components need done in the background. Nothing breaks without it, but logs grow.
#[derive(Clone, Default)]
pub struct Upkeep {
    config: Option<Arc<Config>>,
    pubsub: Option<Arc<PubSub>>,
}

/// Whether a step of upkeep left something for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    More,
    Done,
}

impl Upkeep {
    /// The topics, for those who count: they look after themselves.
    pub fn topics(&self) -> Option<&Arc<PubSub>> {
        self.pubsub.as_ref()
    }

    /// One small step: a few rows and one commit per component, so that whoever schedules it sets the pace.
    pub async fn step(&self) -> Result<Progress> {
        match &self.config {
            Some(config) => config.trim().await,
            None => Ok(Progress::Done),
        }
    }
}

/// When a time to live that begins now is over. Rounded up to the millisecond that stores count in: never too early.
fn expiry(now: Timestamp, ttl: Duration) -> Timestamp {
    now.plus(ttl.saturating_add(Duration::from_nanos(999_999)))
}

fn unreadable(what: &str, why: &str) -> Error {
    let message = format!("a stored {what} cannot be decoded: {why}");
    Error::new(codes::STORED_ROW_UNREADABLE, message)
}

/// Others changed the row between each read and the commit that rested on it.
fn contended(what: &str) -> Error {
    Error::new(
        codes::CONTENDED,
        format!("{what} kept changing while it was being updated"),
    )
}
