//! Options as bytes, by the full name of what they stand on, and read by number.
//!
//! The files that define options may be missing from the set, and one name has two numbers (spec 1.8), so nobody looks up an
//! option by its name. The bytes are taken from the files as they came: prost-reflect decodes options again with whatever
//! extension it finds for a number.
//!
//! | option                  | on     | number   | on the wire                                    |
//! |-------------------------|--------|----------|------------------------------------------------|
//! | `cloudstate.entity_key` | field  | 1080     | a varint; with a length it is Kalix, and not ours |
//! | the same, older         | field  | 50002    | a varint                                       |
//! | `google.api.http`       | method | 72295728 | a message                                      |

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};
use prost::Message;

use super::wire::{self, Raw};

const ENTITY_KEY: u32 = 1080;
const ENTITY_KEY_OLD: u32 = 50002;
const HTTP: u32 = 72_295_728;

/// Encoded options of the methods and fields of all files.
#[derive(Debug, Default)]
pub(crate) struct Options(HashMap<String, Bytes>);

impl Options {
    /// All options of one encoded `FileDescriptorProto`.
    pub(crate) fn add_file(&mut self, file: &Bytes) -> Result<(), prost::DecodeError> {
        let file = RawFile::decode(file.clone())?;
        for message in &file.messages {
            self.add_message(&file.package, message);
        }
        for service in &file.services {
            let scope = join(&file.package, &service.name);
            let methods = service.methods.iter();
            self.add_named(&scope, methods.map(|method| (&method.name, &method.options)));
        }
        Ok(())
    }

    fn add_message(&mut self, scope: &str, message: &RawMessage) {
        let scope = join(scope, &message.name);
        let fields = message.fields.iter();
        self.add_named(&scope, fields.map(|field| (&field.name, &field.options)));
        for nested in &message.nested {
            self.add_message(&scope, nested);
        }
    }

    fn add_named<'a>(&mut self, scope: &str, named: impl Iterator<Item = (&'a String, &'a Bytes)>) {
        for (name, options) in named.filter(|(_, options)| !options.is_empty()) {
            self.0.insert(join(scope, name), options.clone());
        }
    }

    /// Empty where there are none.
    pub(crate) fn of(&self, full_name: &str) -> Bytes {
        self.0.get(full_name).cloned().unwrap_or_default()
    }
}

/// Whether the options of a field make it part of the entity id.
pub(crate) fn is_entity_key(options: &[u8]) -> bool {
    let last = |number| {
        let values = wire::fields(options).map_while(Result::ok);
        let flags = values.filter_map(|(found, value)| match value {
            Raw::Varint(flag) if found == number => Some(flag != 0),
            _ => None,
        });
        flags.last().unwrap_or(false)
    };
    last(ENTITY_KEY) || last(ENTITY_KEY_OLD)
}

/// The encoded `google.api.HttpRule` among the options of a method.
pub(crate) fn http_rule(options: &[u8]) -> Option<Bytes> {
    message(options, HTTP)
}

/// An option that is a message. Pieces of it follow each other, as protobuf merges messages.
pub(crate) fn message(options: &[u8], number: u32) -> Option<Bytes> {
    let mut found: Option<BytesMut> = None;
    for (at, value) in wire::fields(options).map_while(Result::ok) {
        if let Raw::Bytes(piece) = value
            && at == number
        {
            found.get_or_insert_default().extend_from_slice(piece);
        }
    }
    found.map(BytesMut::freeze)
}

fn join(scope: &str, name: &str) -> String {
    match scope {
        "" => name.to_owned(),
        scope => format!("{scope}.{name}"),
    }
}

// What is needed of descriptor.proto, with options left as bytes.

#[derive(Clone, PartialEq, prost::Message)]
struct RawFile {
    #[prost(string, tag = "2")]
    package: String,
    #[prost(message, repeated, tag = "4")]
    messages: Vec<RawMessage>,
    #[prost(message, repeated, tag = "6")]
    services: Vec<RawService>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    fields: Vec<RawField>,
    #[prost(message, repeated, tag = "3")]
    nested: Vec<RawMessage>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawField {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "bytes", tag = "8")]
    options: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawService {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    methods: Vec<RawMethod>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawMethod {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "bytes", tag = "4")]
    options: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(options: &[u8], expected: bool) {
        assert_eq!(is_entity_key(options), expected, "{options:02x?}");
    }

    #[test]
    fn both_numbers_mark_a_key() {
        check(&[0xc0, 0x43, 0x01], true);
        check(&[0x90, 0xb5, 0x18, 0x01], true);
        check(&[0xc0, 0x43, 0x00], false);
        check(&[0xc0, 0x43, 0x01, 0xc0, 0x43, 0x00], false);
        check(&[], false);
    }

    #[test]
    fn kalix_marks_its_own_keys() {
        check(&[0xc2, 0x43, 0x02, 0x08, 0x01], false);
    }

    #[test]
    fn pieces_of_a_message_are_merged() {
        let mut options = vec![];
        for piece in [b"ab".as_slice(), b"c"] {
            prost::encoding::encode_key(HTTP, prost::encoding::WireType::LengthDelimited, &mut options);
            prost::encoding::encode_varint(piece.len() as u64, &mut options);
            options.extend_from_slice(piece);
        }
        assert_eq!(http_rule(&options).as_deref(), Some(b"abc".as_slice()));
        assert_eq!(http_rule(&[0xc0, 0x43, 0x01]), None);
    }
}
