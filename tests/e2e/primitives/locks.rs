//! Locks: trying does not steal, and a server that was away has not ended anybody's session.

use std::time::{Duration, Instant};

use tests::Belay;
use tokio::task::JoinHandle;
use tonic::Code;
use wire::atomix::lock as pb;
use wire::atomix::lock::lock_client::LockClient;
use wire::atomix::lock::locks_client::LocksClient;

use super::{connect, id};

const NAME: &str = "lock";
/// After a restart, in these tests.
const GRACE: Duration = Duration::from_secs(1);
const CONFIG: &str = "limits: { session_restart_grace_ms: 1000 }\n";
/// The server counts in whole ones.
const MILLISECOND: Duration = Duration::from_millis(1);

/// One client, and so one session.
#[derive(Clone)]
struct Client(LockClient<tonic::transport::Channel>);

impl Client {
    async fn new(belay: &Belay) -> Client {
        let channel = connect(belay).await;
        let (id, tags) = (id(NAME), vec![]);
        let created = LocksClient::new(channel.clone())
            .create(pb::CreateRequest { id, tags })
            .await;
        created.expect("it is there, or new");
        Client(LockClient::new(channel))
    }

    /// `None` waits for ever.
    async fn lock(&self, timeout_ms: Option<i64>) -> Result<u64, Code> {
        let mut request = pb::LockRequest {
            id: id(NAME),
            ..pb::LockRequest::default()
        };
        if let Some(ms) = timeout_ms {
            let timeout = request.timeout.get_or_insert_default();
            timeout.seconds = ms / 1_000;
            timeout.nanos = i32::try_from(ms % 1_000 * 1_000_000).expect("less than a second");
        }
        let answer = self.0.clone().lock(request).await;
        answer
            .map(|answer| answer.into_inner().version)
            .map_err(|status| status.code())
    }

    fn waits(&self, timeout_ms: Option<i64>) -> JoinHandle<Result<u64, Code>> {
        let client = self.clone();
        #[allow(clippy::disallowed_methods, reason = "the test waits for it")]
        tokio::spawn(async move { client.lock(timeout_ms).await })
    }

    async fn unlock(&self) -> Result<(), Code> {
        let answer = self.0.clone().unlock(pb::UnlockRequest { id: id(NAME) }).await;
        answer.map(drop).map_err(|status| status.code())
    }

    async fn version(&self) -> Result<u64, Code> {
        let answer = self.0.clone().get_lock(pb::GetLockRequest { id: id(NAME) }).await;
        answer
            .map(|answer| answer.into_inner().version)
            .map_err(|status| status.code())
    }
}

/// C68: somebody who tries gets nothing while another holds, and disturbs neither the holder nor the queue.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trying_does_not_steal() {
    let belay = Belay::run("{}\n").await;
    let (a, b, c) = (
        Client::new(&belay).await,
        Client::new(&belay).await,
        Client::new(&belay).await,
    );
    let held = a.lock(Some(0)).await.expect("it is free");
    for timeout_ms in [0, 1, -1, -1_000] {
        assert_eq!(
            b.lock(Some(timeout_ms)).await,
            Err(Code::Aborted),
            "{timeout_ms} ms"
        );
        assert_eq!(b.version().await, Ok(held), "after {timeout_ms} ms");
    }
    // Alone in the queue it gets what is unlocked in time.
    let waiting = b.waits(Some(20_000));
    a.unlock().await.expect("it holds it");
    let granted = waiting.await.expect("no panic").expect("it was unlocked in time");
    assert!(granted > held, "a later grant is a later version");
    // Behind one who waits for ever it does not.
    let waiting = c.waits(None);
    assert_eq!(a.lock(Some(1_000)).await, Err(Code::Aborted));
    assert_eq!(a.lock(Some(0)).await, Err(Code::Aborted));
    assert_eq!(b.version().await, Ok(granted), "the holder has what it had");
    b.unlock().await.expect("it holds it");
    let last = waiting
        .await
        .expect("no panic")
        .expect("it was the first in the queue");
    assert!(last > granted, "a later grant is a later version");
    assert_eq!(a.lock(Some(0)).await, Err(Code::Aborted));
    assert_eq!(a.version().await, Ok(last));
}

/// C72: the time in which nobody could answer does not count, whoever is back first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_grace_counts_from_the_servers_start() {
    let mut belay = Belay::run(CONFIG).await;
    let (a, b) = (Client::new(&belay).await, Client::new(&belay).await);
    let held = a.lock(Some(0)).await.expect("it is free");
    let waiting = b.waits(None);
    belay.kill().await;
    waiting.await.expect("no panic").expect_err("its server is gone");
    // It is the passing of time that is tested.
    tokio::time::sleep(3 * GRACE).await;
    let started = Instant::now();
    let belay = belay.restart().await;
    let b = Client::new(&belay).await;
    assert_eq!(b.lock(Some(0)).await, Err(Code::Aborted), "it is still held");
    let waiting = b.waits(None);
    let a = Client::new(&belay).await;
    // The rule: a new connection is a new session. The holder can tell by the answer, and by the version.
    assert_eq!(a.unlock().await, Err(Code::Aborted));
    let granted = waiting.await.expect("no panic").expect("nobody came back");
    assert!(
        started.elapsed() + MILLISECOND >= GRACE,
        "not before the grace is over"
    );
    assert!(granted > held, "a later grant is a later version");
    assert_eq!(
        a.version().await,
        Ok(granted),
        "which is not the one that it was given"
    );
}
