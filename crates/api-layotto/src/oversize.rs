//! A request that is too large is answered as the reference's library does.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::TryFutureExt;
use futures::future::MapOk;
use http::Response;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use crate::error;

/// Changes the status of requests over the limit, which our library refuses before a handler sees them.
#[derive(Clone)]
pub(crate) struct Oversize<S>(S);

impl<S> Oversize<S> {
    pub(crate) fn new(inner: S) -> Oversize<S> {
        Oversize(inner)
    }
}

impl<S: NamedService> NamedService for Oversize<S> {
    const NAME: &'static str = S::NAME;
}

impl<S, R> Service<R> for Oversize<S>
where
    S: Service<R, Response = Response<Body>, Error = Infallible>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = MapOk<S::Future, fn(Response<Body>) -> Response<Body>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.0.call(request).map_ok(answer)
    }
}

fn answer(response: Response<Body>) -> Response<Body> {
    match error::oversize(response.headers()) {
        Some(status) => status.into_http(),
        None => response,
    }
}
