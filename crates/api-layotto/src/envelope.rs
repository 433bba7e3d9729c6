//! Events as brokers carry them: CloudEvents 1.0, structured mode, one JSON object each (spec 4.2, 4.3, 4.5).
//!
//! | content type, without its parameters and in any case | published as | delivered as |
//! |---|---|---|
//! | `application/json` | `data`: the value, digit for digit | the value without the white space around its parts; `null`: nothing |
//! | the same, and no JSON | `data`: the text as a JSON string | that JSON string, with its quotes |
//! | `application/octet-stream` | `data_base64` | the bytes |
//! | `application/cloudevents+json` | the object itself is the envelope | by its `datacontenttype` |
//! | anything else, or none | `data`: the text | the text |
//! | anything but JSON that is not UTF-8 | `data_base64` | the bytes |
//!
//! `data_base64` is delivered as bytes whatever the content type, and a value that is no text, under a content type that
//! is not JSON, as its JSON text.
//!
//! Where the reference goes wrong we don't follow: it rounds JSON numbers, loses data of unusual content types, writes
//! bytes that are no UTF-8 into JSON, and dies of envelopes without `id` or `datacontenttype`; those are refused here, when
//! they are published.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use base::Timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;
use wire::layotto as pb;

mod attributes;

#[cfg(test)]
mod tests;

use attributes::Attributes;

const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";
const CLOUD_EVENT: &str = "application/cloudevents+json";

/// Request metadata: for how many seconds the event is of use.
const TTL: &str = "ttlInSeconds";

/// An envelope, and when it expires.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) envelope: Bytes,
    pub(crate) expires_at: Option<Timestamp>,
}

/// What is in an envelope.
#[derive(Debug, PartialEq)]
pub(crate) enum Opened {
    Event(Box<pb::TopicEventRequest>),
    /// Its time is over: nobody wants it any more.
    Expired,
}

/// Why an envelope makes no event, in words that hold none of its values.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) String);

/// Puts what is published into an envelope. An error says why a payload that is to be the envelope is none.
pub(crate) fn seal(request: &pb::PublishEventRequest, now: Timestamp) -> Result<Sealed, Unreadable> {
    let expires_at = ttl(&request.metadata).map(|ttl| now.plus(ttl));
    let expiration = expires_at.map(rfc3339);
    let envelope = match media_type(&request.data_content_type) {
        media if media.eq_ignore_ascii_case(CLOUD_EVENT) => {
            attributes::reseal(request, expiration.as_deref())?
        }
        media => write(request, media, expiration.as_deref()),
    };
    Ok(Sealed {
        envelope: envelope.into(),
        expires_at,
    })
}

/// Takes an event out of its envelope. `topic` and `pubsub` are where it was read, not what it says of itself.
pub(crate) fn open(
    pubsub: &str,
    topic: &str,
    envelope: &Bytes,
    now: Timestamp,
) -> Result<Opened, Unreadable> {
    let text = std::str::from_utf8(envelope).map_err(|_| Unreadable("it is not UTF-8".to_owned()))?;
    let attributes = Attributes::parse(text)?;
    if attributes.expires_at()?.is_some_and(|at| at <= now) {
        return Ok(Opened::Expired);
    }
    let data_content_type = attributes.text("datacontenttype", attributes.data_content_type)?;
    let data = match attributes.data_base64 {
        Some(data) => decode(&attributes.text("data_base64", Some(data))?)?,
        None => data(envelope, &data_content_type, attributes.data)?,
    };
    Ok(Opened::Event(Box::new(pb::TopicEventRequest {
        id: attributes.text("id", attributes.id)?.into_owned(),
        source: attributes.text("source", attributes.source)?.into_owned(),
        r#type: attributes.text("type", attributes.kind)?.into_owned(),
        spec_version: attributes
            .text("specversion", attributes.spec_version)?
            .into_owned(),
        data_content_type: data_content_type.into_owned(),
        topic: topic.to_owned(),
        data,
        pubsub_name: pubsub.to_owned(),
        metadata: HashMap::new(),
    })))
}

