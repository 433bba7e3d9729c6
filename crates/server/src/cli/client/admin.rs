//! Questions to the admin listener, over HTTP.

use std::io;
use std::time::Duration;

use base::{Error, codes};
use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::root;
use super::place::{Place, Target};
use super::{Common, Failure};
use crate::cli::{Exit, Report};

/// Longest that a question may take.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest that a change may take: Belay may have to ask others.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest answer that is read, bytes.
const BODY_BYTES_MAX: usize = 128 << 20;

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
    let (status, body) = send(target, Method::GET, path, Bytes::new()).await?;
    Ok(((200..300).contains(&status), body))
}

async fn send(target: &Target, method: Method, path: &str, body: Bytes) -> io::Result<(u16, Bytes)> {
    let stream = TokioIo::new(target.dial().await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
        .await
        .map_err(io::Error::other)?;
    // It ends with the sender.
    drop(base::task::spawn("admin connection", connection));
    let request = hyper::Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, "belay")
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .body(Full::new(body))
        .map_err(io::Error::other)?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
    Ok((status, body.map_err(io::Error::other)?.to_bytes()))
}

/// What commands over the admin API take.
#[derive(Debug, Args)]
pub(super) struct Admin {
    /// Where its admin listener is: host:port or unix:/path. Default: what the data directory says, else 127.0.0.1:9070.
    #[arg(long, value_name = "ADDRESS", env = "BELAY_ADMIN_ADDRESS")]
    admin: Option<Target>,
    #[command(flatten)]
    pub(super) common: Common,
}

impl Admin {
    /// The answer's JSON; null if it has none.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failure> {
        let place = self.common.place.admin(self.admin.as_ref())?;
        let body = body.map_or_else(Bytes::new, |body| body.to_string().into());
        let asked = tokio::time::timeout(CHANGE_TIMEOUT, send(&place.target, method, path, body)).await;
        let asked = asked.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let (status, body) = asked.map_err(|cause| Failure::not_running(&place, root(&cause)))?;
        let json: Value = serde_json::from_slice(&body).unwrap_or_default();
        if (200..300).contains(&status) {
            return Ok(json);
        }
        let message = json["message"]
            .as_str()
            .map_or_else(|| format!("it answered {status}"), str::to_owned);
        let mut report = Report::uncoded(&message).fact("asked", format_args!("{path} on {}", place.target));
        if let Some(code) = json["restate_code"].as_str() {
            report = report.fact("restate", code);
        }
        Err(Failure::new(report, Exit::Failed))
    }
}

/// What an answer says.
pub(super) fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Failure> {
    T::deserialize(value).map_err(|cause| {
        let message = format!("the answer is not one of this version's: {cause}");
        Failure::new(Report::of(&Error::new(codes::INTERNAL, message)), Exit::Failed)
    })
}
