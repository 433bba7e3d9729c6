//! Values and events: any bytes in, and a way to show them.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use base::limits;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Console, Failure};

/// The bytes of an argument; `-` stands for what is on standard input.
pub(super) fn read(argument: &OsStr, console: &mut Console<'_>) -> Result<Bytes, Failure> {
    if argument == "-" {
        return console.read(limits::VALUE_BYTES_MAX).map(Bytes::from);
    }
    Ok(Bytes::copy_from_slice(argument.as_bytes()))
}

/// For people: texts as they are, everything else by its size. What would steer a terminal is no text.
pub(super) fn shown(data: &[u8]) -> Cow<'_, str> {
    let steers = |character: char| character.is_control() && !matches!(character, '\n' | '\r' | '\t');
    match std::str::from_utf8(data) {
        Ok(text) if !text.contains(steers) => Cow::Borrowed(text),
        _ => Cow::Owned(format!(
            "({} bytes that are no text; --json shows them)",
            data.len()
        )),
    }
}

/// For programs: a text under that name, other bytes as base64 under `<name>_base64`.
pub(super) fn put(object: &mut Map<String, Value>, name: &str, data: &[u8]) {
    match std::str::from_utf8(data) {
        Ok(text) => object.insert(name.to_owned(), text.into()),
        Err(_) => object.insert(format!("{name}_base64"), STANDARD.encode(data).into()),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_texts_and_the_size_of_everything_else() {
        assert_eq!(shown("grün\n\tund".as_bytes()), "grün\n\tund");
        assert_eq!(shown(b""), "");
        assert_eq!(
            shown(b"\xff\x00"),
            "(2 bytes that are no text; --json shows them)"
        );
        assert!(
            shown(b"\x1b[2J").starts_with("(4 bytes"),
            "a terminal is not steered"
        );
    }

    #[test]
    fn programs_see_all_bytes() {
        let mut object = Map::new();
        put(&mut object, "text", b"\x1b[2J");
        put(&mut object, "bytes", b"\xff\x00");
        assert_eq!(
            Value::Object(object).to_string(),
            r#"{"text":"\u001b[2J","bytes_base64":"/wA="}"#
        );
    }
}
