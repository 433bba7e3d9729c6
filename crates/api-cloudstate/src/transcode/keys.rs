//! The entity id of a command, from its encoded payload.
//!
//! | key field            | its text (spec 2.5)                                    |
//! |----------------------|--------------------------------------------------------|
//! | string               | itself                                                 |
//! | any integer          | decimal                                                |
//! | bool                 | `true`, `false`                                        |
//! | enum                 | the name, or the number where none has it              |
//! | not set              | that of the default                                    |
//! | float, bytes, message, repeated, map | refused when services are discovered   |
//!
//! Several are joined by `-` in the order of their declaration. Nothing escapes the dash: databases are shared with proxies that
//! do the same.

use std::fmt;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind, Value};

use super::descriptors::Method;
use super::wire::{self, Raw};

/// The fields that make the entity id of a method's input; at least one.
#[derive(Clone, Debug)]
pub(crate) struct Keys(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    name: String,
    number: u32,
    text: Text,
    /// Where the field is not set.
    default: String,
    /// Other fields of the same oneof: each of them unsets this one.
    rivals: Vec<u32>,
}

/// How the value becomes text.
#[derive(Clone, Debug)]
enum Text {
    String,
    /// `int32`: the wire has 64 bits of it.
    Int32,
    Int64,
    Uint32,
    Uint64,
    Zigzag32,
    Zigzag64,
    Fixed32,
    Fixed64,
    SignedFixed32,
    SignedFixed64,
    Bool,
    Enum(EnumDescriptor),
}

/// Why there is no entity id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoId {
    /// The name of the key field that is empty.
    Empty(String),
    /// The name of the key field that cannot be read; none where it is the message.
    Malformed(Option<String>),
}

impl fmt::Display for NoId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty(field) => write!(f, "entity key field {field} is empty"),
            Self::Malformed(Some(field)) => write!(f, "entity key field {field} cannot be read"),
            Self::Malformed(None) => f.write_str("the payload is no protobuf message"),
        }
    }
}

impl std::error::Error for NoId {}

impl Keys {
    /// Checked when services are discovered. The error names the method and is what people are told.
    pub(crate) fn of(method: &Method) -> Result<Self, String> {
        let at = |reason: String| format!("{}.{}: {reason}", method.service, method.name);
        if method.key_fields.is_empty() {
            let input = method.input.full_name();
            return Err(at(format!("no field of {input} is marked as entity key")));
        }
        let keys = method.key_fields.iter().map(check);
        keys.collect::<Result<_, _>>().map(Self).map_err(at)
    }

    pub(crate) fn entity_id(&self, payload: &[u8]) -> Result<String, NoId> {
        let found = self.scan(payload)?;
        let mut id = String::new();
        for (index, (key, raw)) in self.0.iter().zip(found).enumerate() {
            if index > 0 {
                id.push('-');
            }
            key.write(raw, &mut id)?;
        }
        match (id.is_empty(), self.0.first()) {
            (true, Some(key)) => Err(NoId::Empty(key.name.clone())),
            _ => Ok(id),
        }
    }

    /// The last value of each key field.
    fn scan<'a>(&self, payload: &'a [u8]) -> Result<Vec<Option<Raw<'a>>>, NoId> {
        let mut found = vec![None; self.0.len()];
        for field in wire::fields(payload) {
            let (number, raw) = field.map_err(|_| NoId::Malformed(None))?;
            for (key, found) in self.0.iter().zip(&mut found) {
                if key.number == number {
                    *found = Some(raw);
                } else if key.rivals.contains(&number) {
                    *found = None;
                }
            }
        }
        Ok(found)
    }
}

impl Key {
    fn write(&self, raw: Option<Raw<'_>>, to: &mut String) -> Result<(), NoId> {
        let Some(raw) = raw else {
            to.push_str(&self.default);
            return Ok(());
        };
        self.text
            .write(raw, to)
            .ok_or_else(|| NoId::Malformed(Some(self.name.clone())))
    }
}

