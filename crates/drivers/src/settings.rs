//! Settings as people and other programs write them: Layotto's configuration has only texts, so a switch may come as
//! `"true"`, a number as `"5"` and a list as `"a, b"`.
//!
//! A field names the reader with `#[serde(deserialize_with)]` and the schema with `#[schemars(schema_with)]`.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A switch: `true`, `"true"`, `"T"`, `"1"` and the like, in any case.
pub(crate) fn lenient_bool<'d, D: Deserializer<'d>>(deserializer: D) -> Result<bool, D::Error> {
    let switch = match Value::deserialize(deserializer)? {
        Value::Bool(switch) => Some(switch),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" | "1" => Some(true),
            "false" | "f" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    };
    switch.ok_or_else(|| D::Error::custom("a switch must be true or false"))
}

/// A whole number, not negative: `5` or `"5"`.
pub(crate) fn lenient_u64<'d, D: Deserializer<'d>>(deserializer: D) -> Result<u64, D::Error> {
    let number = match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| D::Error::custom("a number must be whole and not negative"))
}

/// A list of texts: `["a", "b"]` or `"a, b"`. Empty parts are left out.
pub(crate) fn lenient_list<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let parts = match Value::deserialize(deserializer)? {
        Value::Array(values) => values
            .into_iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect(),
        Value::String(text) => Some(text.split(',').map(str::to_owned).collect::<Vec<_>>()),
        _ => None,
    };
    let parts = parts.ok_or_else(|| D::Error::custom("a list must hold texts"))?;
    let parts = parts.iter().map(|part| part.trim().to_owned());
    Ok(parts.filter(|part| !part.is_empty()).collect())
}

pub(crate) fn bool_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["boolean", "string"] })
}

pub(crate) fn u64_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["integer", "string"], "minimum": 0 })
}

pub(crate) fn list_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": ["array", "string"], "items": { "type": "string" } })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check_bool(value: Value, expected: Option<bool>) {
        assert_eq!(lenient_bool(&value).ok(), expected, "{value}");
    }

    #[track_caller]
    fn check_u64(value: Value, expected: Option<u64>) {
        assert_eq!(lenient_u64(&value).ok(), expected, "{value}");
    }

    #[track_caller]
    fn check_list(value: Value, expected: Option<&[&str]>) {
        let expected = expected.map(|parts| parts.iter().map(|part| (*part).to_owned()).collect());
        assert_eq!(lenient_list(&value).ok(), expected, "{value}");
    }

    #[test]
    fn switches_may_be_texts() {
        check_bool(json!(true), Some(true));
        check_bool(json!("true"), Some(true));
        check_bool(json!("False"), Some(false));
        check_bool(json!("1"), Some(true));
        check_bool(json!("yes"), None);
        check_bool(json!(1), None);
    }

    #[test]
    fn numbers_may_be_texts() {
        check_u64(json!(5), Some(5));
        check_u64(json!(" 5 "), Some(5));
        check_u64(json!("18446744073709551615"), Some(u64::MAX));
        check_u64(json!(-1), None);
        check_u64(json!("5.5"), None);
        check_u64(json!(""), None);
    }

    #[test]
    fn lists_may_be_texts() {
        check_list(json!(["a", "b"]), Some(&["a", "b"]));
        check_list(json!("a, b ,"), Some(&["a", "b"]));
        check_list(json!(""), Some(&[]));
        check_list(json!([1]), None);
    }

    /// The schema is the manual, and what configurations are checked against first.
    #[test]
    fn schemas_keep_descriptions_and_take_texts() {
        #[derive(Deserialize, schemars::JsonSchema)]
        #[allow(dead_code, reason = "it is read by the schema")]
        struct Sample {
            /// What it means.
            #[serde(default, deserialize_with = "lenient_bool")]
            #[schemars(schema_with = "bool_schema")]
            switch: bool,
        }
        let schema = serde_json::to_value(schemars::schema_for!(Sample)).expect("it is JSON");
        let expected =
            json!({ "type": ["boolean", "string"], "description": "What it means.", "default": false });
        assert_eq!(schema["properties"]["switch"], expected);
    }
}
