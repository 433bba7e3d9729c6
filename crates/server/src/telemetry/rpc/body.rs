//! The body of a response, watched until its trailers tell the status.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{self, Poll};

use base::{limits, trace};
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::body::Body;

use super::answer::{self, Answer};
use super::call::Call;

pin_project! {
    pub struct Observed {
        #[pin]
        inner: Body,
        // Gone when the status is known.
        call: Option<Call>,
        context: Option<trace::Context>,
        drain: Option<Box<Drain>>,
        // The stream was ended here, whatever the inner body still has.
        cut: bool,
    }
}

/// Ends a stream, or a call that waits, that stays silent once the process drains.
///
/// One that waits for news would keep the drain waiting to its deadline, and its client from looking for another
/// server. A transfer that is under way always has its next frame at hand, so silence tells the two apart.
pub(super) struct Drain {
    begun: Pin<Box<WaitForCancellationFutureOwned>>,
    silence: Option<Pin<Box<Sleep>>>,
}

impl Drain {
    pub(super) fn new(drain: &CancellationToken) -> Box<Drain> {
        Box::new(Drain {
            begun: Box::pin(drain.clone().cancelled_owned()),
            silence: None,
        })
    }

    /// Polled only while there is nothing to send.
    pub(super) fn poll_silent(&mut self, cx: &mut task::Context<'_>) -> Poll<()> {
        if self.silence.is_none() {
            task::ready!(self.begun.as_mut().poll(cx));
        }
        self.silence
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limits::DRAIN_STREAM_SILENCE)))
            .as_mut()
            .poll(cx)
    }
}

impl Observed {
    /// The body of a call whose status is known already.
    pub(super) fn ended(inner: Body) -> Observed {
        Observed {
            inner,
            call: None,
            context: None,
            drain: None,
            cut: false,
        }
    }

    pub(super) fn unary(inner: Body, call: Call) -> Observed {
        Observed {
            call: Some(call),
            ..Observed::ended(inner)
        }
    }

    pub(super) fn streaming(
        inner: Body,
        call: Call,
        context: Option<trace::Context>,
        drain: &CancellationToken,
    ) -> Observed {
        Observed {
            context,
            drain: Some(Drain::new(drain)),
            ..Observed::unary(inner, call)
        }
    }

    /// Ends the stream here, and lets go of the handler's side of it.
    fn cut(self: Pin<&mut Self>, answer: Answer) -> Frame<Bytes> {
        let mut this = self.project();
        *this.cut = true;
        // A panic that comes out of dropping a stream which has just panicked must not get further either.
        drop(catch_unwind(AssertUnwindSafe(|| this.inner.set(Body::empty()))));
        Frame::trailers(answer.trailers())
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, tonic::Status>>>;

impl http_body::Body for Observed {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Polled {
        if self.cut {
            return Poll::Ready(None);
        }
        let this = self.as_mut().project();
        let inner = this.inner;
        let polled = catch_unwind(AssertUnwindSafe(|| match this.context {
            Some(context) => trace::within(context, || inner.poll_frame(cx)),
            None => inner.poll_frame(cx),
        }));
        match polled {
            Ok(Poll::Ready(frame)) => Poll::Ready(self.observed(frame)),
            Ok(Poll::Pending) => self.poll_drain(cx),
            Err(panic) => {
                let answer = Answer::panicked();
                if let Some(call) = self.as_mut().project().call.take() {
                    call.end_in_panic(answer.code, &*panic);
                }
                Poll::Ready(Some(Ok(self.cut(answer))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.cut || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Observed {
    fn observed(
        self: Pin<&mut Self>,
        frame: Option<Result<Frame<Bytes>, tonic::Status>>,
    ) -> Option<Result<Frame<Bytes>, tonic::Status>> {
        let this = self.project();
        if let Some(drain) = this.drain {
            drain.silence = None;
        }
        frame.map(|frame| {
            frame.map(|mut frame| {
                if let Some(trailers) = frame.trailers_mut() {
                    answer::speak_as_reference(trailers);
                    if let (Some(call), Some(code)) = (this.call.take(), answer::code(trailers)) {
                        call.end(code);
                    }
                }
                frame
            })
        })
    }

    fn poll_drain(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Polled {
        let this = self.as_mut().project();
        let Some(drain) = this.drain else {
            return Poll::Pending;
        };
        task::ready!(drain.poll_silent(cx));
        let answer = Answer::draining();
        if let Some(call) = this.call.take() {
            call.end(answer.code);
        }
        Poll::Ready(Some(Ok(self.cut(answer))))
    }
}
