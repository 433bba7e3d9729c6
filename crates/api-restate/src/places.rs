//! Attempts that go on at once: so many with each deployment, so that one that hangs keeps no other waiting.

use std::collections::HashMap;
use std::sync::Arc;

use base::limits::RESTATE_ATTEMPTS_PER_DEPLOYMENT_MAX as PLACES;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Default)]
pub(crate) struct Places(Mutex<HashMap<String, Arc<Semaphore>>>);

/// Of one attempt, until it is dropped.
pub(crate) struct Place {
    deployment: String,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    pub(crate) fn is_with(&self, deployment: &str) -> bool {
        self.deployment == deployment
    }
}

impl Places {
    /// `None`: all are taken.
    pub(crate) fn take(&self, deployment: &str) -> Option<Place> {
        let permit = self.of(deployment).try_acquire_owned().ok()?;
        Some(Place {
            deployment: deployment.to_owned(),
            _permit: permit,
        })
    }

    /// In the order in which they ask. `None` does not come about: nobody closes them.
    pub(crate) async fn wait(&self, deployment: &str) -> Option<Place> {
        let permit = self.of(deployment).acquire_owned().await.ok()?;
        Some(Place {
            deployment: deployment.to_owned(),
            _permit: permit,
        })
    }

    fn of(&self, deployment: &str) -> Arc<Semaphore> {
        let mut all = self.0.lock();
        if let Some(places) = all.get(deployment) {
            return places.clone();
        }
        // Deployments come and go.
        all.retain(|_, places| Arc::strong_count(places) > 1);
        let places = Arc::new(Semaphore::new(PLACES));
        all.insert(deployment.to_owned(), places.clone());
        places
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_deployment_that_is_full_keeps_no_other_waiting() {
        let places = Places::default();
        let mut taken: Vec<_> = (0..PLACES)
            .map(|_| places.take("hangs").expect("there is room"))
            .collect();
        assert!(places.take("hangs").is_none());
        assert!(places.wait("hangs").now_or_never().is_none());
        assert!(places.take("other").is_some_and(|place| place.is_with("other")));

        taken.pop();
        assert!(places.take("hangs").is_some(), "one has left");
    }

    #[tokio::test]
    async fn deployments_with_nothing_to_do_are_forgotten() {
        let places = Places::default();
        let busy = places.take("busy");
        drop(places.take("idle"));
        drop(places.take("newest"));
        assert_eq!(places.0.lock().len(), 2, "busy and newest");
        drop(busy);
    }
}
