//! The family over a host in memory, called as its servers call it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::time::ManualClock;
use base::{Error, Peer, Result, Timestamp, codes};
use bytes::Bytes;
use futures::StreamExt;
use machines::Engine;
use testkit::Memory;
use tonic::{Code, Request, Response, Status};
use wire::atomix::runtime::PrimitiveId;

use crate::stores::{Driver, Opener, StoreId};
use crate::streams::Answers;
use crate::{Options, Service};

mod control;
mod names;
mod streams;
mod unknown;

/// Longest that a stream may take to bring what must come. Nothing waits that long.
const ENOUGH: Duration = Duration::from_secs(20);

/// What survives a restart of the family.
struct World {
    kv: Arc<Memory>,
}

impl World {
    fn new() -> World {
        World { kv: store() }
    }

    async fn start(&self) -> Service {
        self.start_with(false).await
    }

    /// Nothing but what a controller has connected.
    async fn start_strict(&self) -> Service {
        self.start_with(true).await
    }

    async fn start_with(&self, strict: bool) -> Service {
        let engine = testkit::engine(self.kv.clone()).await;
        let options = Options {
            strict,
            ..Options::new(engine, Arc::new(Stores))
        };
        Service::start(options).await.expect("a family")
    }
}

fn store() -> Arc<Memory> {
    Arc::new(Memory::new(Arc::new(ManualClock::at(Timestamp(1_000)))))
}

/// Stores of one driver.
struct Stores;

const DRIVER: &str = "memory";

#[async_trait]
impl Opener for Stores {
    async fn open(&self, _: &StoreId, driver: &Driver, _: &Bytes) -> Result<Arc<dyn Engine>> {
        match driver.name.as_str() {
            DRIVER => Ok(testkit::engine(store()).await),
            other => Err(Error::new(codes::DRIVER_UNKNOWN, other.to_owned())),
        }
    }
}

/// One client's connection.
struct Client(Peer);

impl Client {
    fn new(number: u128) -> Client {
        Client(Peer::new(number))
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.extensions_mut().insert(self.0.clone());
        request
    }
}

fn id(name: &str) -> Option<PrimitiveId> {
    Some(PrimitiveId { name: name.into() })
}

/// What a call was answered with.
fn code<T>(answer: Result<Response<T>, Status>) -> Code {
    match answer {
        Ok(_) => Code::Ok,
        Err(status) => status.code(),
    }
}

/// The next answer of a stream; `None` at its end.
async fn next<T>(answers: &mut Answers<T>) -> Option<T> {
    let next = tokio::time::timeout(ENOUGH, answers.next()).await;
    let next = next.expect("a stream that brings what must come");
    next.map(|answer| answer.expect("an answer that is no error"))
}

/// Whether nothing is there to be taken.
async fn is_silent<T>(answers: &mut Answers<T>) -> bool {
    futures::poll!(Box::pin(answers.next())).is_pending()
}
