//! The user's services in HTTP/JSON.

use axum::body::Body;
use base::limits;
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};

use super::grpc::Call;
use super::{metadata, text};
use crate::action;
use crate::error::Refusal;
use crate::routing::{Answer, Ask, Router, Way};
use crate::transcode::router::{Match, Route};
use crate::transcode::{self, Refused};

pub(super) async fn answer(router: &Router, found: Match, request: Request<Body>) -> Response<Body> {
    match serve(router, found, request).await {
        Ok(response) => response,
        Err(Failed::Refused(refused)) => {
            let status = StatusCode::from_u16(refused.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            text(status, refused.message)
        }
        Err(Failed::Refusal(refusal)) => text(refusal.http(), refusal.text()),
    }
}

/// Nothing else in the body than why.
enum Failed {
    Refused(Refused),
    Refusal(Refusal),
}

impl From<Refused> for Failed {
    fn from(refused: Refused) -> Failed {
        Failed::Refused(refused)
    }
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Failed {
        Failed::Refusal(refusal)
    }
}

async fn serve(router: &Router, found: Match, request: Request<Body>) -> Result<Response<Body>, Failed> {
    let (head, body) = request.into_parts();
    let body = read(body).await?;
    let header = |name| {
        head.headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let payload = transcode::request::message(
        &found,
        &transcode::request::Request {
            query: head.uri.query(),
            content_type: header(header::CONTENT_TYPE),
            body: &body,
        },
    )?;
    let call = Call {
        router: router.clone(),
        ask: ask(router, &found.route, payload, &head.headers)?,
    };
    let wants_events =
        header(header::ACCEPT).is_some_and(|accept| accept.contains(transcode::answer::EVENT_STREAM));
    match (
        found.route.method.client_streaming,
        found.route.method.server_streaming,
    ) {
        (true, _) => Err(Refused {
            status: 501,
            message: format!(
                "{}/{} takes a stream of requests: use gRPC",
                found.route.method.service, found.route.method.name
            ),
        }
        .into()),
        (false, true) => stream(call, found, wants_events).await,
        (false, false) => {
            let answer = router.call(call.ask).await?;
            whole(&found.route, &answer)
        }
    }
}

async fn read(body: Body) -> Result<Bytes, Refused> {
    let limit = limits::FRONT_MESSAGE_BYTES_MAX;
    axum::body::to_bytes(body, limit).await.map_err(|_| Refused {
        status: 413,
        message: format!("the body did not arrive whole, or is larger than {limit} bytes"),
    })
}

fn ask(router: &Router, route: &Route, payload: Bytes, headers: &HeaderMap) -> Result<Ask, Refused> {
    let (service, method) = (&route.method.service, &route.method.name);
    let found = router.catalog().service(service);
    let found = found.and_then(|service| Some((service.methods.get(method)?.clone(), service)));
    // Between two requests of a connection a function may have come back as another one.
    let (command, service) = found.ok_or_else(|| Refused {
        status: 404,
        message: format!("{service}/{method} is not served any more"),
    })?;
    Ok(Ask {
        service,
        command,
        payload,
        metadata: metadata::of(headers),
        way: Way::default(),
    })
}

fn whole(route: &Route, answer: &Answer) -> Result<Response<Body>, Failed> {
    let Some(payload) = &answer.payload else {
        let (service, method) = (&route.method.service, &route.method.name);
        return Err(Refused {
            status: 500,
            message: format!(
                "{service}/{method}: the user function has answered with neither a reply nor a failure"
            ),
        }
        .into());
    };
    let said = transcode::answer::answer(route, payload)?;
    let mut response = Response::new(Body::from(said.body));
    metadata::put(response.headers_mut(), &answer.metadata);
    content_type(response.headers_mut(), &said.content_type);
    Ok(response)
}

fn content_type(headers: &mut HeaderMap, kind: &str) {
    if let Ok(kind) = HeaderValue::from_str(kind) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
}

/// A message for each answer: events where they are asked for, else an object on a line of its own. Raw bodies follow each other.
/// Something that fails on the way breaks the body off: the status has left.
async fn stream(call: Call, found: Match, wants_events: bool) -> Result<Response<Body>, Failed> {
    let responses = action::streamed_out(&call.ask).await?;
    let mut answers = call.answers(responses).boxed();
    let first = answers.next().await.transpose()?;
    let route = found.route;
    let kind = match &first {
        Some(answer) if !wants_events => said(&route, answer)?.content_type.into_owned(),
        _ if wants_events => transcode::answer::EVENT_STREAM.into(),
        _ => transcode::answer::JSON.into(),
    };
    let metadata = first
        .as_ref()
        .map(|answer| answer.metadata.clone())
        .unwrap_or_default();
    let raw = transcode::http_body::is_http_body(&route.method.output);
    let pieces = futures::stream::iter(first.map(Ok))
        .chain(answers)
        .map(move |answer| {
            let said = said(&route, &answer.map_err(|refusal| refusal.text())?)
                .map_err(|refused| refused.message)?;
            Ok::<_, String>(match (wants_events, raw) {
                (true, _) => transcode::answer::event(&said.body),
                (false, true) => said.body,
                (false, false) => transcode::answer::line(&said.body),
            })
        });
    let mut response = Response::new(Body::from_stream(
        pieces.map(|piece| piece.map_err(std::io::Error::other)),
    ));
    metadata::put(response.headers_mut(), &metadata);
    content_type(response.headers_mut(), &kind);
    Ok(response)
}

fn said(route: &Route, answer: &Answer) -> Result<transcode::answer::Answer, Refused> {
    transcode::answer::answer(route, answer.payload.as_deref().unwrap_or_default())
}
