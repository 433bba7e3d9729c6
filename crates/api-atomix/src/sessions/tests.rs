use std::collections::VecDeque;

use base::{Code, Error, codes};
use futures::future::ready;
use machines::engine::{Snapshot, Survey, Watch};
use machines::primitive::{self, lock};
use machines::{Engine, Query, Reply};

use super::*;

const GRACE: Duration = Duration::from_secs(15);
const NOW: Timestamp = Timestamp(1_000);

/// Writes down what it is told, and refuses as often as it is to.
#[derive(Default)]
struct Log {
    told: Mutex<Vec<String>>,
    refusals: Mutex<VecDeque<Code>>,
}

#[async_trait::async_trait]
impl Engine for Log {
    fn submit(&self, _: &Address, command: Command) -> BoxFuture<'static, Result<Reply>> {
        if let Some(code) = self.refusals.lock().pop_front() {
            return ready(Err(Error::new(code, code.title))).boxed();
        }
        let (text, reply) = match command {
            Command::SessionLost { session, over_at } => {
                (format!("{} lost, over at {}", session.0, over_at.0), Reply::Done)
            }
            Command::Primitive(primitive::Command::Lock(lock::Command::Lock { session, .. })) => {
                (format!("{} locks", session.0), lock::Reply::Held(1).into())
            }
            other => panic!("nobody sends {other:?} here"),
        };
        self.told.lock().push(text);
        ready(Ok(reply)).boxed()
    }

    async fn read(&self, _: &Address, _: Query) -> Result<Reply> {
        panic!("nobody reads here")
    }

    fn snapshot(&self, _: &Address) -> Result<Box<dyn Snapshot>> {
        panic!("nobody reads here")
    }

    fn survey(&self) -> Result<Box<dyn Survey>> {
        panic!("nobody reads here")
    }

    fn watch(&self, _: &Address) -> Result<Watch> {
        panic!("nobody watches here")
    }

    fn now(&self) -> Timestamp {
        NOW
    }
}

struct World {
    log: Arc<Log>,
    target: Target,
    sessions: Sessions,
    peer: Peer,
}

impl World {
    fn new() -> World {
        let log = Arc::new(Log::default());
        World {
            target: Target {
                engine: log.clone(),
                address: Address::primitive("store", "lock"),
            },
            log,
            sessions: Sessions::new(GRACE, None),
            peer: Peer::new(7),
        }
    }

    async fn lock(&self) {
        let timeout = None;
        let lock = |session| lock::Command::Lock { session, timeout };
        let reply = self.sessions.call(&self.peer, &self.target, lock).await;
        assert_eq!(reply.expect("granted"), lock::Reply::Held(1));
    }

    /// Once as much was told as is expected.
    async fn check(&self, expected: &[&str]) {
        while self.log.told.lock().len() < expected.len() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(*self.log.told.lock(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_connections_sessions_are_over_after_the_grace() {
    let world = World::new();
    world.lock().await;
    let session = world.sessions.enter(&world.peer, &world.target);
    world.peer.leave();
    world.check(&["7 locks", "7 lost, over at 16000"]).await;
    assert!(session.closed.is_cancelled(), "its streams end");
}

#[tokio::test(start_paused = true)]
async fn who_closes_is_over_at_once_and_may_begin_again() {
    let world = World::new();
    world.lock().await;
    world.sessions.close(&world.peer, &world.target).await;
    world.lock().await;
    world.sessions.close(&world.peer, &world.target).await;
    let expected = [
        "7 locks",
        "7 lost, over at 1000",
        "7 locks",
        "7 lost, over at 1000",
    ];
    world.check(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn closing_what_is_not_open_is_told_to_nobody() {
    let world = World::new();
    world.sessions.close(&world.peer, &world.target).await;
    world.check(&[]).await;
}

/// A call that arrives behind its connection's end gets an end of its own.
#[tokio::test(start_paused = true)]
async fn what_a_dead_connection_still_gets_is_freed_too() {
    let world = World::new();
    world.lock().await;
    world.peer.leave();
    world.check(&["7 locks", "7 lost, over at 16000"]).await;
    world.lock().await;
    let expected = [
        "7 locks",
        "7 lost, over at 16000",
        "7 locks",
        "7 lost, over at 16000",
    ];
    world.check(&expected).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_is_told_again() {
    let world = World::new();
    world.lock().await;
    let full = codes::ENGINE_QUEUE_FULL;
    world.log.refusals.lock().extend([full, full]);
    world.peer.leave();
    world.check(&["7 locks", "7 lost, over at 16000"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_shared_session_outlives_connections_and_ends_with_a_close() {
    let world = World {
        sessions: Sessions::new(GRACE, Some(machines::Session(99))),
        ..World::new()
    };
    world.lock().await;
    let other = Peer::new(8);
    world.sessions.enter(&other, &world.target);
    other.leave();
    tokio::time::sleep(2 * GRACE).await;
    world.check(&["99 locks"]).await;
    world.sessions.close(&world.peer, &world.target).await;
    world.check(&["99 locks", "99 lost, over at 1000"]).await;
}
