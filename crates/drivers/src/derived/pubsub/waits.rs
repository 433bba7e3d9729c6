//! What the reader of a group waits for, besides its consumers.

use std::pin::Pin;

use base::{Timestamp, limits};
use futures::future::BoxFuture;
use tokio::time::{Instant, Sleep};

/// A future that is there or not.
pub(super) struct Slot<T>(Option<BoxFuture<'static, T>>);

impl<T> Default for Slot<T> {
    fn default() -> Slot<T> {
        Slot(None)
    }
}

impl<T> Slot<T> {
    pub(super) fn is_busy(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn start(&mut self, future: BoxFuture<'static, T>) {
        self.0 = Some(future);
    }

    /// Cancel safe. Waits for ever while nothing has been started.
    pub(super) async fn done(&mut self) -> T {
        let Some(future) = &mut self.0 else {
            return std::future::pending().await;
        };
        let done = future.await;
        self.0 = None;
        done
    }
}

/// Rings when a stored time has come, as far as this runtime can tell.
#[derive(Default)]
pub(super) struct Alarm {
    at: Option<Timestamp>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    /// `None`, or a time that has come already: does not ring.
    pub(super) fn set(&mut self, at: Option<Timestamp>, now: Timestamp) {
        let at = at.filter(|at| *at > now);
        if at != self.at {
            self.at = at;
            // The store's clock may run otherwise than ours.
            let wait = at.map(|at| at.since(now).min(limits::RETRY_RECHECK_INTERVAL));
            self.sleep = wait.map(|wait| Box::pin(tokio::time::sleep(wait)));
        }
    }

    pub(super) async fn rings(&mut self) {
        let Some(sleep) = &mut self.sleep else {
            return std::future::pending().await;
        };
        sleep.await;
        *self = Alarm::default();
    }
}

/// Rings when a time of the runtime's has come, or earlier: whoever is rung looks, and sets the next one.
#[derive(Default)]
pub(super) struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    /// Costs nothing while it is set to an earlier time.
    pub(super) fn set(&mut self, at: Option<Instant>) {
        let Some(at) = at else { return };
        match &mut self.0 {
            Some(sleep) if sleep.deadline() <= at => (),
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.0 = Some(Box::pin(tokio::time::sleep_until(at))),
        }
    }

    pub(super) async fn rings(&mut self) {
        let Some(sleep) = &mut self.0 else {
            return std::future::pending().await;
        };
        sleep.await;
        self.0 = None;
    }
}

/// A store that fails is asked again after a while, longer each time.
#[derive(Default)]
pub(super) struct Fault {
    count: u32,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Fault {
    pub(super) fn begins(&self) -> bool {
        self.count == 0
    }

    pub(super) fn lasts(&self) -> bool {
        self.sleep.is_some()
    }

    pub(super) fn again(&mut self) {
        let pause = limits::TOPIC_FAULT_PAUSE_MIN * (1 << self.count.min(10));
        self.count += 1;
        self.sleep = Some(Box::pin(tokio::time::sleep(
            pause.min(limits::TOPIC_FAULT_PAUSE_MAX),
        )));
    }

    pub(super) fn clear(&mut self) {
        *self = Fault::default();
    }

    pub(super) async fn over(&mut self) {
        let Some(sleep) = &mut self.sleep else {
            return std::future::pending().await;
        };
        sleep.await;
        self.sleep = None;
    }
}
