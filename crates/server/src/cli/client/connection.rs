//! One connection to a running Belay.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base::{Error, codes, limits};
use hyper_util::rt::TokioIo;
use tonic::transport::{Channel, Endpoint};
use tonic::{Response, Status};
use wire::layotto::runtime_client::RuntimeClient;

use super::Failure;
use super::failure::{Call, root};
use super::place::Place;

/// Longest that connecting may take.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest that an answer is waited for: a little longer than the server takes, so that its reason is the one to be read.
const ANSWER_TIMEOUT: Duration = limits::REQUEST_DEADLINE.saturating_add(Duration::from_secs(5));

/// Largest answer, bytes: what a value can have, and what is around it.
const ANSWER_BYTES_MAX: usize = limits::VALUE_BYTES_MAX + (1 << 20);

/// It is made anew when it breaks, so a lock outlives a restart of the server.
#[derive(Clone)]
pub(super) struct Connection {
    channel: Channel,
    place: Arc<Place>,
}

impl Connection {
    pub(super) async fn open(place: Place) -> Result<Connection, Failure> {
        let place = Arc::new(place);
        let target = place.target.clone();
        // The connector knows where to go; this is only what the server hears it is called.
        let endpoint = Endpoint::from_static("http://belay").connect_timeout(CONNECT_TIMEOUT);
        let connector = tower::service_fn(move |_| {
            let target = target.clone();
            async move { target.dial().await.map(TokioIo::new) }
        });
        match endpoint.connect_with_connector(connector).await {
            Ok(channel) => Ok(Connection { channel, place }),
            Err(cause) => Err(Failure::not_running(&place, root(&cause))),
        }
    }

    pub(super) fn runtime(&self) -> RuntimeClient<Channel> {
        RuntimeClient::new(self.channel.clone()).max_decoding_message_size(ANSWER_BYTES_MAX)
    }

    pub(super) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Waits for a call's answer, but not for ever.
    pub(super) async fn answer<T>(
        &self,
        call: Call<'_>,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Response<T>, Failure> {
        match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(status)) => Err(self.failure(call, &status)),
            Err(_) => {
                let seconds = ANSWER_TIMEOUT.as_secs();
                let message = format!("{} has no answer after {seconds} s", call.name);
                Err(Error::new(codes::DEADLINE_EXCEEDED, message).into())
            }
        }
    }

    /// What a status says that came another way: on a stream.
    pub(super) fn failure(&self, call: Call<'_>, status: &Status) -> Failure {
        Failure::answered(&self.place, call, status)
    }
}
