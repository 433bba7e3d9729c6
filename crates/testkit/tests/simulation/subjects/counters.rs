//! Counters, against the model of a number.

use async_trait::async_trait;
use base::{Code, codes};
use machines::primitive::counter::{Command, Query, Reply};
use testkit::linear::Recorder;
use testkit::linear::models::Counter;
use testkit::linear::models::counter::{Operation, Outcome};

use super::{Client, Subject, ended};

const NAMES: [&str; 2] = ["hits", "misses"];

#[derive(Default)]
pub(super) struct Counters(Recorder<Counter>);

#[async_trait]
impl Subject for Counters {
    async fn act(&self, client: &mut Client) {
        let name = NAMES[client.random.usize(..NAMES.len())];
        let (check, value) = (client.random.i64(0..5), client.random.i64(0..5));
        let operation = match client.random.u32(..8) {
            0..4 => Operation::Add(value - 1),
            4 => Operation::Set(value),
            5 => Operation::Update { check, value },
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
        self.0.answered()
    }

    fn check(&self) -> Result<(), String> {
        self.0.check()
    }
}

impl Counters {
    async fn run(&self, client: &mut Client, name: &str, operation: Operation) {
        let call = async {
            let command = match operation {
                Operation::Get => return ended(client.ask(name, Query::Get).await, outcome),
                Operation::Add(delta) => Command::Add(delta),
                Operation::Set(value) => Command::Set(value),
                Operation::Update { check, value } => Command::Update { check, value },
            };
            ended(client.call(name, command).await, outcome)
        };
        self.0.run(name, operation, call).await;
    }
}

fn outcome(reply: Result<Reply, Code>) -> Option<Outcome> {
    match reply {
        Ok(Reply { value, version }) => Some(Outcome::Is {
            value,
            version: Some(version),
        }),
        Err(codes::VALUE_CHANGED) => Some(Outcome::Changed),
        Err(_) => None,
    }
}
