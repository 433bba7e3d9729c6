//! The port `invoke` over pooled connections.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Error, Result, codes, limits};
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderValue, StatusCode};
use ports::invoke::{Invocation, Invoker, Reply};

use super::request::request;
use super::settings::HttpInvoke;
use crate::outbound::targets::{self, Services};
use crate::outbound::{self, Failure, Pool, headers};

pub(super) struct HttpInvoker {
    services: Services<Arc<Pool>>,
    host: HeaderValue,
}

impl HttpInvoker {
    pub(super) fn open(settings: &HttpInvoke) -> Result<HttpInvoker> {
        let host = HeaderValue::from_str(&settings.host_header)
            .map_err(|_| Error::new(codes::CONFIG_INVALID, "hostHeader can't be a header"))?;
        let connections_max = targets::connections(settings.connections_max);
        let services = Services::open(&settings.targets, |address| Pool::new(address, connections_max))?;
        Ok(HttpInvoker { services, host })
    }

    #[cfg(test)]
    pub(super) fn pool(&self, id: &str) -> Arc<Pool> {
        self.services.get(id).expect("the service is configured").clone()
    }
}

#[async_trait]
impl Invoker for HttpInvoker {
    async fn invoke(&self, invocation: Invocation) -> Result<Reply> {
        let pool = self.services.get(&invocation.id)?;
        let timeout = invocation.timeout;
        let failed = |failure| failed(failure, timeout);
        let deadline = outbound::deadline(timeout);
        let request = request(invocation, &self.host)?;
        let answer = pool.send(request, deadline).await.map_err(failed)?;
        if answer.status() != StatusCode::OK {
            let status = answer.status();
            return Err(refused(
                status,
                &answer.start_of_body(limits::ERROR_BODY_BYTES_MAX).await,
            ));
        }
        let (head, body) = answer.body(limits::HTTP_BODY_BYTES_MAX).await.map_err(failed)?;
        Ok(reply(&head, body))
    }
}

fn failed(failure: Failure, timeout: Duration) -> Error {
    match failure {
        Failure::NoPlace => Error::new(codes::DEADLINE_EXCEEDED, failure.to_string()),
        // The reference says so too, and its clients tell by the code.
        Failure::Deadline => {
            let text = format!("no answer within {} ms", timeout.as_millis());
            Error::new(codes::INVOKE_FAILED, text)
        }
        Failure::Connect(_) | Failure::Broken(_) | Failure::TooLarge(_) => {
            Error::new(codes::INVOKE_FAILED, failure.to_string())
        }
    }
}

fn refused(status: StatusCode, body: &[u8]) -> Error {
    let body = String::from_utf8_lossy(body);
    // A letter that was cut in two is left out.
    let body = body.trim_end_matches(char::REPLACEMENT_CHARACTER);
    let text = format!("http response code {}, body: {body}", status.as_u16());
    Error::new(codes::INVOKE_FAILED, text)
}

fn reply(head: &Parts, body: Bytes) -> Reply {
    let (content_type, headers) = headers::of_reply(&head.headers);
    Reply {
        content_type,
        headers,
        body,
    }
}
