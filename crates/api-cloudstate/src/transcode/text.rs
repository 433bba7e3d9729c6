//! Values as text, as they stand in paths and queries.
//!
//! | type                          | text                                    |
//! |-------------------------------|-----------------------------------------|
//! | integers, floats              | decimal; `NaN`, `Infinity`, `-Infinity` |
//! | bool                          | `true`, `false`                         |
//! | string                        | itself                                  |
//! | bytes                         | base64, either alphabet, padded or not  |
//! | enum                          | name or number                          |
//! | wrappers                      | what they wrap                          |
//! | timestamp, duration, field mask | their JSON string                     |

use std::str::FromStr;

use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;
use prost_reflect::{DynamicMessage, EnumDescriptor, Kind, MessageDescriptor, Value};
use serde::de::IntoDeserializer;
use serde::de::value::{Error, StrDeserializer};

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// As forms encode: `+` is a space. `None`: it is no UTF-8.
pub(crate) fn form_decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// The error says what the text is not.
pub(crate) fn value(kind: &Kind, text: &str) -> Result<Value, String> {
    match kind {
        Kind::String => Ok(Value::String(text.to_owned())),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => number(text, Value::I32, "a 32-bit integer"),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => number(text, Value::I64, "a 64-bit integer"),
        Kind::Uint32 | Kind::Fixed32 => number(text, Value::U32, "an unsigned 32-bit integer"),
        Kind::Uint64 | Kind::Fixed64 => number(text, Value::U64, "an unsigned 64-bit integer"),
        Kind::Float => number(text, Value::F32, "a number"),
        Kind::Double => number(text, Value::F64, "a number"),
        Kind::Bool => number(text, Value::Bool, "true or false"),
        Kind::Bytes => bytes(text),
        Kind::Enum(values) => enum_value(values, text),
        Kind::Message(message) => message_value(message, text),
    }
}

/// What Rust's own parser knows; it takes the names of infinite numbers too.
fn number<N: FromStr>(text: &str, value: impl Fn(N) -> Value, expected: &str) -> Result<Value, String> {
    text.parse().map(value).map_err(|_| unlike(text, expected))
}

fn unlike(text: &str, expected: &str) -> String {
    format!("{text:?} is not {expected}")
}

fn bytes(text: &str) -> Result<Value, String> {
    let standard = GeneralPurpose::new(&STANDARD, LENIENT).decode(text);
    let decoded = standard.or_else(|_| GeneralPurpose::new(&URL_SAFE, LENIENT).decode(text));
    let decoded = decoded.map_err(|_| unlike(text, "base64"))?;
    Ok(Value::Bytes(decoded.into()))
}

fn enum_value(values: &EnumDescriptor, text: &str) -> Result<Value, String> {
    let named = values.get_value_by_name(text).map(|value| value.number());
    let number = named.or_else(|| text.parse().ok());
    let number = number.ok_or_else(|| unlike(text, &format!("a value of {}", values.full_name())))?;
    Ok(Value::EnumNumber(number))
}

fn message_value(message: &MessageDescriptor, text: &str) -> Result<Value, String> {
    let name = message.full_name();
    if is_wrapper(name)
        && let Some(wrapped) = message.get_field(1)
    {
        let mut wrapper = DynamicMessage::new(message.clone());
        let inner = value(&wrapped.kind(), text)?;
        wrapper
            .try_set_field(&wrapped, inner)
            .map_err(|error| error.to_string())?;
        return Ok(Value::Message(wrapper));
    }
    if !is_written_as_string(name) {
        return Err(format!("{name} has no text: name a field of it"));
    }
    let text: StrDeserializer<'_, Error> = text.into_deserializer();
    let parsed = DynamicMessage::deserialize(message.clone(), text);
    let parsed = parsed.map_err(|error| format!("it is no {name}: {error}"))?;
    Ok(Value::Message(parsed))
}

/// Messages of a single field that stand for it in JSON.
pub(crate) fn is_wrapper(message: &str) -> bool {
    matches!(
        message,
        "google.protobuf.DoubleValue"
            | "google.protobuf.FloatValue"
            | "google.protobuf.Int64Value"
            | "google.protobuf.UInt64Value"
            | "google.protobuf.Int32Value"
            | "google.protobuf.UInt32Value"
            | "google.protobuf.BoolValue"
            | "google.protobuf.StringValue"
            | "google.protobuf.BytesValue"
    )
}

/// Messages whose JSON is a string of its own form.
pub(crate) fn is_written_as_string(message: &str) -> bool {
    matches!(
        message,
        "google.protobuf.Timestamp" | "google.protobuf.Duration" | "google.protobuf.FieldMask"
    )
}
