//! Values: no write is lost, no version goes back, and of those who expect the same version one wins.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use testkit::linear::Recorder;
use testkit::linear::models::Register;
use testkit::linear::models::register::{Before, Operation, Outcome};
use tonic::Code;
use tonic::transport::Channel;
use wire::atomix::value as pb;
use wire::atomix::value::value_client::ValueClient;
use wire::atomix::value::values_client::ValuesClient;

use super::{Client, Load, ended, id};

#[derive(Default)]
pub(super) struct Values {
    recorder: Recorder<Register>,
    /// The last version that somebody saw: what updates expect.
    seen: AtomicU64,
}

#[tonic::async_trait]
impl Load for Values {
    async fn create(&self, channel: &Channel, name: &str) {
        let mut client = ValuesClient::new(channel.clone());
        let (id, tags) = (id(name), vec![]);
        let created = client.create(pb::CreateRequest { id, tags }).await;
        created.expect("a new value");
    }

    async fn act(&self, client: &mut Client) -> bool {
        let random = &mut client.random;
        let value = random.u64(..).to_string();
        let expect = self.seen.load(Ordering::SeqCst);
        let operation = match random.u32(..8) {
            0..2 => Operation::Put(value),
            2 => Operation::Insert(value),
            3..5 => Operation::Update { value, expect },
            5 => Operation::Delete { expect },
            _ => Operation::Get,
        };
        self.run(client, operation).await
    }

    fn restarts(&self, _: Instant) {
        self.recorder.lapse(|_| false);
    }

    async fn look(&self, client: &mut Client) {
        assert!(self.run(client, Operation::Get).await, "it is up");
    }

    fn check(&self) -> Result<usize, String> {
        let answered = self.recorder.answered();
        self.recorder.check().map(|()| answered)
    }
}

impl Values {
    async fn run(&self, client: &Client, operation: Operation) -> bool {
        let Client { channel, name, .. } = client;
        let mut single = ValueClient::new(channel.clone());
        let (id, asked) = (id(name), operation.clone());
        let ttl = None;
        let call = async {
            match asked {
                Operation::Put(value) => {
                    let value = value.into();
                    let answer = single.set(pb::SetRequest { id, value, ttl }).await;
                    let told =
                        |answer: pb::SetResponse| self.written(answer.version, before(answer.prev_value));
                    ended(answer, |answer| outcome(answer, told))
                }
                Operation::Insert(value) => {
                    let value = value.into();
                    let answer = single.insert(pb::InsertRequest { id, value, ttl }).await;
                    let told = |answer: pb::InsertResponse| self.written(answer.version, Before::Nothing);
                    ended(answer, |answer| outcome(answer, told))
                }
                Operation::Update { value, expect } => {
                    let update = pb::UpdateRequest {
                        id,
                        value: value.into(),
                        prev_version: expect,
                        ttl,
                    };
                    let answer = single.update(update).await;
                    let told =
                        |answer: pb::UpdateResponse| self.written(answer.version, before(answer.prev_value));
                    ended(answer, |answer| outcome(answer, told))
                }
                Operation::Delete { expect } => {
                    let prev_version = expect;
                    let answer = single.delete(pb::DeleteRequest { id, prev_version }).await;
                    ended(answer, |answer| {
                        outcome(answer, |answer| self.found(answer.value))
                    })
                }
                Operation::Get => {
                    let answer = single.get(pb::GetRequest { id }).await;
                    ended(answer, |answer| {
                        outcome(answer, |answer| self.found(answer.value))
                    })
                }
            }
        };
        self.recorder.run(name, operation, call).await
    }

    fn written(&self, version: u64, before: Before) -> Outcome {
        self.seen.store(version, Ordering::SeqCst);
        Outcome::Written { version, before }
    }

    fn found(&self, found: Option<pb::VersionedValue>) -> Outcome {
        let (value, version) = split(found.unwrap_or_default());
        self.seen.store(version, Ordering::SeqCst);
        Outcome::Found { value, version }
    }
}

fn outcome<R>(answer: Result<R, Code>, told: impl FnOnce(R) -> Outcome) -> Option<Outcome> {
    match answer {
        Ok(answer) => Some(told(answer)),
        Err(Code::Aborted) => Some(Outcome::Changed),
        Err(Code::AlreadyExists) => Some(Outcome::Exists),
        Err(Code::NotFound) => Some(Outcome::Absent),
        Err(_) => None,
    }
}

fn before(before: Option<pb::VersionedValue>) -> Before {
    before.map_or(Before::Nothing, |before| {
        let (value, version) = split(before);
        Before::Was { value, version }
    })
}

fn split(found: pb::VersionedValue) -> (String, u64) {
    (String::from_utf8_lossy(&found.value).into_owned(), found.version)
}
