//! Elections: the term survives everything.

use tests::Belay;
use tonic::transport::Channel;
use wire::atomix::election as pb;
use wire::atomix::election::leader_election_client::LeaderElectionClient;
use wire::atomix::election::leader_elections_client::LeaderElectionsClient;

use super::{connect, id};

const NAME: &str = "election";
const CONFIG: &str = "limits: { session_grace_ms: 0, session_restart_grace_ms: 0 }\n";

/// One client, and so one session.
struct Client(LeaderElectionClient<Channel>);

impl Client {
    async fn new(belay: &Belay) -> Client {
        let channel = connect(belay).await;
        let (id, tags) = (id(NAME), vec![]);
        let created = LeaderElectionsClient::new(channel.clone())
            .create(pb::CreateRequest { id, tags })
            .await;
        created.expect("it is there, or new");
        Client(LeaderElectionClient::new(channel))
    }

    async fn enters(&mut self, candidate: &str) -> pb::Term {
        let (id, candidate) = (id(NAME), candidate.into());
        let answer = self.0.enter(pb::EnterRequest { id, candidate }).await;
        answer.expect("it enters").into_inner().term.expect("a term")
    }

    async fn anoints(&mut self, candidate: &str) -> pb::Term {
        let (id, candidate) = (id(NAME), candidate.into());
        let answer = self.0.anoint(pb::AnointRequest { id, candidate }).await;
        answer.expect("it is anointed").into_inner().term.expect("a term")
    }

    async fn term(&mut self) -> pb::Term {
        let answer = self.0.get_term(pb::GetTermRequest { id: id(NAME) }).await;
        answer.expect("a term").into_inner().term.expect("a term")
    }

    async fn closes(&mut self) {
        let answer = self.0.close(pb::CloseRequest { id: id(NAME) }).await;
        answer.expect("it is closed");
    }
}

/// Two candidates, and a leader in the ninth term.
async fn nine_terms(belay: &Belay) -> (Client, Client) {
    let (mut first, mut second) = (Client::new(belay).await, Client::new(belay).await);
    first.enters("c1").await;
    second.enters("c2").await;
    for term in 2..=9 {
        let candidate = if term % 2 == 0 { "c2" } else { "c1" };
        assert_eq!(first.anoints(candidate).await.term, term);
    }
    (first, second)
}

/// C70. Without any grace, so that both candidates are gone when the third comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_term_outlives_a_crash_and_all_clients() {
    let belay = Belay::run(CONFIG).await;
    drop(nine_terms(&belay).await);
    let belay = belay.restart().await;
    let mut third = Client::new(&belay).await;
    let term = third.enters("c3").await;
    assert!(term.term >= 10, "{term:?}");
    assert_eq!((term.leader.as_str(), term.candidates.len()), ("c3", 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_term_outlives_the_close_of_every_handle_and_a_crash() {
    let belay = Belay::run(CONFIG).await;
    let (mut first, mut second) = nine_terms(&belay).await;
    second.closes().await;
    first.closes().await;
    let last = Client::new(&belay).await.term().await;
    assert_eq!((last.term, last.leader.as_str()), (9, ""));
    let belay = belay.restart().await;
    let mut third = Client::new(&belay).await;
    assert_eq!(third.term().await, last);
    let term = third.enters("c3").await;
    assert_eq!((term.term, term.leader.as_str()), (10, "c3"));
}
