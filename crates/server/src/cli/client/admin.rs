//! Questions to the admin listener, over HTTP.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::HOST;
use hyper_util::rt::TokioIo;

use super::Failure;
use super::failure::root;
use super::place::{Place, Target};

/// Longest that a question may take.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest answer that is read, bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// The body of a good answer.
pub(super) async fn get(place: &Place, path: &str) -> Result<Bytes, Failure> {
    let asked = tokio::time::timeout(ANSWER_TIMEOUT, ask(&place.target, path)).await;
    let asked = asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    match asked {
        Ok((true, body)) => Ok(body),
        Ok((false, _)) => Err(Failure::not_running(
            place,
            format_args!("it does not know {path}"),
        )),
        Err(cause) => Err(Failure::not_running(place, root(&cause))),
    }
}

/// Whether the answer is a good one, and its body.
pub(super) async fn ask(target: &Target, path: &str) -> io::Result<(bool, Bytes)> {
    let stream = TokioIo::new(target.dial().await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(io::Error::other)?;
    // It ends with the sender.
    drop(base::task::spawn("admin connection", connection));
    let request = hyper::Request::get(path)
        .header(HOST, "belay")
        .body(Empty::<Bytes>::new())
        .expect("the paths are our own");
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let good = response.status().is_success();
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    Ok((good, body.map_err(io::Error::other)?.to_bytes()))
}
