//! Messages as JSON (spec 2.4): lowerCamelCase names, defaults included, no whitespace, fields by number.
//!
//! | value                                   | JSON                                              |
//! |-----------------------------------------|---------------------------------------------------|
//! | message field or oneof that is not set  | left out                                          |
//! | 64-bit integer                          | a string                                          |
//! | enum                                    | its name, or the number where none has it         |
//! | bytes                                   | base64                                            |
//! | float that is not finite                | `"NaN"`, `"Infinity"`, `"-Infinity"`              |
//! | map                                     | an object, sorted by key                          |
//! | `Any`                                   | the message, with `@type`; of an unknown type: `@type` and base64 as `value` |
//! | wrappers, `Timestamp`, `Struct`, ...    | their own forms                                   |
//!
//! Not prost-reflect's own printer: that one prints maps in random order, refuses an `Any` it does not know, and follows `Any`
//! within `Any` as deep as it goes.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value,
};
use serde::Serialize;

use super::{DEPTH_MAX, text};

/// The error says what has no JSON.
pub(crate) fn message(message: &DynamicMessage) -> Result<Vec<u8>, String> {
    let mut printer = Printer::default();
    printer.message(message)?;
    Ok(printer.to)
}

/// One field, as it stands in its message; what is not set is printed as its default.
pub(crate) fn field(message: &DynamicMessage, field: &FieldDescriptor) -> Result<Vec<u8>, String> {
    let mut printer = Printer::default();
    printer.value(&message.get_field(field), &field.kind())?;
    Ok(printer.to)
}

#[derive(Default)]
struct Printer {
    to: Vec<u8>,
    depth: usize,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

impl Printer {
    fn message(&mut self, message: &DynamicMessage) -> Result<(), String> {
        let of = message.descriptor();
        match of.full_name() {
            "google.protobuf.Any" => self.any(message),
            "google.protobuf.Value" if message.fields().next().is_none() => self.json(&()),
            name if text::is_wrapper(name) => match of.get_field(1) {
                Some(wrapped) => self.value(&message.get_field(&wrapped), &wrapped.kind()),
                None => Err(format!("{name} wraps nothing")),
            },
            _ if has_own_form(&of) => self.json(message),
            _ => self.object(message, None),
        }
    }

    fn any(&mut self, message: &DynamicMessage) -> Result<(), String> {
        let any: Any = message.transcode_to().map_err(|error| error.to_string())?;
        let name = any.type_url.rsplit('/').next().unwrap_or_default();
        if name.is_empty() {
            self.put("{}");
            return Ok(());
        }
        let pool = message.descriptor();
        let Some(of) = pool.parent_pool().get_message_by_name(name) else {
            return self.any_value(&any.type_url, |printer| printer.bytes(&any.value));
        };
        let inner = DynamicMessage::decode(of.clone(), any.value.as_slice())
            .map_err(|error| format!("an Any is no {name}: {error}"))?;
        let own_form = has_own_form(&of) || text::is_wrapper(name) || name == "google.protobuf.Any";
        match own_form {
            true => self.any_value(&any.type_url, |printer| {
                printer.nested(|printer| printer.message(&inner))
            }),
            false => self.object(&inner, Some(&any.type_url)),
        }
    }

