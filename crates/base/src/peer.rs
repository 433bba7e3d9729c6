//! Who is on the other end of a connection.

use tokio_util::sync::CancellationToken;

/// A client's connection, as its calls know it: each carries a clone among its extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// New for every connection, restarts included.
    pub id: u128,
    gone: CancellationToken,
}

impl Peer {
    pub fn new(id: u128) -> Peer {
        Peer {
            id,
            gone: CancellationToken::new(),
        }
    }

    /// Waits until the connection has ended, in whatever way.
    pub async fn gone(&self) {
        self.gone.cancelled().await;
    }

    /// The connection has ended. Whoever owns it calls this, once.
    pub fn leave(&self) {
        self.gone.cancel();
    }
}
