//! Elections, against their model, with sessions that are lost: their candidates leave, and not too early.

use async_trait::async_trait;
use base::Result;
use machines::Call;
use machines::primitive::election::{Command, Query, Term};
use testkit::linear::models::Election;
use testkit::linear::models::election::{Operation, Outcome};
use testkit::linear::{Ended, Recorder};

use super::sessions::{OVER_MS, Sessions};
use super::{Client, Subject, address, ended};
use crate::world::World;

pub(super) const NAMES: [&str; 2] = ["captain", "chair"];
const CANDIDATES: [&str; 4] = ["ann", "bob", "eve", "joe"];
/// What happens at the end, in good weather.
const LAST_ACTS: usize = 6;

pub(super) struct Elections {
    world: World,
    recorder: Recorder<Election>,
    sessions: Sessions,
}

#[async_trait]
impl Subject for Elections {
    async fn act(&self, client: &mut Client) {
        let name = NAMES[client.random.usize(..NAMES.len())];
        let candidate = CANDIDATES[client.random.usize(..CANDIDATES.len())].to_owned();
        let (operation, command) = match client.random.u32(..14) {
            0..5 => return self.enter(client, name, candidate).await,
            // Both are the same to all who see it.
            5 => (
                Operation::Leave(candidate.clone()),
                Command::Withdraw { candidate },
            ),
            6 => (Operation::Leave(candidate.clone()), Command::Evict { candidate }),
            7 => (
                Operation::Anoint(candidate.clone()),
                Command::Anoint { candidate },
            ),
            8 => (
                Operation::Promote(candidate.clone()),
                Command::Promote { candidate },
            ),
            9 => (
                Operation::Demote(candidate.clone()),
                Command::Demote { candidate },
            ),
            10 => return self.sessions.lose(client, name).await,
            _ => return drop(self.look(client, name).await),
        };
        self.run(name, operation, client.call(name, command)).await;
    }

    async fn end(&self, client: &mut Client) {
        self.all_gone(client).await;
        for _ in 0..LAST_ACTS {
            self.act(client).await;
        }
        for name in NAMES {
            self.sessions.lose(client, name).await;
        }
        self.all_gone(client).await;
    }

    fn answered(&self) -> usize {
        self.recorder.answered()
    }

    fn check(&self) -> std::result::Result<(), String> {
        self.recorder.check()
    }
}

impl Elections {
    pub(super) fn new(world: World) -> Elections {
        Elections {
            world,
            recorder: Recorder::default(),
            sessions: Sessions::default(),
        }
    }

    async fn enter(&self, client: &mut Client, name: &'static str, candidate: String) {
        let Some(own) = self.sessions.of(client, name) else {
            return;
        };
        let operation = Operation::Enter {
            candidate: candidate.clone(),
            session: own.number,
        };
        let session = own.session();
        let call = async {
            let call = Command::Enter { candidate, session }.call(&own.process.host, &address(name));
            client.told(&own.process, call).await
        };
        if !matches!(self.run(name, operation, call).await, Ended::With(_)) {
            self.sessions.forget(client, name);
        }
    }

    async fn look(&self, client: &mut Client, name: &'static str) -> Ended<Outcome> {
        self.run(name, Operation::Look, client.ask(name, Query::GetTerm))
            .await
    }

    async fn run(
        &self,
        name: &'static str,
        operation: Operation,
        call: impl Future<Output = Option<Result<Term>>>,
    ) -> Ended<Outcome> {
        let began = self.recorder.begin(name, operation);
        let ended = ended(call.await, |reply| reply.ok().map(outcome));
        // What this answer tells may follow from the end of a session.
        for (name, session) in self.sessions.over(self.world.now()) {
            self.recorder.begin(name, Operation::Lose { session });
        }
        self.recorder.end(name, began, ended.clone());
        ended
    }

    /// When all sessions that were lost are over.
    async fn all_gone(&self, client: &mut Client) {
        client.pause(OVER_MS).await;
        for name in NAMES {
            match self.look(client, name).await {
                Ended::With(Outcome::Is {
                    leader, candidates, ..
                }) if leader.is_empty() && candidates.is_empty() => {}
                other => self
                    .world
                    .fault(format!("nobody is a candidate of {name} now: {other:?}")),
            }
        }
    }
}

fn outcome(term: Term) -> Outcome {
    Outcome::Is {
        term: term.term,
        leader: term.leader.unwrap_or_default(),
        candidates: term.candidates,
        version: Some(term.version),
    }
}
