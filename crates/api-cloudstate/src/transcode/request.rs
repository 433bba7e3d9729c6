//! An HTTP request becomes the encoded input message of a method (spec 2.4, and 0.2 for what is refused).
//!
//! | rule's body | body of the request          | query      | path                  |
//! |-------------|------------------------------|------------|-----------------------|
//! | `*`         | JSON, the message            | not read   | overwrites            |
//! | a field     | JSON, that field             | the others | overwrites            |
//! | none        | not read                     | all fields | overwrites            |
//!
//! Where the body is a `google.api.HttpBody`, it is taken as it is, with its content type. Everything that does not fit is 400
//! with a reason.

use std::collections::HashSet;

use bytes::Bytes;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value};

use super::http_body::{HttpBody, is_http_body};
use super::router::Match;
use super::rule::Body;
use super::{DEPTH_MAX, Refused, json, text};

/// What of a request is not its verb and path. The caller limits the size of the body.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Request<'r> {
    pub(crate) query: Option<&'r str>,
    pub(crate) content_type: Option<&'r str>,
    pub(crate) body: &'r [u8],
}

/// The encoded input message.
pub(crate) fn message(found: &Match, request: &Request<'_>) -> Result<Bytes, Refused> {
    let rule = &found.route.rule;
    let mut message = from_body(&rule.body, &found.route.method.input, request)?;
    if rule.body != Body::Message {
        let query = Query {
            body: &rule.body,
            given: HashSet::new(),
        };
        query.fill(&mut message, request.query.unwrap_or_default())?;
    }
    for (field, raw) in rule.variables.iter().zip(&found.values) {
        let refused = |reason: &str| Refused::request(format!("path variable {}: {reason}", field.name()));
        let text = text::form_decoded(raw).ok_or_else(|| refused("it is no UTF-8"))?;
        let value = text::value(&field.kind(), &text).map_err(|reason| refused(&reason))?;
        set(&mut message, field, value)?;
    }
    Ok(message.encode_to_vec().into())
}

fn set(message: &mut DynamicMessage, field: &FieldDescriptor, value: Value) -> Result<(), Refused> {
    message
        .try_set_field(field, value)
        .map_err(|error| Refused::request(error.to_string()))
}

fn from_body(
    body: &Body,
    input: &MessageDescriptor,
    request: &Request<'_>,
) -> Result<DynamicMessage, Refused> {
    match body {
        Body::Ignored => Ok(DynamicMessage::new(input.clone())),
        Body::Message if is_http_body(input) => raw_body(input, request),
        Body::Message => {
            let value = json_body(request)?;
            json::message(input, &value).map_err(Refused::request)
        }
        Body::Field(field) => match field.kind() {
            Kind::Message(message) if is_http_body(&message) => {
                let mut outer = DynamicMessage::new(input.clone());
                let inner = raw_body(&message, request)?;
                set(&mut outer, field, Value::Message(inner))?;
                Ok(outer)
            }
            _ => {
                let value = json_body(request)?;
                let outer = [(field.json_name().to_owned(), value)];
                let outer = serde_json::Value::Object(outer.into_iter().collect());
                json::message(input, &outer).map_err(Refused::request)
            }
        },
    }
}

fn raw_body(of: &MessageDescriptor, request: &Request<'_>) -> Result<DynamicMessage, Refused> {
    let body = HttpBody {
        content_type: request.content_type.unwrap_or_default().to_owned(),
        data: Bytes::copy_from_slice(request.body),
    };
    DynamicMessage::decode(of.clone(), body.encode_to_vec().as_slice())
        .map_err(|error| Refused::request(error.to_string()))
}

fn json_body(request: &Request<'_>) -> Result<serde_json::Value, Refused> {
    let Some(content_type) = request.content_type else {
        return Err(Refused::request("content type application/json is needed"));
    };
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Refused::request(format!(
            "content type {content_type:?} is not application/json"
        )));
    }
    json::parse(request.body).map_err(Refused::request)
}

/// Query parameters; those of repeated fields may repeat.
struct Query<'r> {
    body: &'r Body,
    /// Single fields that had their value, by the numbers on the way to them.
    given: HashSet<Vec<u32>>,
}

impl Query<'_> {
    fn fill(mut self, message: &mut DynamicMessage, query: &str) -> Result<(), Refused> {
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let (Some(name), Some(value)) = (text::form_decoded(name), text::form_decoded(value)) else {
                return Err(Refused::request(format!(
                    "query parameter {name}: it is no UTF-8"
                )));
            };
            self.put(message, &name, &value)
                .map_err(|reason| Refused::request(format!("query parameter {name}: {reason}")))?;
        }
        Ok(())
    }

    fn put(&mut self, message: &mut DynamicMessage, name: &str, value: &str) -> Result<(), String> {
        let (outer, last) = name
            .rsplit_once('.')
            .map_or(("", name), |(outer, last)| (outer, last));
        let mut way = vec![];
        let mut message = message;
        for name in outer.split('.').filter(|_| !outer.is_empty()) {
            let field = self.step(message, name, &mut way)?;
            let holds_fields =
                matches!(field.kind(), Kind::Message(_)) && !field.is_list() && !field.is_map();
            message = match message.get_field_mut(&field).as_message_mut() {
                Some(inner) if holds_fields => inner,
                _ => return Err(format!("{name} is no single message")),
            };
        }
        let field = self.step(message, last, &mut way)?;
        if field.is_map() {
            return Err("a map cannot stand in a query".into());
        }
        let value = text::value(&field.kind(), value)?;
        if field.is_list() {
            let list = message.get_field_mut(&field).as_list_mut();
            list.ok_or("it is no list")?.push(value);
            return Ok(());
        }
        if !self.given.insert(way) {
            return Err("it is given twice, and is not repeated".into());
        }
        message
            .try_set_field(&field, value)
            .map_err(|error| error.to_string())
    }

    /// The field of a message by either name.
    fn step(&self, of: &DynamicMessage, name: &str, way: &mut Vec<u32>) -> Result<FieldDescriptor, String> {
        let message = of.descriptor();
        let field = message.get_field_by_name(name);
        let field = field.or_else(|| message.get_field_by_json_name(name));
        let field = field.ok_or_else(|| format!("{} has no such field", message.full_name()))?;
        if way.is_empty() && matches!(self.body, Body::Field(body) if *body == field) {
            return Err("the request's body is this field".into());
        }
        if way.len() >= DEPTH_MAX {
            return Err(format!("it nests more than {DEPTH_MAX} deep"));
        }
        way.push(field.number());
        Ok(field)
    }
}

#[cfg(test)]
mod tests;