/// What ordinary envelopes begin with.
#[derive(Serialize)]
struct Head<'a> {
    id: &'a str,
    specversion: &'static str,
    datacontenttype: &'a str,
    source: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    topic: &'a str,
    pubsubname: &'a str,
    traceid: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

fn write(request: &pb::PublishEventRequest, media: &str, expiration: Option<&str>) -> Vec<u8> {
    let content_type = match request.data_content_type.as_str() {
        "" => "text/plain",
        given => given,
    };
    let data = content(media, &request.data);
    let data_base64 = data.is_none().then(|| BASE64.encode(&request.data));
    let mut id = Uuid::encode_buffer();
    let head = Head {
        id: Uuid::new_v4().hyphenated().encode_lower(&mut id),
        specversion: "1.0",
        datacontenttype: content_type,
        source: "runtime",
        kind: "com.runtime.event.sent",
        topic: &request.topic,
        pubsubname: &request.pubsub_name,
        traceid: "",
        expiration,
        data_base64,
        data,
    };
    let mut envelope = Vec::with_capacity(320 + request.data.len() + request.data.len() / 8);
    serde_json::to_writer(&mut envelope, &head).expect("texts and JSON can be written to memory");
    envelope
}

/// `None`: bytes.
fn content<'a>(media: &str, data: &'a [u8]) -> Option<Data<'a>> {
    if media.eq_ignore_ascii_case(BINARY) {
        return None;
    }
    let text = std::str::from_utf8(data).ok()?;
    if media.eq_ignore_ascii_case(JSON)
        && let Ok(value) = serde_json::from_str::<&RawValue>(text)
    {
        return Some(Data::Json(value));
    }
    Some(Data::Text(text))
}

fn data(envelope: &Bytes, content_type: &str, value: Option<&RawValue>) -> Result<Bytes, Unreadable> {
    let Some(value) = value else {
        return Ok(Bytes::new());
    };
    let is_json = media_type(content_type).eq_ignore_ascii_case(JSON);
    if is_json || !value.get().starts_with('"') {
        return Ok(match compact(value.get()) {
            Cow::Borrowed(text) => envelope.slice_ref(text.as_bytes()),
            Cow::Owned(text) => text.into(),
        });
    }
    Ok(match attributes::unquote("data", value)? {
        Cow::Borrowed(text) => envelope.slice_ref(text.as_bytes()),
        Cow::Owned(text) => text.into(),
    })
}

fn decode(base64: &str) -> Result<Bytes, Unreadable> {
    let decoded = BASE64.decode(base64);
    decoded
        .map(Bytes::from)
        .map_err(|_| Unreadable("data_base64 is not base64".to_owned()))
}

/// JSON without white space between its parts. What is in strings stays, numbers and the order of keys as well.
fn compact(json: &str) -> Cow<'_, str> {
    let is_space = |byte: u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    if !json.bytes().any(is_space) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len());
    let (mut in_string, mut escaped, mut kept_from) = (false, false, 0);
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if !in_string && is_space(byte) => {
                out.push_str(&json[kept_from..at]);
                kept_from = at + 1;
            }
            _ => (),
        }
    }
    out.push_str(&json[kept_from..]);
    Cow::Owned(out)
}

/// A content type without its parameters.
fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().map(str::trim).unwrap_or_default()
}

/// What is no positive number is no time to live, as with the reference.
fn ttl(metadata: &HashMap<String, String>) -> Option<Duration> {
    let seconds: u64 = metadata.get(TTL)?.parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// In whole seconds, UTC. What is beyond the year 9999 ends with it.
fn rfc3339(at: Timestamp) -> String {
    let seconds = i64::try_from(at.0 / 1_000).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_second(seconds.min(LAST_SECOND));
    at.expect("it is not behind the last second").to_string()
}

/// 9999-12-30T22:00:00Z, the last time that the calendar can tell in every zone.
const LAST_SECOND: i64 = 253_402_207_200;
