//! Elections: the term never goes back and has one leader, and who leads follows from what was done: candidates of connections
//! that a crash has cut stay for the grace of a restart, and then they leave.

use std::time::Instant;

use testkit::linear::models::Election;
use testkit::linear::models::election::{Operation, Outcome};
use testkit::linear::{Ended, Recorder};
use tests::eventually;
use tonic::transport::Channel;
use wire::atomix::election as pb;
use wire::atomix::election::leader_election_client::LeaderElectionClient;
use wire::atomix::election::leader_elections_client::LeaderElectionsClient;

use super::sessions::Sessions;
use super::{Client, Load, ended, id};

const CANDIDATES: [&str; 4] = ["ann", "bob", "eve", "joe"];

#[derive(Default)]
pub(super) struct Elections {
    recorder: Recorder<Election>,
    sessions: Sessions,
}

#[tonic::async_trait]
impl Load for Elections {
    async fn create(&self, channel: &Channel, name: &str) {
        let mut client = LeaderElectionsClient::new(channel.clone());
        let (id, tags) = (id(name), vec![]);
        let created = client.create(pb::CreateRequest { id, tags }).await;
        created.expect("a new election");
    }

    async fn act(&self, client: &mut Client) -> bool {
        let candidate = CANDIDATES[client.random.usize(..CANDIDATES.len())].to_owned();
        let session = client.session;
        let operation = match client.random.u32(..40) {
            0..14 => Operation::Enter { candidate, session },
            14..18 => Operation::Leave(candidate),
            18..22 => Operation::Anoint(candidate),
            22..26 => Operation::Promote(candidate),
            26..30 => Operation::Demote(candidate),
            30 => Operation::Lose { session },
            31 => {
                self.sessions.leave(session);
                return client.reconnect().await;
            }
            _ => Operation::Look,
        };
        self.run(client, operation).await.is_some()
    }

    fn restarts(&self, at: Instant) {
        // The end of a session is a row, and comes in its time.
        self.recorder
            .lapse(|operation| matches!(operation, Operation::Lose { .. }));
        self.sessions.restart(at);
    }

    async fn look(&self, client: &mut Client) {
        assert!(self.run(client, Operation::Look).await.is_some(), "it is up");
    }

    async fn settle(&self, client: &mut Client) {
        let client = &*client;
        let all_gone = async || match self.run(client, Operation::Look).await {
            Some(Outcome::Is {
                leader, candidates, ..
            }) if leader.is_empty() && candidates.is_empty() => Some(()),
            _ => None,
        };
        eventually("all candidates to leave", all_gone).await;
    }

    fn check(&self) -> Result<usize, String> {
        self.sessions.forget();
        let answered = self.recorder.answered();
        self.recorder.check().map(|()| answered)
    }
}

impl Elections {
    async fn run(&self, client: &Client, operation: Operation) -> Option<Outcome> {
        if let Operation::Enter { session, .. } = operation {
            self.sessions.enter(session);
        }
        let began = self.recorder.begin(&client.name, operation.clone());
        let ended = call(client, operation).await;
        // What this answer tells may follow from the end of a session.
        for session in self.sessions.over() {
            self.recorder.begin(&client.name, Operation::Lose { session });
        }
        self.recorder.end(&client.name, began, ended.clone());
        match ended {
            Ended::With(outcome) => Some(outcome),
            Ended::NotDone | Ended::Unknown => None,
        }
    }
}

async fn call(client: &Client, operation: Operation) -> Ended<Outcome> {
    let mut election = LeaderElectionClient::new(client.channel.clone());
    let id = id(&client.name);
    match operation {
        Operation::Enter { candidate, .. } => {
            let answer = election.enter(pb::EnterRequest { id, candidate }).await;
            ended(answer, |answer| is(answer.ok()?.term))
        }
        Operation::Leave(candidate) => {
            let answer = election.evict(pb::EvictRequest { id, candidate }).await;
            ended(answer, |answer| is(answer.ok()?.term))
        }
        Operation::Anoint(candidate) => {
            let answer = election.anoint(pb::AnointRequest { id, candidate }).await;
            ended(answer, |answer| is(answer.ok()?.term))
        }
        Operation::Promote(candidate) => {
            let answer = election.promote(pb::PromoteRequest { id, candidate }).await;
            ended(answer, |answer| is(answer.ok()?.term))
        }
        Operation::Demote(candidate) => {
            let answer = election.demote(pb::DemoteRequest { id, candidate }).await;
            ended(answer, |answer| is(answer.ok()?.term))
        }
        Operation::Look => {
            let answer = election.get_term(pb::GetTermRequest { id }).await;
            ended(answer, |answer| is(answer.ok()?.term))
        }
        Operation::Lose { .. } => {
            let answer = election.close(pb::CloseRequest { id }).await;
            ended(answer, |answer| answer.ok().map(|_| Outcome::Lost))
        }
    }
}

fn is(term: Option<pb::Term>) -> Option<Outcome> {
    let pb::Term {
        term,
        leader,
        candidates,
    } = term?;
    Some(Outcome::Is {
        term,
        leader,
        candidates,
        version: None,
    })
}
