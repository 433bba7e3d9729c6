//! HTTP/1.1 for administrators: every connection of these listeners is served on one runtime.

use std::convert::Infallible;
use std::pin::pin;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use base::{limits, task::Tasks};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::connection::{Accepted, Stream};

/// Serves what is dealt here until the token is cancelled and the requests in flight are answered.
pub(super) async fn serve(router: Router, mut dealt: mpsc::Receiver<Accepted>, stop: CancellationToken) {
    let router = router.layer(DefaultBodyLimit::max(limits::ADMIN_BODY_BYTES_MAX));
    let connections = Tasks::default();
    while let Some(Some(accepted)) = stop.run_until_cancelled(dealt.recv()).await {
        match accepted.socket.register() {
            Ok(stream) => {
                let permit = accepted.permit;
                let serving = serve_connection(router.clone(), stream, stop.clone());
                connections.spawn("admin-connection", async move {
                    serving.await;
                    drop(permit);
                });
            }
            Err(cause) => tracing::warn!(%cause, "an administrator's connection was lost"),
        }
    }
    connections.ended().await;
}

async fn serve_connection(router: Router, stream: Stream, stop: CancellationToken) {
    let service = service_fn(move |request| answer(router.clone(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::ADMIN_DEADLINE)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(cause) = ended {
        tracing::debug!(%cause, "an administrator's connection ended early");
    }
}

async fn answer(router: Router, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let answered = tokio::time::timeout(limits::ADMIN_DEADLINE, router.oneshot(request)).await;
    answered.unwrap_or_else(|_| Ok(StatusCode::GATEWAY_TIMEOUT.into_response()))
}