impl Text {
    /// `None`: the value is none of this type.
    fn write(&self, raw: Raw<'_>, to: &mut String) -> Option<()> {
        // What is narrower than 64 bits is cut, as protobuf does.
        match (self, raw) {
            (Self::String, Raw::Bytes(bytes)) => to.push_str(str::from_utf8(bytes).ok()?),
            (Self::Int32, Raw::Varint(value)) => put(to, value as i32),
            (Self::Int64, Raw::Varint(value)) => put(to, value as i64),
            (Self::Uint32, Raw::Varint(value)) => put(to, value as u32),
            (Self::Uint64, Raw::Varint(value)) => put(to, value),
            (Self::Zigzag32, Raw::Varint(value)) => put(to, zigzag(u64::from(value as u32))),
            (Self::Zigzag64, Raw::Varint(value)) => put(to, zigzag(value)),
            (Self::Fixed32, Raw::Fixed32(bytes)) => put(to, u32::from_le_bytes(bytes)),
            (Self::SignedFixed32, Raw::Fixed32(bytes)) => put(to, i32::from_le_bytes(bytes)),
            (Self::Fixed64, Raw::Fixed64(bytes)) => put(to, u64::from_le_bytes(bytes)),
            (Self::SignedFixed64, Raw::Fixed64(bytes)) => put(to, i64::from_le_bytes(bytes)),
            (Self::Bool, Raw::Varint(value)) => put(to, value != 0),
            (Self::Enum(values), Raw::Varint(value)) => to.push_str(&enum_text(values, value as i32)),
            _ => return None,
        }
        Some(())
    }
}

fn put(to: &mut String, value: impl fmt::Display) {
    use fmt::Write;
    let _ = write!(to, "{value}");
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

fn enum_text(values: &EnumDescriptor, number: i32) -> String {
    match values.get_value(number) {
        Some(value) => value.name().to_owned(),
        None => number.to_string(),
    }
}

/// Whether a field can be a key; the error is why not.
fn check(field: &FieldDescriptor) -> Result<Key, String> {
    let refused = |what: &str| Err(format!("entity key field {} is {what}", field.name()));
    if field.is_map() {
        return refused("a map");
    }
    if field.is_list() {
        return refused("repeated");
    }
    let text = match field.kind() {
        Kind::String => Text::String,
        Kind::Int32 => Text::Int32,
        Kind::Int64 => Text::Int64,
        Kind::Uint32 => Text::Uint32,
        Kind::Uint64 => Text::Uint64,
        Kind::Sint32 => Text::Zigzag32,
        Kind::Sint64 => Text::Zigzag64,
        Kind::Fixed32 => Text::Fixed32,
        Kind::Fixed64 => Text::Fixed64,
        Kind::Sfixed32 => Text::SignedFixed32,
        Kind::Sfixed64 => Text::SignedFixed64,
        Kind::Bool => Text::Bool,
        Kind::Enum(values) => Text::Enum(values),
        Kind::Float | Kind::Double => return refused("a floating point number"),
        Kind::Bytes => return refused("of type bytes"),
        Kind::Message(_) => return refused("a message"),
    };
    let rivals = field.containing_oneof().into_iter();
    let rivals = rivals.flat_map(|oneof| oneof.fields().map(|rival| rival.number()).collect::<Vec<_>>());
    Ok(Key {
        name: field.name().to_owned(),
        number: field.number(),
        default: default(&text, &field.default_value()),
        text,
        rivals: rivals.filter(|number| *number != field.number()).collect(),
    })
}

fn default(text: &Text, value: &Value) -> String {
    match (text, value) {
        (Text::Enum(values), Value::EnumNumber(number)) => enum_text(values, *number),
        (_, Value::String(value)) => value.clone(),
        (_, Value::Bool(value)) => value.to_string(),
        (_, Value::I32(value)) => value.to_string(),
        (_, Value::I64(value)) => value.to_string(),
        (_, Value::U32(value)) => value.to_string(),
        (_, Value::U64(value)) => value.to_string(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
