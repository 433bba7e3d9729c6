//! Locks: no two hold one at a time, each grant has a larger version than those before, what a crash finds held stays held for
//! the grace of a restart, and then it is free.

use std::time::{Duration, Instant};

use testkit::linear::models::Lock;
use testkit::linear::models::lock::{Operation, Outcome};
use testkit::linear::{Ended, Recorder};
use tests::PATIENCE;
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::Channel;
use wire::atomix::lock as pb;
use wire::atomix::lock::lock_client::LockClient;
use wire::atomix::lock::locks_client::LocksClient;

use super::sessions::Sessions;
use super::{Client, Load, ended, id};

/// The longest that somebody waits: its holder waits for itself, now and then.
const WAIT_MS_MAX: u64 = 20;

#[derive(Default)]
pub(super) struct Locks {
    recorder: Recorder<Lock>,
    sessions: Sessions,
}

#[tonic::async_trait]
impl Load for Locks {
    async fn create(&self, channel: &Channel, name: &str) {
        let mut client = LocksClient::new(channel.clone());
        let (id, tags) = (id(name), vec![]);
        let created = client.create(pb::CreateRequest { id, tags }).await;
        created.expect("a new lock");
    }

    async fn act(&self, client: &mut Client) -> bool {
        let wait = Duration::from_millis(client.random.u64(0..WAIT_MS_MAX));
        match client.random.u32(..40) {
            0..12 => self.acquire(client, wait).await.is_some(),
            12..16 => self.acquire_or_go(client, wait).await,
            16..28 => self.release(client).await.is_some(),
            28 => self.close(client).await.is_some(),
            29 => {
                self.sessions.leave(client.session);
                client.reconnect().await
            }
            _ => self.read(client).await.is_some(),
        }
    }

    fn restarts(&self, at: Instant) {
        // The end of a session is a row, and comes in its time.
        self.recorder
            .lapse(|operation| matches!(operation, Operation::Lose { .. }));
        self.sessions.restart(at);
    }

    async fn look(&self, client: &mut Client) {
        assert!(self.read(client).await.is_some(), "it is up");
    }

    async fn settle(&self, client: &mut Client) {
        let granted = self.acquire(client, PATIENCE).await;
        assert!(matches!(granted, Some(Outcome::Granted { .. })), "{granted:?}");
        assert_eq!(self.release(client).await, Some(Outcome::Released));
    }

    fn check(&self) -> Result<usize, String> {
        self.sessions.forget();
        let answered = self.recorder.answered();
        self.recorder.check().map(|()| answered)
    }
}

impl Locks {
    async fn acquire(&self, client: &mut Client, wait: Duration) -> Option<Outcome> {
        let (began, _) = self.ask(client);
        let ended = lock(client, Some(wait)).await;
        self.end(client, began, ended)
    }

    /// Tells the server of no timeout, and goes away when it is over. Says whether the server is there, as far as one knows.
    async fn acquire_or_go(&self, client: &mut Client, wait: Duration) -> bool {
        let (began, request) = self.ask(client);
        if let Ok(ended) = timeout(wait, lock(client, None)).await {
            return self.end(client, began, ended).is_some();
        }
        self.begin(client, Operation::Abandon { request });
        self.end(client, began, Ended::Unknown);
        true
    }

    async fn release(&self, client: &Client) -> Option<Outcome> {
        let session = client.session;
        let began = self.begin(client, Operation::Release { session });
        let id = id(&client.name);
        let answer = stub(client).unlock(pb::UnlockRequest { id }).await;
        let ended = ended(answer, |answer| match answer {
            Ok(_) => Some(Outcome::Released),
            Err(Code::Aborted) => Some(Outcome::NotHeld),
            Err(_) => None,
        });
        self.end(client, began, ended)
    }

    async fn close(&self, client: &Client) -> Option<Outcome> {
        let session = client.session;
        let began = self.begin(client, Operation::Lose { session });
        let id = id(&client.name);
        let answer = stub(client).close(pb::CloseRequest { id }).await;
        let ended = ended(answer, |answer| answer.ok().map(|_| Outcome::Lost));
        self.end(client, began, ended)
    }

    async fn read(&self, client: &Client) -> Option<Outcome> {
        let began = self.begin(client, Operation::Look);
        let id = id(&client.name);
        let answer = stub(client).get_lock(pb::GetLockRequest { id }).await;
        let ended = ended(answer, |answer| match answer.map(|answer| answer.version) {
            Ok(token) => Some(Outcome::HeldWith { token }),
            Err(Code::NotFound) => Some(Outcome::Free),
            Err(_) => None,
        });
        self.end(client, began, ended)
    }

    /// Begins to acquire it: the call, and the request's number.
    fn ask(&self, client: &mut Client) -> (u64, u64) {
        let (session, request) = (client.session, client.random.u64(..));
        self.sessions.enter(session);
        let began = self.begin(client, Operation::Acquire { session, request });
        (began, request)
    }

    fn begin(&self, client: &Client, operation: Operation) -> u64 {
        self.recorder.begin(&client.name, operation)
    }

    fn end(&self, client: &Client, began: u64, ended: Ended<Outcome>) -> Option<Outcome> {
        // What this answer tells may follow from the end of a session.
        for session in self.sessions.over() {
            self.begin(client, Operation::Lose { session });
        }
        self.recorder.end(&client.name, began, ended.clone());
        match ended {
            Ended::With(outcome) => Some(outcome),
            Ended::NotDone | Ended::Unknown => None,
        }
    }
}

fn stub(client: &Client) -> LockClient<Channel> {
    LockClient::new(client.channel.clone())
}

/// `None` waits for ever.
async fn lock(client: &Client, wait: Option<Duration>) -> Ended<Outcome> {
    let mut request = pb::LockRequest {
        id: id(&client.name),
        ..pb::LockRequest::default()
    };
    if let Some(wait) = wait {
        let timeout = request.timeout.get_or_insert_default();
        timeout.seconds = wait.as_secs().cast_signed();
        timeout.nanos = wait.subsec_nanos().cast_signed();
    }
    let answer = stub(client).lock(request).await;
    ended(answer, |answer| match answer.map(|answer| answer.version) {
        Ok(token) => Some(Outcome::Granted { token }),
        Err(Code::Aborted) => Some(Outcome::Refused),
        Err(_) => None,
    })
}