    fn any_value(
        &mut self,
        type_url: &str,
        value: impl FnOnce(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        self.put("{\"@type\":");
        self.json(type_url)?;
        self.put(",\"value\":");
        value(self)?;
        self.put("}");
        Ok(())
    }

    fn object(&mut self, message: &DynamicMessage, type_url: Option<&str>) -> Result<(), String> {
        self.put("{");
        let mut comma = "";
        if let Some(type_url) = type_url {
            self.put("\"@type\":");
            self.json(type_url)?;
            comma = ",";
        }
        let of = message.descriptor();
        for field in of.fields().filter(|field| is_shown(message, field)) {
            self.put(comma);
            self.json(field.json_name())?;
            self.put(":");
            self.value(&message.get_field(&field), &field.kind())?;
            comma = ",";
        }
        self.put("}");
        Ok(())
    }

    fn value(&mut self, value: &Value, kind: &Kind) -> Result<(), String> {
        match value {
            Value::Bool(value) => self.json(value),
            Value::I32(value) => self.json(value),
            Value::U32(value) => self.json(value),
            Value::I64(value) => self.json(&value.to_string()),
            Value::U64(value) => self.json(&value.to_string()),
            Value::F32(value) if value.is_finite() => self.json(value),
            Value::F64(value) if value.is_finite() => self.json(value),
            Value::F32(value) => self.json(infinite(f64::from(*value))),
            Value::F64(value) => self.json(infinite(*value)),
            Value::String(value) => self.json(value),
            Value::Bytes(value) => self.bytes(value),
            Value::EnumNumber(number) => self.enum_value(*number, kind.as_enum()),
            Value::Message(message) => self.nested(|printer| printer.message(message)),
            Value::List(values) => self.list(values, kind),
            Value::Map(values) => {
                let mut entries: Vec<_> = values.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                self.map(&entries, kind)
            }
        }
    }

    fn enum_value(&mut self, number: i32, values: Option<&EnumDescriptor>) -> Result<(), String> {
        let is_null = values.is_some_and(|values| values.full_name() == "google.protobuf.NullValue");
        match values.and_then(|values| values.get_value(number)) {
            _ if is_null => self.json(&()),
            Some(value) => self.json(value.name()),
            None => self.json(&number),
        }
    }

    fn list(&mut self, values: &[Value], kind: &Kind) -> Result<(), String> {
        self.put("[");
        for (index, value) in values.iter().enumerate() {
            self.put(if index > 0 { "," } else { "" });
            self.value(value, kind)?;
        }
        self.put("]");
        Ok(())
    }

    fn map(&mut self, entries: &[(&MapKey, &Value)], kind: &Kind) -> Result<(), String> {
        let entry = kind.as_message().and_then(|entry| entry.get_field(2));
        let kind = entry.ok_or("a map has no values")?.kind();
        self.put("{");
        for (index, (key, value)) in entries.iter().enumerate() {
            self.put(if index > 0 { "," } else { "" });
            self.json(&key_text(key))?;
            self.put(":");
            self.value(value, &kind)?;
        }
        self.put("}");
        Ok(())
    }

    fn nested(&mut self, print: impl FnOnce(&mut Self) -> Result<(), String>) -> Result<(), String> {
        if self.depth >= DEPTH_MAX {
            return Err(format!("it nests more than {DEPTH_MAX} deep"));
        }
        self.depth += 1;
        let printed = print(self);
        self.depth -= 1;
        printed
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.json(&BASE64_STANDARD.encode(bytes))
    }

    fn json(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), String> {
        serde_json::to_writer(&mut self.to, value).map_err(|error| error.to_string())
    }

    fn put(&mut self, text: &str) {
        self.to.extend_from_slice(text.as_bytes());
    }
}

/// Scalars, lists and maps are always shown; single messages and members of oneofs when they are set.
fn is_shown(message: &DynamicMessage, field: &FieldDescriptor) -> bool {
    let has_default = field.is_list() || field.is_map() || !matches!(field.kind(), Kind::Message(_));
    message.has_field(field) || (has_default && field.containing_oneof().is_none())
}

/// Those whose JSON is not an object of their fields, and which prost-reflect prints.
fn has_own_form(message: &MessageDescriptor) -> bool {
    let name = message.full_name();
    let structs = [
        "google.protobuf.Struct",
        "google.protobuf.Value",
        "google.protobuf.ListValue",
    ];
    text::is_written_as_string(name) || structs.contains(&name)
}

fn infinite(value: f64) -> &'static str {
    match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}
