//! The family over a store in memory, for tests of handlers.

use std::sync::Arc;

use async_trait::async_trait;
use base::time::ManualClock;
use base::{Error, Peer, Result, Timestamp, codes};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use machines::Engine;
use tonic::{Request, Status};
use wire::atomix::runtime::PrimitiveId;

use crate::stores::{Driver, Opener, StoreId};
use crate::streams::Answers;
use crate::{Options, Service};

/// The family and one client's connection.
pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) clock: ManualClock,
    pub(crate) peer: Peer,
}

impl World {
    pub(crate) async fn new() -> World {
        let clock = ManualClock::at(Timestamp(1_000));
        let engine = Arc::new(testkit::host(Arc::new(clock.clone())).await);
        let service = Service::start(Options::new(engine, Arc::new(NoDrivers)));
        World {
            service: service.await.expect("an empty store"),
            clock,
            peer: Peer::new(1),
        }
    }

    /// A request of that client.
    pub(crate) fn ask<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(self.peer.clone());
        request
    }
}

struct NoDrivers;

#[async_trait]
impl Opener for NoDrivers {
    async fn open(&self, _id: &StoreId, driver: &Driver, _settings: &Bytes) -> Result<Arc<dyn Engine>> {
        Err(Error::new(codes::DRIVER_UNKNOWN, driver.name.clone()))
    }
}

pub(crate) fn id(name: &str) -> Option<PrimitiveId> {
    Some(PrimitiveId { name: name.into() })
}

/// Everything that a stream has by now; what happened before an answer is there with it.
#[track_caller]
pub(crate) fn there<T>(answers: &mut Answers<T>) -> Vec<T> {
    let mut all = vec![];
    while let Some(Some(answer)) = answers.next().now_or_never() {
        all.push(answer.expect("no error"));
    }
    all
}

#[track_caller]
pub(crate) fn refused<T>(answer: std::result::Result<T, Status>) -> tonic::Code {
    match answer {
        Ok(_) => panic!("it was not refused"),
        Err(status) => status.code(),
    }
}
