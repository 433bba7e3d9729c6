//! The W3C trace context of the request being served, so that what it calls can be found in the same trace.
//!
//! Whoever serves a request puts its context around the work ([`scope`], [`within`]); whoever calls out asks for
//! [`current`]. A request without a context costs one look at a task-local that is not set. Source: W3C Trace Context,
//! level 1.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};

use pin_project_lite::pin_project;

use crate::limits;

tokio::task_local! {
    static CURRENT: Context;
}

/// A `traceparent` and, perhaps, a `tracestate`, exactly as they came in or go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    parent: Arc<str>,
    state: Option<Arc<str>>,
}

impl Context {
    /// `None` for a `traceparent` that the recommendation calls invalid: the trace then starts anew. A `tracestate` that
    /// is too long is dropped and the rest kept, which the recommendation allows.
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Context> {
        let context = Context {
            parent: parent.into(),
            state: state
                .filter(|state| !state.is_empty() && state.len() <= limits::TRACE_STATE_BYTES_MAX)
                .map(Arc::from),
        };
        is_valid(parent).then_some(context)
    }

    /// `00-<trace id, 32 hex digits>-<span id, 16 hex digits>-<flags, 2 hex digits>`.
    pub fn traceparent(&self) -> &str {
        &self.parent
    }

    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The 32 hex digits that all spans of one trace share.
    pub fn trace_id(&self) -> &str {
        &self.parent[3..35]
    }
}

/// Later versions may append fields, behind one more dash; version 00 may not.
fn is_valid(parent: &str) -> bool {
    let bytes = parent.as_bytes();
    let lengths_fit =
        bytes.len() == 55 || (bytes.len() > 55 && !parent.starts_with("00") && bytes[55] == b'-');
    if !lengths_fit || bytes.len() > limits::TRACE_PARENT_BYTES_MAX || !parent.is_ascii() {
        return false;
    }
    let hex = |range: std::ops::Range<usize>| {
        bytes[range]
            .iter()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |range: std::ops::Range<usize>| bytes[range].iter().all(|byte| *byte == b'0');
    let dashes = [2, 35, 52].into_iter().all(|at| bytes[at] == b'-');
    dashes
        && [0..2, 3..35, 36..52, 53..55].into_iter().all(hex)
        && !parent.starts_with("ff")
        && !zero(3..35)
        && !zero(36..52)
}

/// The context of the request that the current task works for.
pub fn current() -> Option<Context> {
    CURRENT.try_with(Context::clone).ok()
}

/// What an outgoing call sends as `traceparent`.
pub fn current_traceparent() -> Option<String> {
    CURRENT.try_with(|context| context.traceparent().to_owned()).ok()
}

/// What an outgoing call sends as `tracestate`; only ever beside a `traceparent`.
pub fn current_tracestate() -> Option<String> {
    CURRENT
        .try_with(|context| context.tracestate().map(str::to_owned))
        .ok()
        .flatten()
}

/// Runs a closure, such as one poll of a future, under that context.
pub fn within<R>(context: &Context, run: impl FnOnce() -> R) -> R {
    CURRENT.sync_scope(context.clone(), run)
}

/// Runs a future under that context.
pub fn scope<F: Future>(context: Context, future: F) -> Scoped<F> {
    Scoped {
        context: Some(context),
        future,
    }
}

/// Gives a future the context that is current here; for work that moves to another task.
pub fn carry<F: Future>(future: F) -> Scoped<F> {
    Scoped {
        context: current(),
        future,
    }
}

pin_project! {
    /// A future with a context around it, if there is one.
    pub struct Scoped<F> {
        context: Option<Context>,
        #[pin]
        future: F,
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        match this.context {
            Some(context) => within(context, || this.future.poll(cx)),
            None => this.future.poll(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn outside_a_request_there_is_no_context() {
        assert_eq!(current(), None);
        assert_eq!(current_traceparent(), None);
    }

    #[tokio::test]
    async fn work_that_moves_to_another_task_keeps_its_context() {
        let context = Context::parse(PARENT, Some("vendor=1")).expect("a valid example");
        let seen = scope(context, async {
            crate::task::spawn("moved", async { (current_traceparent(), current_tracestate()) }).await
        })
        .await
        .expect("the task does not panic");
        assert_eq!(seen, (Some(PARENT.to_owned()), Some("vendor=1".to_owned())));
    }

    #[test]
    fn invalid_parents_are_no_context() {
        let parse = |parent: &str| Context::parse(parent, None).is_some();
        assert!(parse(PARENT));
        assert!(parse(&PARENT.replacen("00", "cc", 1)));
        assert!(parse(&format!("{}-later", PARENT.replacen("00", "cc", 1))));
        for invalid in [
            "",
            "00",
            &PARENT.to_uppercase(),
            &format!("{PARENT}-more"),
            &PARENT.replacen("00", "ff", 1),
            &PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &PARENT.replace('-', "_"),
            &format!("cc{}ü", &PARENT[2..]),
        ] {
            assert!(!parse(invalid), "{invalid}");
        }
    }

    #[test]
    fn a_state_that_is_too_long_is_dropped_alone() {
        let long = "v".repeat(limits::TRACE_STATE_BYTES_MAX + 1);
        let context = Context::parse(PARENT, Some(&long)).expect("the parent is valid");
        assert_eq!(context.tracestate(), None);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }
}
