//! The port `invoke` over HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Error, Result, codes, limits};
use bytes::Bytes;
use http::uri::PathAndQuery;
use ports::invoke::{Invocation, Invoker, Reply};
use tokio::time::{Instant, timeout_at};
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::channels::Channels;
use super::codec::Raw;
use super::settings::GrpcInvoke;
use super::status;
use crate::outbound::targets::{self, Services};
use crate::outbound::{self, headers};

pub(super) struct GrpcInvoker {
    services: Services<Arc<Channels>>,
}

impl GrpcInvoker {
    pub(super) fn open(settings: &GrpcInvoke) -> Result<GrpcInvoker> {
        let connections_max = targets::connections(settings.connections_max);
        let services = Services::open(&settings.targets, |address| {
            Arc::new(Channels::to(address, connections_max))
        })?;
        Ok(GrpcInvoker { services })
    }
}

#[async_trait]
impl Invoker for GrpcInvoker {
    async fn invoke(&self, invocation: Invocation) -> Result<Reply> {
        let channels = self.services.get(&invocation.id)?;
        let deadline = outbound::deadline(invocation.timeout);
        let path = path(&invocation.method)?;
        let metadata = MetadataMap::from_headers(headers::of_call(&invocation.headers)?);
        let taken = channels.take(deadline).await;
        let (_place, channel) =
            taken.map_err(|failure| Error::new(codes::DEADLINE_EXCEEDED, failure.to_string()))?;
        let call = Call {
            channel,
            path,
            metadata,
            body: invocation.body,
            deadline,
        };
        match timeout_at(deadline, call.answered()).await {
            Ok(Ok(response)) => Ok(reply(response)),
            // The client's own clock may be the first to see that the time is over.
            Ok(Err(status)) if Instant::now() + CLOCK_GRAIN < deadline => Err(status::error(&status)),
            Ok(Err(_)) | Err(_) => Err(Error::new(codes::DEADLINE_EXCEEDED, "request timeout")),
        }
    }
}

/// Timers are this exact.
const CLOCK_GRAIN: Duration = Duration::from_millis(1);

/// How often a call is sent again that the service refused unseen. It is no second attempt: the service did not make the
/// first one. Once is enough after each new connection, since the service has then said how many calls it takes.
const REFUSALS_MAX: usize = 3;

struct Call {
    channel: Channel,
    path: PathAndQuery,
    metadata: MetadataMap,
    body: Bytes,
    deadline: Instant,
}

impl Call {
    async fn answered(&self) -> Result<Response<Bytes>, Status> {
        for _ in 0..REFUSALS_MAX {
            match self.sent().await {
                Err(status) if status::is_refused_unseen(&status) => {}
                outcome => return outcome,
            }
        }
        self.sent().await
    }

    async fn sent(&self) -> Result<Response<Bytes>, Status> {
        let mut request = Request::new(self.body.clone());
        *request.metadata_mut() = self.metadata.clone();
        request.set_timeout(self.deadline - Instant::now());
        let client = Grpc::new(self.channel.clone());
        let mut client = client.max_decoding_message_size(limits::HTTP_BODY_BYTES_MAX);
        client.ready().await.map_err(status::unready)?;
        // Boxed, because the client's future is large.
        Box::pin(client.unary(request, self.path.clone(), Raw)).await
    }
}

/// `package.Service/Method`, with or without a slash before it.
fn path(method: &str) -> Result<PathAndQuery> {
    let path = format!("/{}", method.trim_start_matches('/'));
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let named = parts.len() == 2 && parts.iter().all(|part| !part.is_empty() && !part.contains('?'));
    let parsed = if named { path.parse().ok() } else { None };
    let refused = || {
        let text = format!("method {method} is not package.Service/Method");
        Error::new(codes::INVALID_ARGUMENT, text)
    };
    parsed.ok_or_else(refused)
}

fn reply(response: Response<Bytes>) -> Reply {
    let (metadata, body, _) = response.into_parts();
    let (content_type, headers) = headers::of_reply(&metadata.into_headers());
    Reply {
        content_type,
        headers,
        body,
    }
}
