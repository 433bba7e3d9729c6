//! How many calls go on at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::Failure;

/// A call holds one place from its start to its end. Whoever finds none waits in line until the deadline.
pub(crate) struct Places(Arc<Semaphore>);

/// One place; dropping it makes room for the next call.
pub(crate) type Place = OwnedSemaphorePermit;

impl Places {
    pub(crate) fn of(count: usize) -> Places {
        Places(Arc::new(Semaphore::new(count)))
    }

    pub(crate) async fn take(&self, deadline: Instant) -> Result<Place, Failure> {
        if let Ok(place) = self.0.clone().try_acquire_owned() {
            return Ok(place);
        }
        let place = timeout_at(deadline, self.0.clone().acquire_owned()).await;
        let place = place.map_err(|_| Failure::NoPlace)?;
        Ok(place.expect("the semaphore is never closed"))
    }
}
