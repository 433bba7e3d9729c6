//! `InvokeService` (spec 3.2): a call to another service, with the headers of this one.
//!
//! Headers travel both ways, but only those that belong to the call and not to a connection: what frames a message on one
//! side breaks the other one.

use std::time::Duration;

use base::limits;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use ports::invoke::{Invocation, Reply};
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use wire::layotto as pb;
use wire::layotto::http_extension::Verb;

use crate::error;
use crate::error::invoke::Deadline;
use crate::service::Service;

#[cfg(test)]
mod tests;

/// How long the caller lets the service take, in milliseconds.
const TIMEOUT: &str = "rpc_request_timeout";

/// W3C trace context.
const TRACEPARENT: &str = "traceparent";

/// Headers of one connection, or of one message on it.
const HOP_BY_HOP: [&str; 13] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(crate) async fn invoke(
    service: &Service,
    request: Request<pb::InvokeServiceRequest>,
) -> Result<Response<pb::InvokeResponse>, Status> {
    let invoker = service.live.load().invoker.clone();
    let invoker = invoker.ok_or_else(error::invoke::no_invoker)?;
    let (metadata, _, request) = request.into_parts();
    let (timeout, deadline) = timeout(metadata.as_ref());
    let id = request.id.clone();
    let invocation = invocation(request, metadata.as_ref(), timeout)?;
    let started = Instant::now();
    // The invoker keeps the time; this is for one that fails to.
    let longest = timeout.saturating_add(limits::INVOKE_GRACE);
    match tokio::time::timeout(longest, invoker.invoke(invocation)).await {
        Ok(Ok(reply)) => Ok(respond(reply)),
        Ok(Err(error)) => {
            let ran_out = (started.elapsed() >= timeout).then_some(deadline);
            Err(error::invoke::component(&error, ran_out))
        }
        Err(_) => Err(error::invoke::timeout(&id, deadline, timeout)),
    }
}

fn invocation(
    request: pb::InvokeServiceRequest,
    headers: &HeaderMap,
    timeout: Duration,
) -> Result<Invocation, Status> {
    let message = request.message.unwrap_or_default();
    let extension = message.http_extension.unwrap_or_default();
    Ok(Invocation {
        id: request.id,
        method: message.method,
        verb: verb(extension.verb)?.to_owned(),
        query: extension.querystring,
        content_type: message.content_type,
        headers: end_to_end(headers),
        body: message.data.map_or_else(Bytes::new, |data| data.value.into()),
        timeout,
    })
}

/// No verb, or none to speak of, is `GET`.
fn verb(number: i32) -> Result<&'static str, Status> {
    match Verb::try_from(number) {
        Ok(Verb::None) => Ok("GET"),
        Ok(verb) => Ok(verb.as_str_name()),
        Err(_) => Err(error::invoke::no_such_verb(number)),
    }
}

/// The shorter one of what the caller set for the service, and of what is left to itself.
fn timeout(headers: &HeaderMap) -> (Duration, Deadline) {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let setting = text(TIMEOUT)
        .and_then(|text| text.parse().ok())
        .filter(|millis| *millis > 0)
        .map_or(limits::INVOKE_TIMEOUT, Duration::from_millis);
    match text("grpc-timeout").and_then(base::time::grpc_timeout) {
        Some(caller) if caller < setting => (caller, Deadline::Caller),
        _ => (setting, Deadline::Setting),
    }
}

/// The caller's headers; the trace goes on from this call, not from the one before it.
fn end_to_end(headers: &HeaderMap) -> Vec<(String, Bytes)> {
    let trace = base::trace::current_traceparent();
    let replaced = |name: &str| trace.is_some() && name == TRACEPARENT;
    let mut sent: Vec<_> = headers
        .iter()
        .filter(|(name, _)| travels(name.as_str()) && !replaced(name.as_str()))
        .map(|(name, value)| (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes())))
        .collect();
    sent.extend(trace.map(|trace| (TRACEPARENT.to_owned(), trace.into())));
    sent
}

/// Whether a header belongs to the call: not to a connection, and not to gRPC itself.
fn travels(name: &str) -> bool {
    !HOP_BY_HOP.contains(&name) && !name.starts_with("grpc-")
}

fn respond(reply: Reply) -> Response<pb::InvokeResponse> {
    let data = prost_types::Any {
        type_url: String::new(),
        value: reply.body.into(),
    };
    let mut response = Response::new(pb::InvokeResponse {
        data: Some(data),
        content_type: reply.content_type,
    });
    *response.metadata_mut() = reply_metadata(&reply.headers);
    response
}

/// The service's headers as far as gRPC can carry them: several of one name stay several, and what a client would choke
/// on is left out.
fn reply_metadata(headers: &[(String, Bytes)]) -> MetadataMap {
    let nominated = nominated(headers);
    let mut map = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            continue;
        };
        if !travels(name.as_str()) || nominated.iter().any(|listed| listed == name.as_str()) {
            continue;
        }
        if let Some(value) = metadata_value(&name, value) {
            map.append(name, value);
        }
    }
    MetadataMap::from_headers(map)
}

/// Header names that the reply itself declares to be of its connection.
fn nominated(headers: &[(String, Bytes)]) -> Vec<String> {
    headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .filter_map(|(_, value)| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

/// gRPC takes printable ASCII; names that end in `-bin` announce base64.
fn metadata_value(name: &HeaderName, value: &Bytes) -> Option<HeaderValue> {
    if name.as_str().ends_with("-bin") {
        let value = tonic::metadata::BinaryMetadataValue::from_bytes(value);
        return HeaderValue::from_bytes(value.as_encoded_bytes()).ok();
    }
    let printable = value.iter().all(|byte| (b' '..=b'~').contains(byte));
    HeaderValue::from_bytes(value).ok().filter(|_| printable)
}
