//! A store's settings, in both forms that travel.

use bytes::{Buf, Bytes};

/// Key bytes of the fields `type_url` and `value` of `google.protobuf.Any`.
const TYPE_URL: u8 = 0x0A;
const VALUE: u8 = 0x12;

/// The settings in the field `config` of a Connect or Configure request: the released form wraps them in a
/// `google.protobuf.Any`, whose type address official clients leave empty; the earlier form has them bare.
///
/// What is no `Any` to the last byte is taken as it is. JSON never is one: it begins with a brace, or with white space
/// and then has quotation marks where an `Any` has its type address.
pub fn settings(config: &Bytes) -> Bytes {
    value_of_any(config.clone()).unwrap_or_else(|| config.clone())
}

fn value_of_any(mut config: Bytes) -> Option<Bytes> {
    let mut value = Bytes::new();
    while config.has_remaining() {
        let key = config.get_u8();
        let size = prost::decode_length_delimiter(&mut config).ok()?;
        if size > config.len() {
            return None;
        }
        let content = config.split_to(size);
        match key {
            TYPE_URL if is_type_url(&content) => {}
            VALUE => value = content,
            _ => return None,
        }
    }
    Some(value)
}

/// A line break is the key byte of `type_url`, so text that begins with one could pass for an `Any` of some length.
fn is_type_url(text: &[u8]) -> bool {
    text.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'"')
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::Any;

    use super::*;

    const JSON: &str = r#"{"partitions": [], "sessionTimeout": "60s"}"#;

    fn any(type_url: &str, value: &str) -> Vec<u8> {
        let any = Any {
            type_url: type_url.to_owned(),
            value: value.as_bytes().to_vec(),
        };
        any.encode_to_vec()
    }

    fn check(config: impl Into<Vec<u8>>, expected: &str) {
        assert_eq!(settings(&Bytes::from(config.into())), expected);
    }

    #[test]
    fn bare_settings_are_taken_as_they_are() {
        check(JSON, JSON);
        check("endpoints: [a]", "endpoints: [a]");
    }

    #[test]
    fn wrapped_settings_are_unwrapped() {
        check(any("", JSON), JSON);
        check(any("type.googleapis.com/google.protobuf.Struct", JSON), JSON);
    }

    #[test]
    fn nothing_stays_nothing() {
        check("", "");
        check(any("type.googleapis.com/x", ""), "");
        check([VALUE, 0], "");
    }

    #[test]
    fn any_with_other_fields_is_not_one() {
        let mut bytes = any("", JSON);
        bytes.extend([0x1A, 0]);
        let text = String::from_utf8(bytes.clone()).expect("keys are ASCII");
        check(bytes, &text);
    }

    #[test]
    fn any_cut_short_is_not_one() {
        let bytes = any("", JSON);
        let cut = &bytes[..bytes.len() - 1];
        check(cut, std::str::from_utf8(cut).expect("keys are ASCII"));
    }

    #[test]
    fn json_after_a_line_break_is_not_an_any_at_any_length() {
        for width in 0..300 {
            let json = format!("\n{{\"a\": \"{}\"}}", "x".repeat(width));
            check(json.as_str(), &json);
        }
    }
}
