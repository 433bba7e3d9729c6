//! HTTP/1.1 and HTTP/2 (prior knowledge) for applications: one listener on one runtime.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};
use base::limits::HTTP_BUFFER_BYTES_MIN;
use base::{Result, task::Tasks};
use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Limits;
use super::connection::{Accepted, Stream};

/// Answers requests, each for as long as it takes.
#[derive(Clone)]
pub struct Web(pub Arc<dyn Fn(Request<Body>) -> BoxFuture<'static, Response<Body>> + Send + Sync>);

/// Serves what is dealt here until the drain begins and the requests in flight are answered.
pub(super) async fn serve(
    web: Web,
    limits: Limits,
    mut dealt: mpsc::Receiver<Accepted>,
    drain: CancellationToken,
) -> Result<()> {
    let connections = Tasks::default();
    while let Some(Some(accepted)) = drain.run_until_cancelled(dealt.recv()).await {
        match accepted.socket.register() {
            Ok(stream) => {
                let permit = accepted.permit;
                let serving = serve_connection(web.clone(), limits.clone(), stream, drain.clone());
                connections.spawn("web-connection", async move {
                    serving.await;
                    drop(permit);
                });
            }
            Err(cause) => tracing::warn!(%cause, "a connection was lost"),
        }
    }
    connections.ended().await;
    Ok(())
}

async fn serve_connection(web: Web, limits: Limits, stream: Stream, drain: CancellationToken) {
    if let Stream::Tcp(stream) = &stream {
        drop(stream.set_nodelay(true));
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = (web.0)(request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.keep_alive.interval)
        .max_buf_size(limits.header_list_bytes_max.max(HTTP_BUFFER_BYTES_MIN) as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.keep_alive.interval)
        .keep_alive_timeout(limits.keep_alive.timeout)
        .max_concurrent_streams(limits.streams_per_connection_max)
        .max_header_list_size(limits.header_list_bytes_max);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drain.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(cause) = ended {
        tracing::debug!(cause, "a connection ended early");
    }
}
