//! Locks, against their model: with waits that time out or are given up, and sessions that are lost. In good weather, whoever
//! waits is granted it in the end, and what nobody holds any more is free.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base::{Code, codes};
use futures::future::join_all;
use machines::Call;
use machines::primitive::lock::{Command, Query, Reply};
use testkit::linear::models::Lock;
use testkit::linear::models::lock::{Operation, Outcome};
use testkit::linear::{Ended, Recorder};
use tokio::time::timeout;

use super::sessions::{OVER_MS, Sessions};
use super::{Client, Subject, address, ended};
use crate::world::World;

const NAMES: [&str; 2] = ["door", "gate"];
/// The longest that somebody waits who does not wait for ever.
const WAIT_MS_MAX: u64 = 200;
const WAIT_MAX: Duration = Duration::from_millis(WAIT_MS_MAX);
/// How late a wait is over in good weather.
const LATE_MS: u64 = 100;
/// Who come at the end, and how often.
const CROWD: u64 = 3;
const CROWD_ROUNDS: usize = 3;

pub(super) struct Locks {
    world: World,
    recorder: Recorder<Lock>,
    sessions: Sessions,
    requests: AtomicU64,
}

/// How long somebody waits.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// The machine is told of this.
    timeout: Option<Duration>,
    /// After this the caller goes away.
    gives_up: Option<Duration>,
}

#[async_trait]
impl Subject for Locks {
    async fn act(&self, client: &mut Client) {
        let name = NAMES[client.random.usize(..NAMES.len())];
        match client.random.u32(..10) {
            0..4 => {
                let mut patience = patience(client);
                patience.gives_up = patience
                    .gives_up
                    .or(patience.timeout.is_none().then_some(WAIT_MAX));
                self.acquire(client, name, patience).await;
            }
            4..7 => self.release(client, name).await,
            7 => self.sessions.lose(client, name).await,
            _ => {
                self.look(client, name).await;
            }
        }
    }

    async fn end(&self, client: &mut Client) {
        self.all_free(client).await;
        let mut crowd: Vec<_> = (1..=CROWD)
            .map(|number| Client::new(client.number + number, self.world.clone(), client.random.fork()))
            .collect();
        join_all(crowd.iter_mut().map(|client| self.come(client))).await;
        self.all_free(client).await;
    }

    fn answered(&self) -> usize {
        self.recorder.answered()
    }

    fn check(&self) -> Result<(), String> {
        self.recorder.check()
    }
}

fn patience(client: &mut Client) -> Patience {
    let mut some = || Some(Duration::from_millis(client.random.u64(1..WAIT_MS_MAX)));
    let (timeout, gives_up) = (some(), some());
    Patience {
        timeout: match client.random.u32(..4) {
            0 => Some(Duration::ZERO),
            1 => None,
            _ => timeout,
        },
        gives_up: gives_up.filter(|_| client.random.u32(..3) == 0),
    }
}

impl Locks {
    pub(super) fn new(world: World) -> Locks {
        Locks {
            world,
            recorder: Recorder::default(),
            sessions: Sessions::default(),
            requests: AtomicU64::default(),
        }
    }

    /// Whether it was granted.
    async fn acquire(&self, client: &mut Client, name: &'static str, patience: Patience) -> bool {
        let Some(own) = self.sessions.of(client, name) else {
            return false;
        };
        let (called, session) = (client.now(), own.number);
        let request = self.requests.fetch_add(1, Ordering::SeqCst);
        let began = self.recorder.begin(name, Operation::Acquire { session, request });
        let command = Command::Lock {
            session: own.session(),
            timeout: patience.timeout,
        };
        let call = client.told(&own.process, command.call(&own.process.host, &address(name)));
        let answer = timeout(patience.gives_up.unwrap_or(Duration::MAX), call).await;
        let gave_up = answer.is_err();
        let ended = ended(answer.ok().flatten(), |reply| match outcome(reply)? {
            Outcome::HeldWith { token } => Some(Outcome::Granted { token }),
            outcome => Some(outcome),
        });
        self.note_over();
        let granted = matches!(ended, Ended::With(Outcome::Granted { .. }));
        if matches!(ended, Ended::With(Outcome::Refused)) {
            let least = patience.timeout.map(|timeout| called.plus(timeout));
            if least.is_none_or(|least| client.now() < least) {
                let now = client.now();
                self.world
                    .fault(format!("called {called:?}, refused {now:?}: {patience:?}"));
            }
        }
        if gave_up {
            self.recorder.begin(name, Operation::Abandon { request });
        } else if matches!(ended, Ended::Unknown) {
            self.sessions.forget(client, name);
        }
        self.recorder.end(name, began, ended);
        granted
    }

    async fn release(&self, client: &mut Client, name: &'static str) {
        let Some(own) = self.sessions.of(client, name) else {
            return;
        };
        let session = own.number;
        let began = self.recorder.begin(name, Operation::Release { session });
        let session = own.session();
        let call = Command::Unlock { session }.call(&own.process.host, &address(name));
        let ended = ended(client.told(&own.process, call).await, outcome);
        self.note_over();
        self.recorder.end(name, began, ended);
    }

    async fn look(&self, client: &mut Client, name: &'static str) -> Ended<Outcome> {
        let began = self.recorder.begin(name, Operation::Look);
        let ended = ended(client.ask(name, Query::Get).await, outcome);
        self.note_over();
        self.recorder.end(name, began, ended.clone());
        ended
    }

    /// Before an answer is noted: what it tells may follow from the end of a session.
    fn note_over(&self) {
        for (name, session) in self.sessions.over(self.world.now()) {
            self.recorder.begin(name, Operation::Lose { session });
        }
    }

    /// One of those who come at the end: takes a lock, whatever it takes, and leaves it in one way or another.
    async fn come(&self, client: &mut Client) {
        let name = NAMES[0];
        for _ in 0..CROWD_ROUNDS {
            let patience = patience(client);
            let called = client.now();
            if self.acquire(client, name, patience).await {
                let held_ms = client.random.u64(..20);
                client.pause(held_ms).await;
                match client.random.u32(..3) {
                    0 => self.sessions.lose(client, name).await,
                    _ => self.release(client, name).await,
                }
            } else if let Some(timeout) = patience.timeout {
                let most = called.plus(timeout + Duration::from_millis(LATE_MS));
                let now = client.now();
                if now > most {
                    self.world
                        .fault(format!("called {called:?}, refused {now:?}: {patience:?}"));
                }
            }
        }
    }

    /// When all sessions that were lost are over.
    async fn all_free(&self, client: &mut Client) {
        client.pause(OVER_MS).await;
        for name in NAMES {
            match self.look(client, name).await {
                Ended::With(Outcome::Free) => {}
                other => self.world.fault(format!("nobody holds {name} now: {other:?}")),
            }
        }
    }
}

fn outcome(reply: Result<Reply, Code>) -> Option<Outcome> {
    match reply {
        Ok(Reply::Held(token)) => Some(Outcome::HeldWith { token }),
        Ok(Reply::Unlocked) => Some(Outcome::Released),
        Err(codes::LOCK_HELD) => Some(Outcome::Refused),
        Err(codes::LOCK_NOT_HELD) => Some(Outcome::NotHeld),
        Err(codes::ENTRY_NOT_FOUND) => Some(Outcome::Free),
        Err(_) => None,
    }
}
