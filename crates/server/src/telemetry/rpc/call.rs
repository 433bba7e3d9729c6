//! One call, from its head to its status.

use std::sync::Arc;
use std::time::Instant;

use base::trace;
use http::HeaderMap;

use crate::telemetry::methods::Method;
use crate::telemetry::traces::{Span, Traces};

const CANCELLED: i32 = 1;

/// Counts the call when it ends, exactly once; one that is dropped without a status was cancelled.
pub(super) struct Call {
    method: Arc<Method>,
    started: Instant,
    span: Option<Span>,
    ended: bool,
}

impl Call {
    pub(super) fn begin(method: Arc<Method>, span: Option<Span>) -> Call {
        method.began();
        Call {
            method,
            started: Instant::now(),
            span,
            ended: false,
        }
    }

    pub(super) fn started(&self) -> Instant {
        self.started
    }

    pub(super) fn end(mut self, code: i32) {
        self.finish(code);
    }

    pub(super) fn end_in_panic(self, code: i32, panic: &(dyn std::any::Any + Send)) {
        self.method.panicked();
        let message = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        tracing::error!(
            method = &*self.method.path,
            message,
            "a handler panicked, its caller gets INTERNAL"
        );
        self.end(code);
    }

    fn finish(&mut self, code: i32) {
        self.ended = true;
        self.method.ended(code, self.started);
        if let Some(span) = self.span.take() {
            span.end(code);
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if !self.ended {
            self.finish(CANCELLED);
        }
    }
}

/// The context that a call's work runs under, and its span if spans are exported. Without an exporter the caller's
/// context is passed on as it came.
pub(super) fn context(
    headers: &HeaderMap,
    traces: Option<&Traces>,
    method: &Method,
) -> (Option<trace::Context>, Option<Span>) {
    let incoming = headers.get("traceparent").and_then(|parent| {
        let states: Vec<&str> = headers
            .get_all("tracestate")
            .iter()
            .filter_map(|state| state.to_str().ok())
            .collect();
        trace::Context::parse(parent.to_str().ok()?, Some(&states.join(",")))
    });
    match traces {
        None => (incoming, None),
        Some(traces) => {
            let span = traces.begin(method, incoming.as_ref());
            (Some(span.context()), Some(span))
        }
    }
}
