//! The port `binding` over pooled connections.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{Error, Result, codes, limits};
use bytes::Bytes;
use http::response::Parts;
use hyper::ext::ReasonPhrase;
use ports::Metadata;
use ports::binding::{Binding, Reply, Request};
use tokio::time::{Instant, sleep};

use super::redirect;
use super::request::{OPERATIONS, Outgoing, Rules, failed};
use super::settings;
use crate::outbound::{self, Address, Answer, Failure, Pool, headers, targets};

pub(super) struct HttpBinding {
    url: String,
    pool: Arc<Pool>,
    rules: Rules,
    timeout: Duration,
    retries: u32,
}

impl HttpBinding {
    pub(super) fn open(settings: settings::HttpBinding) -> Result<HttpBinding> {
        let (_, address) =
            super::address(&settings.url).map_err(|message| Error::new(codes::CONFIG_INVALID, message))?;
        let retries = u32::try_from(settings.retries).unwrap_or(u32::MAX);
        Ok(HttpBinding {
            pool: Pool::new(address, targets::connections(settings.connections_max)),
            rules: Rules::of(&settings),
            timeout: Duration::from_millis(settings.timeout_ms),
            retries: retries.min(limits::BINDING_RETRIES_MAX),
            url: settings.url,
        })
    }

    /// Tries until an attempt says something final, no attempt is left, or there is no time for another one.
    async fn attempts(&self, outgoing: &Outgoing, deadline: Instant) -> Result<Outcome> {
        let mut pause = limits::RETRY_PAUSE_MIN;
        for _ in 0..self.retries {
            let outcome = self.attempt(outgoing.clone(), deadline).await?;
            if !outcome.may_pass(outgoing) || Instant::now() + pause >= deadline {
                return Ok(outcome);
            }
            sleep(pause).await;
            pause = limits::RETRY_PAUSE_MAX.min(pause * 2);
        }
        self.attempt(outgoing.clone(), deadline).await
    }

    /// One attempt, redirects followed.
    async fn attempt(&self, mut outgoing: Outgoing, deadline: Instant) -> Result<Outcome> {
        for _ in 0..=limits::REDIRECTS_MAX {
            let answer = match self
                .pool_for(&outgoing)?
                .send(outgoing.request()?, deadline)
                .await
            {
                Ok(answer) => answer,
                Err(failure) => return Ok(Outcome::Failed(failure)),
            };
            let Some(next) = redirect::follow(&outgoing, answer.status(), answer.headers()) else {
                return Ok(outcome(answer).await);
            };
            // What it says beside the new place is not looked at; reading it keeps the connection.
            answer.start_of_body(limits::ERROR_BODY_BYTES_MAX).await;
            outgoing = next;
        }
        Err(failed(format!(
            "stopped after {} redirects",
            limits::REDIRECTS_MAX
        )))
    }

    /// A redirect to another place gets a connection of its own, which ends with the request.
    fn pool_for(&self, outgoing: &Outgoing) -> Result<Arc<Pool>> {
        let address = Address::of(&outgoing.url)
            .map_err(|message| failed(format!("it was redirected to where it can't go: {message}")))?;
        if address == *self.pool.address() {
            return Ok(self.pool.clone());
        }
        Ok(Pool::new(address, 1))
    }
}

enum Outcome {
    Answered(Parts, Bytes),
    Failed(Failure),
}

impl Outcome {
    /// Whether another attempt may fare better, and does no harm.
    fn may_pass(&self, outgoing: &Outgoing) -> bool {
        match self {
            Outcome::Failed(Failure::Connect(_)) => true,
            Outcome::Failed(Failure::Broken(_)) => outgoing.may_be_repeated(),
            Outcome::Failed(Failure::NoPlace | Failure::Deadline | Failure::TooLarge(_)) => false,
            Outcome::Answered(head, _) => {
                outgoing.may_be_repeated() && matches!(head.status.as_u16(), 502..=504)
            }
        }
    }
}

async fn outcome(answer: Answer) -> Outcome {
    match answer.body(limits::HTTP_BODY_BYTES_MAX).await {
        Ok((head, body)) => Outcome::Answered(head, body),
        Err(failure) => Outcome::Failed(failure),
    }
}

#[async_trait]
impl Binding for HttpBinding {
    fn operations(&self) -> &[&'static str] {
        &OPERATIONS
    }

    async fn invoke(&self, request: Request) -> Result<Reply> {
        let deadline = outbound::deadline(self.timeout);
        let any_status = request
            .metadata
            .get("errorIfNot2XX")
            .is_some_and(|switch| switch.eq_ignore_ascii_case("false"));
        let outgoing = Outgoing::of(request, &self.url, &self.rules)?;
        match self.attempts(&outgoing, deadline).await? {
            Outcome::Answered(head, body) if any_status || head.status.is_success() => Ok(Reply {
                data: body,
                metadata: metadata(&head),
            }),
            Outcome::Answered(head, _) => {
                Err(failed(format!("received status code {}", head.status.as_u16())))
            }
            Outcome::Failed(Failure::Deadline) => {
                let text = format!("no answer within {} ms", self.timeout.as_millis());
                Err(Error::new(codes::DEADLINE_EXCEEDED, text))
            }
            Outcome::Failed(failure @ Failure::NoPlace) => {
                Err(Error::new(codes::DEADLINE_EXCEEDED, failure.to_string()))
            }
            Outcome::Failed(failure) => Err(failed(failure.to_string())),
        }
    }
}

/// `statusCode`, `status`, and the headers under the names that Go gives them.
fn metadata(head: &Parts) -> Metadata {
    let mut metadata = Metadata::new();
    for (name, value) in headers::end_to_end(&head.headers) {
        let value = String::from_utf8_lossy(value.as_bytes());
        metadata
            .entry(headers::canonical(name))
            .and_modify(|values: &mut String| *values = format!("{values}, {value}"))
            .or_insert_with(|| value.into_owned());
    }
    let code = head.status.as_u16().to_string();
    let own_reason = head.extensions.get::<ReasonPhrase>();
    let reason = match own_reason {
        Some(reason) => String::from_utf8_lossy(reason.as_bytes()).into_owned(),
        None => head.status.canonical_reason().unwrap_or_default().to_owned(),
    };
    metadata.insert("status".to_owned(), format!("{code} {reason}"));
    metadata.insert("statusCode".to_owned(), code);
    metadata
}
