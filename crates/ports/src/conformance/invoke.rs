//! What every [`Invoker`] must do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base::Kind;
use bytes::Bytes;

use crate::invoke::{Invocation, Invoker};

/// How much longer than its timeout a call may take, on a machine that is busy.
const SLACK: Duration = Duration::from_secs(2);

pub struct Given {
    pub invoker: Arc<dyn Invoker>,
    /// A service that answers with the body that it was sent.
    pub echo: Invocation,
    /// A service that takes the call and never answers.
    pub silent: Invocation,
    /// A service that nobody listens for.
    pub absent: Invocation,
}

pub async fn all(given: Given) {
    a_body_comes_back_as_it_was(&given).await;
    calls_at_once_get_their_own_answers(&given).await;
    a_silent_service_ends_with_the_timeout(&given).await;
    an_absent_service_is_unavailable(&given).await;
    an_unknown_service_is_unavailable(&given).await;
}

async fn a_body_comes_back_as_it_was(given: &Given) {
    let binary: Bytes = (0..=u8::MAX).cycle().take(1 << 20).collect();
    for body in [Bytes::new(), Bytes::from_static(b"text"), binary] {
        let invocation = Invocation {
            body: body.clone(),
            ..given.echo.clone()
        };
        let reply = given.invoker.invoke(invocation).await.expect("it answers");
        assert!(reply.body == body, "{} bytes", body.len());
    }
}

async fn calls_at_once_get_their_own_answers(given: &Given) {
    let one = async |index: usize| {
        let body = Bytes::from(format!("body {index}"));
        let invocation = Invocation {
            body: body.clone(),
            ..given.echo.clone()
        };
        let reply = given.invoker.invoke(invocation).await.expect("it answers");
        assert_eq!(reply.body, body);
    };
    futures::future::join_all((0..100).map(one)).await;
}

async fn a_silent_service_ends_with_the_timeout(given: &Given) {
    let timeout = Duration::from_millis(50);
    let invocation = Invocation {
        timeout,
        ..given.silent.clone()
    };
    let started = Instant::now();
    let error = given
        .invoker
        .invoke(invocation)
        .await
        .expect_err("nobody answers");
    assert!(matches!(error.kind(), Kind::Unavailable | Kind::DeadlineExceeded));
    assert!(started.elapsed() >= timeout && started.elapsed() < timeout + SLACK);
}

async fn an_absent_service_is_unavailable(given: &Given) {
    let refused = given.invoker.invoke(given.absent.clone()).await;
    assert_eq!(refused.expect_err("nobody listens").kind(), Kind::Unavailable);
}

async fn an_unknown_service_is_unavailable(given: &Given) {
    let unknown = Invocation {
        id: "conformance-no-such-service".to_owned(),
        ..given.echo.clone()
    };
    let refused = given.invoker.invoke(unknown).await;
    assert_eq!(
        refused.expect_err("it is not configured").kind(),
        Kind::Unavailable
    );
}
