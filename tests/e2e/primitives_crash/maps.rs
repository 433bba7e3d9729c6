//! Maps: no write is lost, also none of a transaction, no version goes back, and of those who expect the same version one wins.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use testkit::linear::Recorder;
use testkit::linear::models::Map;
use testkit::linear::models::map::{Change, Changed, Operation, Outcome, To};
use testkit::linear::models::register::Before;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};
use wire::atomix::map as pb;
use wire::atomix::map::commit_request::operation::Operation as Asked;
use wire::atomix::map::commit_response::result::Result as Told;
use wire::atomix::map::map_client::MapClient;
use wire::atomix::map::maps_client::MapsClient;
use wire::atomix::map::{commit_request, commit_response};
use wire::atomix::runtime::PrimitiveId;

use super::{Client, Load, ended, id};

const KEYS: [&str; 3] = ["ann", "bob", "eve"];

#[derive(Default)]
pub(super) struct Maps {
    recorder: Recorder<Map>,
    /// The last version that somebody saw: what changes expect.
    seen: AtomicU64,
}

#[tonic::async_trait]
impl Load for Maps {
    async fn create(&self, channel: &Channel, name: &str) {
        let mut client = MapsClient::new(channel.clone());
        let (id, tags) = (id(name), vec![]);
        let created = client.create(pb::CreateRequest { id, tags }).await;
        created.expect("a new map");
    }

    async fn act(&self, client: &mut Client) -> bool {
        let key = client.random.usize(..KEYS.len());
        let operation = match client.random.u32(..40) {
            0..16 => Operation::Commit(vec![self.change(client, key)]),
            16..28 => {
                let other = (key + client.random.usize(1..KEYS.len())) % KEYS.len();
                Operation::Commit(vec![self.change(client, key), self.change(client, other)])
            }
            28 => Operation::Clear,
            29..31 => Operation::Size,
            _ => Operation::Get(KEYS[key].into()),
        };
        self.run(client, operation).await
    }

    fn restarts(&self, _: Instant) {
        self.recorder.lapse(|_| false);
    }

    async fn look(&self, client: &mut Client) {
        for key in KEYS {
            assert!(self.run(client, Operation::Get(key.into())).await, "it is up");
        }
        assert!(self.run(client, Operation::Size).await, "it is up");
    }

    fn check(&self) -> Result<usize, String> {
        let answered = self.recorder.answered();
        self.recorder.check().map(|()| answered)
    }
}

impl Maps {
    fn change(&self, client: &mut Client, key: usize) -> Change {
        let random = &mut client.random;
        // Some are equal.
        let value = match random.u32(..4) {
            0 => "same".into(),
            _ => random.u64(..).to_string(),
        };
        let expect = match random.u32(..3) {
            0 => self.seen.load(Ordering::SeqCst),
            _ => 0,
        };
        let to = match random.u32(..8) {
            0..4 => To::Put { value, expect },
            4 => To::Insert(value),
            5..7 => To::Update { value, expect },
            _ => To::Remove { expect },
        };
        let key = KEYS[key].into();
        Change { key, to }
    }

    async fn run(&self, client: &Client, operation: Operation) -> bool {
        let mut map = MapClient::new(client.channel.clone());
        let (id, asked) = (id(&client.name), operation.clone());
        let call = async {
            match asked {
                Operation::Commit(mut changes) if changes.len() == 1 => {
                    let answer = alone(&mut map, id, changes.remove(0)).await;
                    ended(answer, |answer| {
                        outcome(answer, |told| Some(Outcome::Committed(vec![self.changed(told)?])))
                    })
                }
                Operation::Commit(changes) => {
                    let operations = changes.into_iter().map(asked_for).collect();
                    let answer = map.commit(pb::CommitRequest { id, operations }).await;
                    ended(answer, |answer| outcome(answer, |answer| self.committed(answer)))
                }
                Operation::Clear => {
                    let answer = map.clear(pb::ClearRequest { id }).await;
                    ended(answer, |answer| outcome(answer, |_| Some(Outcome::Cleared)))
                }
                Operation::Get(key) => {
                    let answer = map.get(pb::GetRequest { id, key }).await;
                    ended(answer, |answer| {
                        outcome(answer, |answer| {
                            let (value, version) = self.split(answer.value?);
                            Some(Outcome::Found { value, version })
                        })
                    })
                }
                Operation::Size => {
                    let answer = map.size(pb::SizeRequest { id }).await;
                    ended(answer, |answer| {
                        outcome(answer, |answer| Some(Outcome::Size(answer.size.into())))
                    })
                }
            }
        };
        self.recorder.run(&client.name, operation, call).await
    }

