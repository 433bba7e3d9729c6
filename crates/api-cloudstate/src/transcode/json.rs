//! JSON as it comes in, for prost-reflect to make a message of.
//!
//! serde_json's own deserializers hand out numbers as maps when `arbitrary_precision` is on, which another crate of the
//! workspace needs, and prost-reflect takes maps for messages. [`Json`] hands out plain numbers, and ends what nests too deeply.

use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde::de::value::{Error, MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Number, Value};

use super::DEPTH_MAX;

/// The error is what callers are told.
pub(crate) fn parse(text: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(text).map_err(|error| format!("the body is no JSON: {error}"))
}

/// Fields by either name; unknown ones are refused. The error is what callers are told.
pub(crate) fn message(of: &MessageDescriptor, value: &Value) -> Result<DynamicMessage, String> {
    let json = Json { value, depth: 0 };
    DynamicMessage::deserialize(of.clone(), json)
        .map_err(|error| format!("the body is no {}: {error}", of.full_name()))
}

#[derive(Clone, Copy)]
struct Json<'j> {
    value: &'j Value,
    depth: usize,
}

impl<'j> Json<'j> {
    fn within(self, value: &'j Value) -> Self {
        Self {
            value,
            depth: self.depth + 1,
        }
    }
}

impl<'de> Deserializer<'de> for Json<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.depth > DEPTH_MAX {
            return Err(Error::custom(format!("it nests more than {DEPTH_MAX} deep")));
        }
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Number(number) => visit_number(number, visitor),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::Array(values) => {
                let values = values.iter().map(|value| self.within(value));
                visitor.visit_seq(SeqDeserializer::new(values))
            }
            Value::Object(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| (name.as_str(), self.within(value)));
                visitor.visit_map(MapDeserializer::new(fields))
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'j> IntoDeserializer<'j, Error> for Json<'j> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn visit_number<'j, V: Visitor<'j>>(number: &Number, visitor: V) -> Result<V::Value, Error> {
    if let Some(value) = number.as_u64() {
        return visitor.visit_u64(value);
    }
    if let Some(value) = number.as_i64() {
        return visitor.visit_i64(value);
    }
    match number.as_f64() {
        Some(value) => visitor.visit_f64(value),
        None => Err(Error::custom(format!("number {number} is out of range"))),
    }
}
