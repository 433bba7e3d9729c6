//! Connecting to one address, with pauses when nobody is there.
//!
//! A service that is down costs its callers little: after a few failures in a row there are pauses in which a call fails at
//! once with the last reason. They are so short that a service which comes back is hardly kept waiting.

use std::time::Duration;

use base::limits;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::Address;
use super::address::Stream;

/// The first pause; it doubles with each further failure up to `limits::OUTBOUND_CONNECT_PAUSE_MAX`.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// An attempt that was given up earlier says nothing about the service.
const UNANSWERED: Duration = Duration::from_secs(1);

pub(crate) struct Connector {
    address: Address,
    failures: Mutex<Failures>,
}

#[derive(Default)]
struct Failures {
    in_a_row: u32,
    pause: Option<Pause>,
}

struct Pause {
    until: Instant,
    reason: String,
}

impl Connector {
    pub(crate) fn to(address: Address) -> Connector {
        Connector {
            address,
            failures: Mutex::default(),
        }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// `Err` says who could not be reached and why. It has no deadline of its own.
    pub(crate) async fn connect(&self) -> Result<Stream, String> {
        if let Some(reason) = self.failures.lock().paused() {
            return Err(reason);
        }
        let attempt = Attempt::of(self);
        match self.address.connect().await {
            Ok(stream) => {
                attempt.ended();
                self.succeeded();
                Ok(stream)
            }
            Err(cause) => {
                attempt.ended();
                let reason = format!("connect {}: {}", self.address, text(&cause));
                self.failed(&reason);
                Err(reason)
            }
        }
    }

    fn succeeded(&self) {
        let failures = std::mem::take(&mut *self.failures.lock());
        if failures.in_a_row >= limits::OUTBOUND_CONNECT_FAILURES {
            tracing::info!(address = %self.address, "it can be reached again");
        }
    }

    fn failed(&self, reason: &str) {
        let in_a_row = self.failures.lock().add(reason);
        if in_a_row == limits::OUTBOUND_CONNECT_FAILURES {
            tracing::warn!(address = %self.address, reason, "it can't be reached; calls fail at once between attempts");
        }
    }
}

/// Counts an attempt as failed that its caller gave up after it went unanswered for long.
struct Attempt<'c> {
    connector: Option<&'c Connector>,
    started: Instant,
}

impl Attempt<'_> {
    fn of(connector: &Connector) -> Attempt<'_> {
        Attempt {
            connector: Some(connector),
            started: Instant::now(),
        }
    }

    fn ended(mut self) {
        self.connector = None;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(connector) = self.connector
            && self.started.elapsed() >= UNANSWERED
        {
            connector.failed(&format!("connect {}: no answer", connector.address));
        }
    }
}

impl Failures {
    fn paused(&self) -> Option<String> {
        let pause = self.pause.as_ref()?;
        (Instant::now() < pause.until).then(|| pause.reason.clone())
    }

    fn add(&mut self, reason: &str) -> u32 {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if let Some(doublings) = self.in_a_row.checked_sub(limits::OUTBOUND_CONNECT_FAILURES) {
            let pause = PAUSE_MIN.saturating_mul(1 << doublings.min(16));
            self.pause = Some(Pause {
                until: Instant::now() + pause.min(limits::OUTBOUND_CONNECT_PAUSE_MAX),
                reason: reason.to_owned(),
            });
        }
        self.in_a_row
    }
}

/// The operating system's words without its number.
fn text(cause: &std::io::Error) -> String {
    let text = cause.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An address that nobody listens on any more.
    async fn refused() -> Address {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("it is bound");
        Address::parse(&address.to_string()).expect("an address")
    }

    #[tokio::test]
    async fn failures_in_a_row_make_pauses_that_end() {
        let connector = Connector::to(refused().await);
        for _ in 0..limits::OUTBOUND_CONNECT_FAILURES {
            assert_eq!(connector.failures.lock().paused(), None);
            let reason = connector.connect().await.map(drop).expect_err("nobody listens");
            assert!(reason.ends_with("connection refused"), "{reason}");
        }
        tokio::time::pause();
        let until = connector.failures.lock().pause.as_ref().map(|pause| pause.until);
        assert!(connector.connect().await.is_err());
        assert_eq!(
            connector.failures.lock().in_a_row,
            limits::OUTBOUND_CONNECT_FAILURES,
            "it was not tried"
        );
        tokio::time::advance(until.expect("there is a pause") - Instant::now()).await;
        assert_eq!(connector.failures.lock().paused(), None);
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        let mut failures = Failures::default();
        for _ in 0..100 {
            failures.add("no");
        }
        let pause = failures.pause.expect("there is a pause").until - Instant::now();
        assert!(
            pause <= limits::OUTBOUND_CONNECT_PAUSE_MAX && pause > limits::OUTBOUND_CONNECT_PAUSE_MAX / 2
        );
    }

    #[tokio::test]
    async fn one_success_forgets_the_failures() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let connector = Connector::to(Address::parse(&address).expect("an address"));
        connector.failed("no");
        assert!(connector.connect().await.is_ok());
        assert_eq!(connector.failures.lock().in_a_row, 0);
    }
}
