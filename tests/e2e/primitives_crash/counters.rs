//! Counters: nothing is lost, nothing counts twice.

use std::time::Instant;

use testkit::linear::Recorder;
use testkit::linear::models::Counter;
use testkit::linear::models::counter::{Operation, Outcome};
use tonic::Code;
use tonic::transport::Channel;
use wire::atomix::counter as pb;
use wire::atomix::counter::counter_client::CounterClient;
use wire::atomix::counter::counters_client::CountersClient;

use super::{Client, Load, ended, id};

#[derive(Default)]
pub(super) struct Counters(Recorder<Counter>);

#[tonic::async_trait]
impl Load for Counters {
    async fn create(&self, channel: &Channel, name: &str) {
        let mut client = CountersClient::new(channel.clone());
        let (id, tags) = (id(name), vec![]);
        let created = client.create(pb::CreateRequest { id, tags }).await;
        created.expect("a new counter");
    }

    async fn act(&self, client: &mut Client) -> bool {
        let random = &mut client.random;
        let operation = match random.u32(..8) {
            0..5 => Operation::Add(random.i64(1..4)),
            5 => Operation::Update {
                check: random.i64(0..4),
                value: 0,
            },
            _ => Operation::Get,
        };
        self.run(client, operation).await
    }

    fn restarts(&self, _: Instant) {
        self.0.lapse(|_| false);
    }

    async fn look(&self, client: &mut Client) {
        assert!(self.run(client, Operation::Get).await, "it is up");
    }

    fn check(&self) -> Result<usize, String> {
        let answered = self.0.answered();
        self.0.check().map(|()| answered)
    }
}

impl Counters {
    async fn run(&self, client: &Client, operation: Operation) -> bool {
        let Client { channel, name, .. } = client;
        let mut counter = CounterClient::new(channel.clone());
        let id = id(name);
        let call = async {
            match operation {
                Operation::Get => {
                    let answer = counter.get(pb::GetRequest { id }).await;
                    ended(answer, |answer| outcome(answer.map(|answer| answer.value)))
                }
                Operation::Add(delta) => {
                    let answer = counter.increment(pb::IncrementRequest { id, delta }).await;
                    ended(answer, |answer| outcome(answer.map(|answer| answer.value)))
                }
                Operation::Set(value) => {
                    let answer = counter.set(pb::SetRequest { id, value }).await;
                    ended(answer, |answer| outcome(answer.map(|answer| answer.value)))
                }
                Operation::Update { check, value } => {
                    let update = value;
                    let answer = counter.update(pb::UpdateRequest { id, check, update }).await;
                    ended(answer, |answer| outcome(answer.map(|answer| answer.value)))
                }
            }
        };
        self.0.run(name, operation, call).await
    }
}

fn outcome(answer: Result<i64, Code>) -> Option<Outcome> {
    match answer {
        Ok(value) => Some(Outcome::Is { value, version: None }),
        Err(Code::Aborted) => Some(Outcome::Changed),
        Err(_) => None,
    }
}
