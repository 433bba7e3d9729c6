//! An HTTP service that tells what it was asked.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// Answers `METHOD PATH` as header `asked`, and the body with its content type.
pub struct Echo {
    pub address: String,
    serving: tokio::task::JoinHandle<()>,
}

impl Echo {
    pub async fn serve() -> Echo {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        #[allow(clippy::disallowed_methods, reason = "the test holds its handle and ends it")]
        let serving = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                connections.spawn(async move { drop(connection.await) });
            }
        });
        Echo { address, serving }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// | path | answer |
/// |---|---|
/// | `/asked` | `METHOD URI`, as text |
/// | `/heard/NAME` | that header of the request, as text |
/// | `/status/NNN` | that status, and `no such thing` |
/// | any other | the request's body, under its content type |
///
/// Below any prefix: `/hello/asked` is `/asked`.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let asked = format!("{} {}", request.method(), request.uri());
    let mut parts = path.rsplit('/');
    let (last, before) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if last == "asked" {
        return Ok(text(200, asked));
    }
    match before {
        "heard" => {
            let heard = request.headers().get(last).map(|value| value.as_bytes().to_vec());
            Ok(text(200, heard.unwrap_or_default()))
        }
        "status" => Ok(text(last.parse().unwrap_or(500), "no such thing")),
        _ => Ok(echo(request, &asked).await),
    }
}

fn text(status: u16, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let response = Response::builder()
        .status(status)
        .header("content-type", "text/plain");
    response.body(Full::new(text.into())).expect("a response")
}

async fn echo(request: Request<Incoming>, asked: &str) -> Response<Full<Bytes>> {
    let content_type = request.headers().get("content-type").cloned();
    let body = request
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
        .unwrap_or_default();
    let mut response = Response::new(Full::new(body));
    response
        .headers_mut()
        .insert("asked", asked.parse().expect("a header"));
    if let Some(content_type) = content_type {
        response.headers_mut().insert("content-type", content_type);
    }
    response
}
