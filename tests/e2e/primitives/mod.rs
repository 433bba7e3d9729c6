//! Primitives against a real server, call by call: what a lock grants, what a restart keeps, what is counted.

use tests::{Belay, PATIENCE};
use tonic::transport::{Channel, Endpoint};
use wire::atomix::runtime::PrimitiveId;

mod elections;
mod limits;
mod locks;
mod metrics;

/// A connection is a session.
async fn connect(belay: &Belay) -> Channel {
    Endpoint::from_shared(format!("http://{}", belay.primitives))
        .expect("an address")
        .connect_timeout(PATIENCE)
        .connect()
        .await
        .expect("it listens")
}

fn id(name: &str) -> Option<PrimitiveId> {
    Some(PrimitiveId { name: name.into() })
}
