//! Sessions: one for each connection and primitive.
//!
//! A session begins with the first call that needs one, and ends when its primitive is closed on that connection, or some time
//! after the connection has gone. Its streams end with it, and the machine gives free what it holds.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Peer, Timestamp, task};
use machines::{Address, Command};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::service::Target;

#[derive(Clone)]
pub(crate) struct Sessions(Arc<Shared>);

struct Shared {
    grace: Duration,
    connections: Mutex<HashMap<u128, Connection>>,
}

/// What one connection has to do with which primitive.
type Connection = HashMap<Address, Open>;

struct Open {
    target: Target,
    closed: CancellationToken,
}

/// A caller's session with a primitive.
#[derive(Clone)]
pub(crate) struct Session {
    /// Cancelled when the primitive is closed on this connection: streams end.
    pub(crate) closed: CancellationToken,
}

impl Sessions {
    pub(crate) fn new(grace: Duration) -> Sessions {
        Sessions(Arc::new(Shared {
            grace,
            connections: Mutex::default(),
        }))
    }

    pub(crate) fn enter(&self, peer: &Peer, target: &Target) -> Session {
        let mut connections = self.0.connections.lock();
        let connection = connections.entry(peer.id).or_insert_with(|| {
            self.follow(peer.clone());
            Connection::new()
        });
        let open = connection.entry(target.address.clone()).or_insert_with(|| Open {
            target: target.clone(),
            closed: CancellationToken::new(),
        });
        let closed = open.closed.clone();
        Session { closed }
    }

    /// The client closes a primitive: at once, for it says so itself.
    pub(crate) async fn close(&self, peer: &Peer, target: &Target) {
        let open = {
            let mut connections = self.0.connections.lock();
            let connection = connections.get_mut(&peer.id);
            connection.and_then(|connection| connection.remove(&target.address))
        };
        if let Some(open) = open {
            let now = open.target.engine.now();
            open.end(peer, now).await;
        }
    }

    fn follow(&self, peer: Peer) {
        let sessions = self.clone();
        drop(task::spawn("session", async move {
            peer.gone().await;
            let connection = sessions.0.connections.lock().remove(&peer.id);
            for open in connection.into_iter().flat_map(HashMap::into_values) {
                let over_at = open.target.engine.now().plus(sessions.0.grace);
                open.end(&peer, over_at).await;
            }
        }));
    }
}

impl Open {
    async fn end(self, peer: &Peer, over_at: Timestamp) {
        self.closed.cancel();
        let session = machines::Session(peer.id);
        let lost = Command::SessionLost { session, over_at };
        if let Err(error) = self.target.engine.submit(&self.target.address, lost).await {
            // A stopped host calls all sessions lost at its next start.
            tracing::warn!(code = error.code().id, %error, "the end of a session could not be noted");
        }
    }
}
