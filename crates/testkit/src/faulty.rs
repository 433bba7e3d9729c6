//! A `Kv` around another one, with faults: the n-th call fails, calls are slow, or nothing answers any more.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Error, Result, Timestamp, codes};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use ports::kv::{Batch, Entry, Key, Keyspace, Kv, Outcome, Page, Reads, Scan, Version};
use tokio::sync::watch;

/// What goes wrong, counted over reads and commits together, from 1.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Call number `n` fails and does nothing.
    FailBefore { n: u64 },
    /// Call number `n`, if a commit, is done, but its caller hears an error.
    FailAfter { n: u64 },
    /// Call number `n`, if a commit, is refused as the store's contract allows: nothing is written.
    Refuse { n: u64 },
    /// Commits that need room are refused.
    NearlyFull,
    /// Every call takes so long (of tokio's clock) before it is carried out.
    Delay { by: Duration },
    /// From call number `n` on nothing is carried out: the engine has stopped.
    StopAt { n: u64 },
}

pub struct Faulty {
    inner: Arc<dyn Kv>,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    faults: Vec<Fault>,
    calls: u64,
}

/// What to do with one call.
#[derive(Clone, Copy, Default)]
struct Verdict {
    delay: Duration,
    fail_before: bool,
    fail_after: bool,
    refuse: bool,
    nearly_full: bool,
}

impl Faulty {
    pub fn new(inner: Arc<dyn Kv>) -> Arc<Faulty> {
        Arc::new(Faulty {
            inner,
            plan: Mutex::default(),
        })
    }

    /// Replaces the faults and counts from 1 again.
    pub fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        *self.plan.lock() = Plan {
            faults: faults.into_iter().collect(),
            calls: 0,
        };
    }

    /// Calls since the last [`Faulty::inject`].
    pub fn calls(&self) -> u64 {
        self.plan.lock().calls
    }

    fn next(&self) -> Verdict {
        let mut plan = self.plan.lock();
        plan.calls += 1;
        let call = plan.calls;
        plan.faults.iter().fold(Verdict::default(), |mut verdict, fault| {
            match *fault {
                Fault::FailBefore { n } => verdict.fail_before |= call == n,
                Fault::FailAfter { n } => verdict.fail_after |= call == n,
                Fault::Refuse { n } => verdict.refuse |= call == n,
                Fault::NearlyFull => verdict.nearly_full = true,
                Fault::Delay { by } => verdict.delay = by,
                Fault::StopAt { n } => verdict.fail_before |= call >= n,
            }
            verdict
        })
    }

    async fn read<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let verdict = self.next();
        pause(verdict.delay).await;
        if verdict.fail_before {
            Err(injected())
        } else {
            call.await
        }
    }
}

async fn pause(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

fn injected() -> Error {
    Error::new(codes::ENGINE_STOPPED, "a fault was injected")
}

#[async_trait]
impl Reads for Faulty {
    async fn get(&self, key: &Key) -> Result<Option<Entry>> {
        self.read(self.inner.get(key)).await
    }

    async fn get_many(&self, keys: &[Key]) -> Result<Vec<Option<Entry>>> {
        self.read(self.inner.get_many(keys)).await
    }

    async fn scan(&self, scan: Scan) -> Result<Page> {
        self.read(self.inner.scan(scan)).await
    }
}

#[async_trait]
impl Kv for Faulty {
    fn commit(&self, batch: Batch) -> BoxFuture<'static, Result<Outcome>> {
        let verdict = self.next();
        if verdict.fail_before {
            return async move { pause(verdict.delay).await }
                .map(|()| Err(injected()))
                .boxed();
        }
        if verdict.refuse || (verdict.nearly_full && batch.grows()) {
            let error = Error::new(codes::DISK_NEARLY_FULL, "a fault was injected");
            return async move { pause(verdict.delay).await }
                .map(|()| Err(error))
                .boxed();
        }
        // Queued now: the inner store's order is the order of the calls.
        let commit = self.inner.commit(batch);
        async move {
            pause(verdict.delay).await;
            let outcome = commit.await;
            if verdict.fail_after {
                Err(injected())
            } else {
                outcome
            }
        }
        .boxed()
    }

    fn snapshot(&self) -> Result<Box<dyn Reads>> {
        self.inner.snapshot()
    }

    fn appended(&self, keyspace: Keyspace, prefix: &Bytes) -> watch::Receiver<Version> {
        self.inner.appended(keyspace, prefix)
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }
}

#[cfg(test)]
mod tests {
    use base::time::ManualClock;
    use drivers::memory::Memory;

    use super::*;

    fn faulty(faults: impl IntoIterator<Item = Fault>) -> Arc<Faulty> {
        let clock = ManualClock::at(Timestamp(1));
        let faulty = Faulty::new(Arc::new(Memory::new(Arc::new(clock))));
        faulty.inject(faults);
        faulty
    }

    async fn put(kv: &Faulty, name: &'static str) -> Result<Outcome> {
        kv.commit(Batch::default().put(Key::state(name), "v")).await
    }

    async fn there(kv: &Faulty, name: &'static str) -> bool {
        kv.inject([]);
        kv.get(&Key::state(name)).await.expect("no fault").is_some()
    }

    #[tokio::test]
    async fn only_the_nth_call_fails() {
        let kv = faulty([Fault::FailBefore { n: 2 }]);
        assert!(put(&kv, "a").await.is_ok());
        assert!(put(&kv, "b").await.is_err());
        assert!(put(&kv, "c").await.is_ok());
        assert!(!there(&kv, "b").await && there(&kv, "c").await);
    }

    #[tokio::test]
    async fn a_refused_commit_writes_nothing() {
        let kv = faulty([Fault::Refuse { n: 1 }]);
        let refused = put(&kv, "a").await.expect_err("it is refused");
        assert_eq!(refused.code(), codes::DISK_NEARLY_FULL);
        assert!(!there(&kv, "a").await);
    }

    #[tokio::test]
    async fn a_commit_can_be_done_although_its_caller_hears_an_error() {
        let kv = faulty([Fault::FailAfter { n: 1 }]);
        assert!(put(&kv, "a").await.is_err());
        assert!(there(&kv, "a").await);
    }

    #[tokio::test]
    async fn a_stopped_store_answers_nothing_any_more() {
        let kv = faulty([Fault::StopAt { n: 2 }]);
        assert!(put(&kv, "a").await.is_ok());
        assert!(put(&kv, "b").await.is_err() && kv.get(&Key::state("a")).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_store_takes_its_time() {
        let kv = faulty([Fault::Delay {
            by: Duration::from_secs(5),
        }]);
        let before = tokio::time::Instant::now();
        put(&kv, "a").await.expect("slow, not broken");
        assert_eq!(before.elapsed(), Duration::from_secs(5));
    }
}
