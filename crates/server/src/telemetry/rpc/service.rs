//! The layer, its service, and the future of one call.

use std::convert::Infallible;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll};
use std::time::{Duration, Instant};

use base::time::grpc_timeout;
use base::trace;
use http::{HeaderMap, Request, Response};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::answer::{self, Answer};
use super::body::{Drain, Observed};
use super::call::{self, Call};
use crate::telemetry::Traces;
use crate::telemetry::methods::{Methods, Shape};

/// What all calls of one listener share.
pub struct Settings {
    pub methods: Methods,
    /// Of unary calls that do not wait; any caller may have one of its own.
    pub deadline: Duration,
    /// Cancelled when the process begins to drain.
    pub drain: CancellationToken,
    pub traces: Option<Traces>,
}

impl Settings {
    /// When a call is not waited for any longer. Without this the caller's time would end in tonic's CANCELLED.
    fn end(&self, shape: Shape, started: Instant, headers: &HeaderMap) -> Option<Instant> {
        let ours = (shape == Shape::Unary).then_some(self.deadline);
        let text = headers.get("grpc-timeout").and_then(|value| value.to_str().ok());
        let callers = text.and_then(grpc_timeout);
        let shorter = ours.into_iter().chain(callers).min()?;
        started.checked_add(shorter)
    }
}

#[derive(Clone)]
pub struct Layer {
    settings: Arc<Settings>,
    /// What flow control counts its seconds from.
    epoch: Instant,
}

impl Layer {
    pub fn new(settings: Settings) -> Layer {
        Layer {
            settings: Arc::new(settings),
            epoch: Instant::now(),
        }
    }
}

impl<S> tower::Layer<S> for Layer {
    type Service = Service<S>;

    fn layer(&self, inner: S) -> Service<S> {
        Service {
            inner,
            layer: self.clone(),
        }
    }
}

#[derive(Clone)]
pub struct Service<S> {
    inner: S,
    layer: Layer,
}

impl<S> tower::Service<Request<Body>> for Service<S>
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Observed>;
    type Error = Infallible;
    type Future = Running<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Running<S::Future> {
        let settings = &self.layer.settings;
        let path = request.uri().path();
        let Some(method) = settings.methods.find(path) else {
            let answer = Answer::unimplemented(settings.methods.complaint(path));
            let call = Call::begin(settings.methods.unknown().clone(), None);
            return Running::answered(call, answer, settings);
        };
        let (context, span) = call::context(request.headers(), settings.traces.as_ref(), method);
        let shape = method.shape;
        let call = Call::begin(method.clone(), span);
        let ends = settings.end(shape, call.started(), request.headers());
        if shape != Shape::Streaming && !method.admits(call.started() - self.layer.epoch) {
            return Running::answered(call, Answer::limited(), settings);
        }
        let inner = catch_unwind(AssertUnwindSafe(|| match &context {
            Some(context) => trace::within(context, || self.inner.call(request)),
            None => self.inner.call(request),
        }));
        match inner {
            Ok(inner) => Running {
                step: Step::Inner { inner },
                ends,
                deadline: None,
                drain: None,
                call: Some(call),
                context,
                shape,
                settings: settings.clone(),
            },
            Err(panic) => {
                let answer = Answer::panicked();
                call.end_in_panic(answer.code, &*panic);
                Running::ended(answer, settings)
            }
        }
    }
}

pin_project! {
    /// One call until its response's head.
    pub struct Running<F> {
        #[pin]
        step: Step<F>,
        ends: Option<Instant>,
        // Set when the handler first has to wait: most calls never touch a timer.
        #[pin]
        deadline: Option<Sleep>,
        // The same, of calls that wait.
        drain: Option<Box<Drain>>,
        call: Option<Call>,
        context: Option<trace::Context>,
        shape: Shape,
        settings: Arc<Settings>,
    }
}