    fn committed(&self, answer: pb::CommitResponse) -> Option<Outcome> {
        let changed = answer.results.into_iter().map(|told| self.changed(told.result?));
        Some(Outcome::Committed(changed.collect::<Option<_>>()?))
    }

    fn changed(&self, told: Told) -> Option<Changed> {
        let (version, before) = match told {
            Told::Put(put) => (put.version, put.prev_value),
            Told::Insert(insert) => (insert.version, None),
            Told::Update(update) => (update.version, update.prev_value),
            Told::Remove(remove) => {
                let (value, version) = self.split(remove.value?);
                return Some(Changed::Removed { value, version });
            }
        };
        let before = before.map_or(Before::Nothing, |before| {
            let (value, version) = self.split(before);
            Before::Was { value, version }
        });
        self.seen.store(version, Ordering::SeqCst);
        Some(Changed::Written { version, before })
    }

    fn split(&self, found: pb::VersionedValue) -> (String, u64) {
        self.seen.store(found.version, Ordering::SeqCst);
        (String::from_utf8_lossy(&found.value).into_owned(), found.version)
    }
}

/// A change that is no transaction, by the call that is meant for it.
async fn alone(
    map: &mut MapClient<Channel>,
    id: Option<PrimitiveId>,
    change: Change,
) -> Result<Response<Told>, Status> {
    let Change { key, to } = change;
    let ttl = None;
    match to {
        To::Put { value, expect } => {
            let (value, prev_version) = (value.into(), expect);
            let put = pb::PutRequest {
                id,
                key,
                value,
                ttl,
                prev_version,
            };
            let told = |answer: pb::PutResponse| {
                let pb::PutResponse { version, prev_value } = answer;
                Told::Put(commit_response::Put { version, prev_value })
            };
            Ok(map.put(put).await?.map(told))
        }
        To::Insert(value) => {
            let value = value.into();
            let insert = pb::InsertRequest { id, key, value, ttl };
            let told = |answer: pb::InsertResponse| {
                let version = answer.version;
                Told::Insert(commit_response::Insert { version })
            };
            Ok(map.insert(insert).await?.map(told))
        }
        To::Update { value, expect } => {
            let (value, prev_version) = (value.into(), expect);
            let update = pb::UpdateRequest {
                id,
                key,
                value,
                ttl,
                prev_version,
            };
            let told = |answer: pb::UpdateResponse| {
                let pb::UpdateResponse { version, prev_value } = answer;
                Told::Update(commit_response::Update { version, prev_value })
            };
            Ok(map.update(update).await?.map(told))
        }
        To::Remove { expect } => {
            let prev_version = expect;
            let remove = pb::RemoveRequest {
                id,
                key,
                prev_version,
            };
            let told = |answer: pb::RemoveResponse| {
                let value = answer.value;
                Told::Remove(commit_response::Remove { value })
            };
            Ok(map.remove(remove).await?.map(told))
        }
    }
}

fn outcome<R>(answer: Result<R, Code>, told: impl FnOnce(R) -> Option<Outcome>) -> Option<Outcome> {
    match answer {
        Ok(answer) => told(answer),
        Err(Code::Aborted) => Some(Outcome::Mismatch),
        Err(Code::AlreadyExists) => Some(Outcome::Exists),
        Err(Code::NotFound) => Some(Outcome::Absent),
        Err(_) => None,
    }
}

fn asked_for(Change { key, to }: Change) -> commit_request::Operation {
    let ttl = None;
    let asked = match to {
        To::Put { value, expect } => Asked::Put(commit_request::Put {
            key,
            value: value.into(),
            ttl,
            prev_version: expect,
        }),
        To::Insert(value) => Asked::Insert(commit_request::Insert {
            key,
            value: value.into(),
            ttl,
        }),
        To::Update { value, expect } => Asked::Update(commit_request::Update {
            key,
            value: value.into(),
            ttl,
            prev_version: expect,
        }),
        To::Remove { expect } => Asked::Remove(commit_request::Remove {
            key,
            prev_version: expect,
        }),
    };
    commit_request::Operation {
        operation: Some(asked),
    }
}
