//! An encoded output message becomes an HTTP answer: JSON, or the bytes of a `google.api.HttpBody` (spec 2.4).
//!
//! With `response_body` it is that field alone, by the same rules as a whole message; the reference prints such fields
//! differently.

use std::borrow::Cow;

use bytes::Bytes;
use prost::Message;
use prost_reflect::{DynamicMessage, Kind, Value};

use super::http_body::{HttpBody, is_http_body};
use super::router::Route;
use super::{Refused, printer};

pub(crate) const JSON: &str = "application/json";
pub(crate) const EVENT_STREAM: &str = "text/event-stream";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) content_type: Cow<'static, str>,
    pub(crate) body: Bytes,
}

/// Of one output message. What cannot be printed is the user function's fault: 500.
pub(crate) fn answer(route: &Route, payload: &[u8]) -> Result<Answer, Refused> {
    let output = &route.method.output;
    let name = output.full_name();
    let unread = |error| Refused::answer(format!("the answer is no {name}: {error}"));
    if is_http_body(output) && route.rule.response_body.is_none() {
        return HttpBody::decode(payload).map(raw).map_err(unread);
    }
    let message = DynamicMessage::decode(output.clone(), payload).map_err(unread)?;
    let printed = match &route.rule.response_body {
        None => printer::message(&message),
        Some(field) => match (field.kind(), message.get_field(field).as_ref()) {
            (Kind::Message(of), Value::Message(body)) if is_http_body(&of) => {
                return body.transcode_to().map(raw).map_err(unread);
            }
            _ => printer::field(&message, field),
        },
    };
    let printed = printed.map_err(|error| Refused::answer(format!("{name} has no JSON: {error}")))?;
    Ok(Answer {
        content_type: JSON.into(),
        body: printed.into(),
    })
}

fn raw(body: HttpBody) -> Answer {
    Answer {
        content_type: body.content_type.into(),
        body: body.data,
    }
}

/// One message of a stream of server-sent events. JSON has no line ends of its own.
pub(crate) fn event(json: &[u8]) -> Bytes {
    [b"data:", json, b"\n\n"].concat().into()
}

/// One message of a stream of JSON, an object a line.
pub(crate) fn line(json: &[u8]) -> Bytes {
    [json, b"\n"].concat().into()
}

#[cfg(test)]
mod tests;
