//! Sessions: one for each connection and primitive.
//!
//! A session begins with the first call that needs one, and ends when its primitive is closed on that connection, or some time
//! after the connection has gone. Its streams end with it, and the machine gives free what it holds.
//!
//! Where all clients share one session, as behind the reference's sidecar, it ends for a primitive when one of them closes that;
//! a connection that goes takes its streams along and nothing else.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Kind, Peer, Result, Timestamp, limits, task};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use machines::{Address, Call, Command};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::service::Target;

#[cfg(test)]
mod tests;

#[derive(Clone)]
pub(crate) struct Sessions(Arc<Shared>);

struct Shared {
    grace: Duration,
    /// The one of all clients.
    shared: Option<machines::Session>,
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
    pub(crate) fn new(grace: Duration, shared: Option<machines::Session>) -> Sessions {
        Sessions(Arc::new(Shared {
            grace,
            shared,
            connections: Mutex::default(),
        }))
    }

    pub(crate) fn enter(&self, peer: &Peer, target: &Target) -> Session {
        let mut connections = self.0.connections.lock();
        let closed = self.open(&mut connections, peer, target).closed.clone();
        Session { closed }
    }

    fn open<'a>(
        &self,
        connections: &'a mut HashMap<u128, Connection>,
        peer: &Peer,
        target: &Target,
    ) -> &'a mut Open {
        let connection = connections.entry(peer.id).or_insert_with(|| {
            self.follow(peer.clone());
            Connection::new()
        });
        connection.entry(target.address.clone()).or_insert_with(|| Open {
            target: target.clone(),
            closed: CancellationToken::new(),
        })
    }

    /// Calls a machine in the session's name. The command is queued under the lock that the session's end takes too: what a
    /// session gets is never queued behind its end, where nobody would free it.
    pub(crate) fn call<C: Call>(
        &self,
        peer: &Peer,
        target: &Target,
        command: impl FnOnce(machines::Session) -> C,
    ) -> BoxFuture<'static, Result<C::Reply>> {
        let mut connections = self.0.connections.lock();
        self.open(&mut connections, peer, target);
        let command = command(self.of(peer));
        command.call(&*target.engine, &target.address).boxed()
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
            // A task of its own: a client that does not wait for the answer has closed it all the same.
            drop(task::spawn("session", open.end(self.of(peer), now)).await);
        }
    }

    fn of(&self, peer: &Peer) -> machines::Session {
        self.0.shared.unwrap_or(machines::Session(peer.id))
    }

    fn follow(&self, peer: Peer) {
        let sessions = self.clone();
        drop(task::spawn("session", async move {
            peer.gone().await;
            let connection = sessions.0.connections.lock().remove(&peer.id);
            let open = connection.into_iter().flat_map(HashMap::into_values);
            if sessions.0.shared.is_some() {
                open.for_each(|open| open.closed.cancel());
                return;
            }
            let ends = open.map(|open| {
                let over_at = open.target.engine.now().plus(sessions.0.grace);
                open.end(machines::Session(peer.id), over_at)
            });
            stream::iter(ends)
                .buffer_unordered(limits::SESSION_ENDS_IN_FLIGHT_MAX)
                .for_each(|()| futures::future::ready(()))
                .await;
        }));
    }
}

impl Open {
    async fn end(self, session: machines::Session, over_at: Timestamp) {
        self.closed.cancel();
        let mut pause = limits::SESSION_END_PAUSE_MIN;
        for _ in 0..limits::SESSION_END_ATTEMPTS_MAX {
            let lost = Command::SessionLost { session, over_at };
            let Err(error) = self.target.engine.submit(&self.target.address, lost).await else {
                return;
            };
            tracing::warn!(code = error.code().id, %error, "the end of a session could not be noted");
            // A stopped host calls all sessions lost at its next start. While the store refuses, nobody else frees what is held.
            if error.kind() != Kind::ResourceExhausted {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(limits::SESSION_END_PAUSE_MAX);
        }
    }
}