pin_project! {
    #[project = StepProjection]
    enum Step<F> {
        Inner { #[pin] inner: F },
        Answered { response: Option<Response<Body>> },
    }
}

impl<F> Running<F> {
    fn answered(call: Call, answer: Answer, settings: &Arc<Settings>) -> Running<F> {
        call.end(answer.code);
        Running::ended(answer, settings)
    }

    fn ended(answer: Answer, settings: &Arc<Settings>) -> Running<F> {
        Running {
            step: Step::Answered {
                response: Some(answer.response()),
            },
            ends: None,
            deadline: None,
            drain: None,
            call: None,
            context: None,
            shape: Shape::Unary,
            settings: settings.clone(),
        }
    }
}

type Answered = Poll<Result<Response<Observed>, Infallible>>;

impl<F> Future for Running<F>
where
    F: Future<Output = Result<Response<Body>, Infallible>>,
{
    type Output = Result<Response<Observed>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Answered {
        let this = self.as_mut().project();
        let inner = match this.step.project() {
            StepProjection::Inner { inner } => inner,
            StepProjection::Answered { response } => {
                let response = response.take().expect("polled once, it is ready at once");
                return Poll::Ready(Ok(response.map(Observed::ended)));
            }
        };
        let polled = catch_unwind(AssertUnwindSafe(|| match this.context {
            Some(context) => trace::within(context, || inner.poll(cx)),
            None => inner.poll(cx),
        }));
        match polled {
            Ok(Poll::Ready(Ok(response))) => Poll::Ready(Ok(self.observe(response))),
            Ok(Poll::Pending) => self.poll_end(cx),
            Err(panic) => {
                let answer = Answer::panicked();
                if let Some(call) = self.as_mut().project().call.take() {
                    call.end_in_panic(answer.code, &*panic);
                }
                Poll::Ready(Ok(self.cut(answer)))
            }
        }
    }
}

impl<F> Running<F> {
    fn observe(self: Pin<&mut Self>, mut response: Response<Body>) -> Response<Observed> {
        let this = self.project();
        answer::speak_as_reference(response.headers_mut());
        let call = this.call.take().expect("a call is answered once");
        if let Some(code) = answer::code(response.headers()) {
            call.end(code);
            return response.map(Observed::ended);
        }
        match this.shape {
            Shape::Unary | Shape::Waiting => response.map(|body| Observed::unary(body, call)),
            Shape::Streaming => {
                let context = this.context.take();
                response.map(|body| Observed::streaming(body, call, context, &this.settings.drain))
            }
        }
    }

    /// Whether the handler, which has nothing yet, is not waited for any longer.
    fn poll_end(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Answered {
        let answer = match self.as_mut().poll_deadline(cx) {
            Poll::Ready(too_late) => too_late,
            Poll::Pending if self.shape == Shape::Waiting => task::ready!(self.as_mut().poll_drain(cx)),
            Poll::Pending => return Poll::Pending,
        };
        if let Some(call) = self.as_mut().project().call.take() {
            call.end(answer.code);
        }
        Poll::Ready(Ok(self.cut(answer)))
    }

    fn poll_drain(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Answer> {
        let this = self.project();
        let drain = this.drain.get_or_insert_with(|| Drain::new(&this.settings.drain));
        drain.poll_silent(cx).map(|()| Answer::draining())
    }

    fn poll_deadline(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Answer> {
        let mut this = self.project();
        let Some(ends) = *this.ends else {
            return Poll::Pending;
        };
        if this.deadline.is_none() {
            this.deadline
                .set(Some(tokio::time::sleep_until(tokio::time::Instant::from_std(
                    ends,
                ))));
        }
        let deadline = this.deadline.as_pin_mut().expect("set above");
        deadline.poll(cx).map(|()| Answer::too_late())
    }

    /// Lets go of the handler and answers in its place.
    fn cut(self: Pin<&mut Self>, answer: Answer) -> Response<Observed> {
        let mut this = self.project();
        // A panic that comes out of dropping a handler which has just panicked must not get further either.
        drop(catch_unwind(AssertUnwindSafe(|| {
            this.step.set(Step::Answered { response: None });
        })));
        answer.response().map(Observed::ended)
    }
}
