//! What a payload is as JSON.
//!
//! | type | then |
//! |---|---|
//! | `json.cloudstate.io/...` | the JSON in its only field |
//! | `p.cloudstate.io/string`, `int32`, ... | the value in its only field |
//! | anything else | the message of that name, as the user function describes it that keeps its entities there |

use std::sync::Arc;

use machines::entity::rows::Payload;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde::de::IgnoredAny;

use crate::catalog::Now;
use crate::spec::Spec;
use crate::transcode::printer;

const JSON: &str = "json.cloudstate.io/";
const PRIMITIVE: &str = "p.cloudstate.io/";

/// `None`: it is not known, or not what its type says.
pub(super) fn of(payload: &Payload, persistence_id: &str, served: &Now) -> Option<String> {
    if payload.type_url.starts_with(JSON) {
        return embedded(&payload.value);
    }
    let descriptor = match payload.type_url.strip_prefix(PRIMITIVE) {
        Some(name) => DescriptorPool::global().get_message_by_name(wrapper(name)?),
        None => described(payload, persistence_id, served),
    };
    let message = DynamicMessage::decode(descriptor?, &payload.value[..]).ok()?;
    String::from_utf8(printer::message(&message).ok()?).ok()
}

fn embedded(value: &[u8]) -> Option<String> {
    let wrapped: Vec<u8> = prost::Message::decode(value).ok()?;
    serde_json::from_slice::<IgnoredAny>(&wrapped).ok()?;
    String::from_utf8(wrapped).ok()
}

/// The message that has such a value in its field 1.
fn wrapper(primitive: &str) -> Option<&'static str> {
    Some(match primitive {
        "string" => "google.protobuf.StringValue",
        "bytes" => "google.protobuf.BytesValue",
        "bool" => "google.protobuf.BoolValue",
        "int32" => "google.protobuf.Int32Value",
        "int64" => "google.protobuf.Int64Value",
        "float" => "google.protobuf.FloatValue",
        "double" => "google.protobuf.DoubleValue",
        _ => return None,
    })
}

fn described(payload: &Payload, persistence_id: &str, served: &Now) -> Option<MessageDescriptor> {
    let (_, name) = payload.type_url.rsplit_once('/')?;
    let keeps = |spec: &&Arc<Spec>| spec.services.iter().any(|service| service.keeps(persistence_id));
    let mut specs = served.specs().filter(keeps);
    specs.find_map(|spec| spec.descriptors.message(name))
}
