//! HTTP/2 connections to one address: one for each thread that makes calls, so that nobody is woken across threads, and
//! never more than the limit. A connection that breaks is made again by the next call.

use std::sync::Arc;
use std::thread::{self, ThreadId};

use base::cork::Corked;
use base::limits;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout};
use tonic::transport::{Channel, Endpoint};

use crate::outbound::{Address, Connector, Failure, Io, Place, Places};

pub(super) struct Channels {
    connector: Arc<Connector>,
    connections_max: usize,
    places: Places,
    opened: Mutex<Vec<(ThreadId, Channel)>>,
}

impl Channels {
    pub(super) fn to(address: Address, connections_max: usize) -> Channels {
        Channels {
            connector: Arc::new(Connector::to(address)),
            connections_max,
            places: Places::of(connections_max * limits::OUTBOUND_STREAMS_PER_CONNECTION),
            opened: Mutex::default(),
        }
    }

    /// A place for one call, to be held until its end, and a channel to make it on.
    pub(super) async fn take(&self, deadline: Instant) -> Result<(Place, Channel), Failure> {
        let place = self.places.take(deadline).await?;
        Ok((place, self.channel()))
    }

    fn channel(&self) -> Channel {
        let mut opened = self.opened.lock();
        let thread = thread::current().id();
        if let Some((_, channel)) = opened.iter().find(|(owner, _)| *owner == thread) {
            return channel.clone();
        }
        if opened.len() < self.connections_max {
            opened.push((thread, open(self.connector.clone())));
        } else {
            // The one that waited longest for another user.
            opened.rotate_left(1);
        }
        opened.last().expect("the limit is at least one").1.clone()
    }
}

/// The address is the connector's business; what stands in the URI is only what the service sees as its authority.
fn open(connector: Arc<Connector>) -> Channel {
    let authority = match connector.address() {
        Address::Unix(_) => "localhost".to_owned(),
        tcp => tcp.to_string(),
    };
    let endpoint = Endpoint::from_shared(format!("http://{authority}"));
    let endpoint = endpoint
        .expect("an address makes a URI")
        .http2_keep_alive_interval(limits::KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEP_ALIVE_TIMEOUT);
    let connect = move |_| {
        let connector = connector.clone();
        async move { connect(&connector).await }
    };
    endpoint.connect_with_connector_lazy(tower::service_fn(connect))
}

async fn connect(connector: &Connector) -> Result<TokioIo<Corked<Box<dyn Io>>>, std::io::Error> {
    let stream = timeout(limits::OUTBOUND_CONNECT_TIMEOUT, connector.connect()).await;
    let stream = stream.unwrap_or_else(|_| Err(format!("connect {}: no answer", connector.address())));
    let stream = stream.map_err(std::io::Error::other)?.boxed();
    Ok(TokioIo::new(Corked::new(stream)))
}
