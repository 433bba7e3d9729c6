//! Values, against the model of a register with versions.

use async_trait::async_trait;
use base::{Code, codes};
use bytes::Bytes;
use machines::primitive::Versioned;
use machines::primitive::value::{Command, Query, Reply};
use parking_lot::Mutex;
use testkit::linear::Recorder;
use testkit::linear::models::Register;
use testkit::linear::models::register::{Before, Operation, Outcome};

use super::{Client, Subject, ended};

pub(super) const NAMES: [&str; 2] = ["config", "leader"];

#[derive(Default)]
pub(super) struct Values {
    recorder: Recorder<Register>,
    /// The last version that somebody saw: what an update expects, so that some are right and some are late.
    seen: Mutex<u64>,
}

#[async_trait]
impl Subject for Values {
    async fn act(&self, client: &mut Client) {
        let name = NAMES[client.random.usize(..NAMES.len())];
        let value = format!("{}-{}", client.number, client.random.u32(..));
        let expect = match client.random.u32(..3) {
            0 => 0,
            _ => *self.seen.lock(),
        };
        let operation = match client.random.u32(..10) {
            0..2 => Operation::Put(value),
            2..4 => Operation::Insert(value),
            4..6 => Operation::Update { value, expect },
            6 => Operation::Delete { expect },
            _ => Operation::Get,
        };
        self.run(client, name, operation).await;
    }

    async fn end(&self, client: &mut Client) {
        for name in NAMES {
            self.run(client, name, Operation::Get).await;
        }
    }

    fn answered(&self) -> usize {
        self.recorder.answered()
    }

    fn check(&self) -> Result<(), String> {
        self.recorder.check()
    }
}

impl Values {
    async fn run(&self, client: &mut Client, name: &str, operation: Operation) {
        let command = command(&operation);
        let call = async {
            let answer = match command {
                None => client.ask(name, Query::Get).await,
                Some(command) => client.call(name, command).await,
            };
            ended(answer, |reply| self.outcome(reply))
        };
        self.recorder.run(name, operation, call).await;
    }

    fn outcome(&self, reply: Result<Reply, Code>) -> Option<Outcome> {
        match reply {
            Ok(Reply::Written { version, before }) => {
                *self.seen.lock() = version;
                let before = before.map_or(Before::Nothing, |before| {
                    let (value, version) = split(&before);
                    Before::Was { value, version }
                });
                Some(Outcome::Written { version, before })
            }
            Ok(Reply::Found(found) | Reply::FoundUntil { found, .. }) => {
                let (value, version) = split(&found);
                *self.seen.lock() = version;
                Some(Outcome::Found { value, version })
            }
            Err(codes::VALUE_CHANGED) => Some(Outcome::Changed),
            Err(codes::ENTRY_EXISTS) => Some(Outcome::Exists),
            Err(codes::ENTRY_NOT_FOUND) => Some(Outcome::Absent),
            Err(_) => None,
        }
    }
}

/// `None`: a query.
fn command(operation: &Operation) -> Option<Command> {
    let bytes = |value: &str| Bytes::copy_from_slice(value.as_bytes());
    Some(match operation {
        Operation::Put(value) => Command::Set {
            value: bytes(value),
            ttl: None,
        },
        Operation::Insert(value) => Command::Insert {
            value: bytes(value),
            ttl: None,
        },
        Operation::Update { value, expect } => Command::Update {
            value: bytes(value),
            ttl: None,
            expect: *expect,
        },
        Operation::Delete { expect } => Command::Delete { expect: *expect },
        Operation::Get => return None,
    })
}

fn split(found: &Versioned) -> (String, u64) {
    (String::from_utf8_lossy(&found.value).into_owned(), found.version)
}
