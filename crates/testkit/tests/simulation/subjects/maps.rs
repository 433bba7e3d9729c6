//! Maps, against their model: changes of one key, transactions over two, and clears.

use async_trait::async_trait;
use base::{Code, codes};
use bytes::Bytes;
use machines::primitive::Versioned;
use machines::primitive::map::{self, Command, Query, Reply};
use parking_lot::Mutex;
use testkit::linear::Recorder;
use testkit::linear::models::Map;
use testkit::linear::models::map::{Change, Changed, Operation, Outcome, To};
use testkit::linear::models::register::Before;

use super::{Client, Subject, ended};

pub(super) const NAMES: [&str; 2] = ["users", "orders"];
const KEYS: [&str; 3] = ["ann", "bob", "eve"];
/// What is cleared is removed after a minute.
const SWEPT_MS: u64 = 62_000;

#[derive(Default)]
pub(super) struct Maps {
    recorder: Recorder<Map>,
    /// The last version that somebody saw: what changes expect, so that some are right and some are late.
    seen: Mutex<u64>,
    cleared: Mutex<bool>,
}

#[async_trait]
impl Subject for Maps {
    async fn act(&self, client: &mut Client) {
        let name = NAMES[client.random.usize(..NAMES.len())];
        let key = client.random.usize(..KEYS.len());
        let operation = match client.random.u32(..40) {
            0..18 => Operation::Commit(vec![self.change(client, key)]),
            18..27 => {
                let other = (key + client.random.usize(1..KEYS.len())) % KEYS.len();
                Operation::Commit(vec![self.change(client, key), self.change(client, other)])
            }
            27 => Operation::Clear,
            28..30 => Operation::Size,
            _ => Operation::Get(KEYS[key].into()),
        };
        self.run(client, name, operation).await;
    }

    async fn end(&self, client: &mut Client) {
        for name in NAMES {
            for key in KEYS {
                self.run(client, name, Operation::Get(key.into())).await;
            }
            self.run(client, name, Operation::Size).await;
        }
        if *self.cleared.lock() {
            client.pause(SWEPT_MS).await;
        }
    }

    fn answered(&self) -> usize {
        self.recorder.answered()
    }

    fn check(&self) -> Result<(), String> {
        self.recorder.check()
    }
}

impl Maps {
    fn change(&self, client: &mut Client, key: usize) -> Change {
        // Some are equal.
        let value = match client.random.u32(..4) {
            0 => "same".into(),
            _ => format!("{}-{}", client.number, client.random.u32(..)),
        };
        let expect = match client.random.u32(..3) {
            0 => *self.seen.lock(),
            _ => 0,
        };
        let to = match client.random.u32(..8) {
            0..4 => To::Put { value, expect },
            4 => To::Insert(value),
            5..7 => To::Update { value, expect },
            _ => To::Remove { expect },
        };
        let key = KEYS[key].into();
        Change { key, to }
    }

    async fn run(&self, client: &mut Client, name: &str, operation: Operation) {
        let asked = operation.clone();
        let call = async {
            let answer = match asked {
                Operation::Get(key) => client.ask(name, Query::Get { key }).await,
                Operation::Size => client.ask(name, Query::Size).await,
                Operation::Clear => {
                    *self.cleared.lock() = true;
                    client.call(name, Command::Clear).await
                }
                Operation::Commit(changes) => {
                    let mut changes: Vec<_> = changes.into_iter().map(change).collect();
                    let command = match changes.pop() {
                        Some(only) if changes.is_empty() => Command::Change(only),
                        last => Command::Commit(changes.into_iter().chain(last).collect()),
                    };
                    client.call(name, command).await
                }
            };
            ended(answer, |reply| self.outcome(reply))
        };
        self.recorder.run(name, operation, call).await;
    }

    fn outcome(&self, reply: Result<Reply, Code>) -> Option<Outcome> {
        match reply {
            Ok(Reply::Changed(changed)) => Some(Outcome::Committed(vec![self.changed(changed)])),
            Ok(Reply::Committed(changed)) => {
                let changed = changed.into_iter().map(|changed| self.changed(changed));
                Some(Outcome::Committed(changed.collect()))
            }
            Ok(Reply::Cleared) => Some(Outcome::Cleared),
            Ok(Reply::Found(found) | Reply::FoundUntil { found, .. }) => {
                let (value, version) = split(&found);
                *self.seen.lock() = version;
                Some(Outcome::Found { value, version })
            }
            Ok(Reply::Size(size)) => Some(Outcome::Size(size)),
            Ok(Reply::Locked | Reply::Unlocked) => None,
            Err(codes::VALUE_CHANGED) => Some(Outcome::Mismatch),
            Err(codes::ENTRY_EXISTS) => Some(Outcome::Exists),
            Err(codes::ENTRY_NOT_FOUND) => Some(Outcome::Absent),
            Err(_) => None,
        }
    }

    fn changed(&self, changed: map::Changed) -> Changed {
        match changed {
            map::Changed::Written { version, before } => {
                *self.seen.lock() = version;
                let before = before.map_or(Before::Nothing, |before| {
                    let (value, version) = split(&before);
                    Before::Was { value, version }
                });
                Changed::Written { version, before }
            }
            map::Changed::Removed(was) => {
                let (value, version) = split(&was);
                Changed::Removed { value, version }
            }
        }
    }
}

fn change(Change { key, to }: Change) -> map::Change {
    let ttl = None;
    let to = match to {
        To::Put { value, expect } => map::To::Put {
            value: Bytes::from(value),
            ttl,
            expect,
        },
        To::Insert(value) => map::To::Insert {
            value: Bytes::from(value),
            ttl,
        },
        To::Update { value, expect } => map::To::Update {
            value: Bytes::from(value),
            ttl,
            expect,
        },
        To::Remove { expect } => map::To::Remove { expect },
    };
    map::Change { key, to }
}

fn split(found: &Versioned) -> (String, u64) {
    (String::from_utf8_lossy(&found.value).into_owned(), found.version)
}
