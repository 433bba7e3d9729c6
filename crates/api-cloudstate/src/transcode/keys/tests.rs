//! Ids of payloads, byte by byte, and fields that make none.

use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::DynamicMessage;

use super::*;
use crate::transcode::testing;

fn body(fields: &str) -> String {
    format!(
        "enum E {{ NONE = 0; ONE = 1; }} message M {{ {} }} service S {{ rpc Call(M) returns (M); }}",
        fields.replace("KEY", "(cloudstate.entity_key) = true")
    )
}

fn keys(fields: &str) -> Result<Keys, String> {
    Keys::of(&testing::method(&body(fields)))
}

#[track_caller]
fn check(fields: &str, payload: &[u8], expected: &str) {
    let keys = keys(fields).expect("keys");
    assert_eq!(keys.entity_id(payload).as_deref(), Ok(expected), "{fields}");
}

#[track_caller]
fn fails(fields: &str, payload: &[u8], expected: &str) {
    let error = keys(fields).expect("keys").entity_id(payload).expect_err("no id");
    assert_eq!(error.to_string(), expected);
}

#[track_caller]
fn refused(fields: &str, expected: &str) {
    let error = keys(fields).expect_err("no keys");
    assert_eq!(error, format!("t.S.Call: {expected}"));
}

const TEXT: &str = "string id = 1 [KEY];";

#[test]
fn one_field_is_its_text() {
    check(TEXT, b"\x0a\x02ab", "ab");
    check(TEXT, b"\x0a\x02ab\x0a\x01c", "c");
    check(TEXT, b"\x12\x01x\x0a\x05a-b:c\x1d\0\0\0\0", "a-b:c");
}

#[test]
fn integers_are_decimal() {
    const MINUS_ONE: &[u8] = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    check("int32 id = 1 [KEY];", MINUS_ONE, "-1");
    check("int64 id = 1 [KEY];", MINUS_ONE, "-1");
    check("uint32 id = 1 [KEY];", MINUS_ONE, "4294967295");
    check("uint64 id = 1 [KEY];", MINUS_ONE, "18446744073709551615");
    check("sint32 id = 1 [KEY];", b"\x08\x03", "-2");
    check("sint32 id = 1 [KEY];", MINUS_ONE, "-2147483648");
    check("sint64 id = 1 [KEY];", b"\x08\x04", "2");
    check("sint64 id = 1 [KEY];", MINUS_ONE, "-9223372036854775808");
    check("fixed32 id = 1 [KEY];", b"\x0d\xff\xff\xff\xff", "4294967295");
    check("sfixed32 id = 1 [KEY];", b"\x0d\xff\xff\xff\xff", "-1");
    check(
        "fixed64 id = 1 [KEY];",
        b"\x09\xfe\xff\xff\xff\xff\xff\xff\xff",
        "18446744073709551614",
    );
    check(
        "sfixed64 id = 1 [KEY];",
        b"\x09\xfe\xff\xff\xff\xff\xff\xff\xff",
        "-2",
    );
}

#[test]
fn bools_and_enums_are_words() {
    check("bool id = 1 [KEY];", b"\x08\x01", "true");
    check("E id = 1 [KEY];", b"\x08\x01", "ONE");
    check("E id = 1 [KEY];", b"\x08\x07", "7");
}

#[test]
fn what_is_not_set_is_the_default() {
    check("int32 id = 1 [KEY];", b"", "0");
    check("bool id = 1 [KEY];", b"", "false");
    check("E id = 1 [KEY];", b"", "NONE");
    check("optional int64 id = 1 [KEY];", b"", "0");
}

#[test]
fn several_are_joined_as_they_are_declared() {
    const TWO: &str = "string b = 2 [KEY]; int32 a = 1 [KEY];";
    check(TWO, b"\x08\x07\x12\x01x", "x-7");
    check(TWO, b"", "-0");
    check(
        "string a = 1 [KEY]; string b = 2 [KEY];",
        b"\x0a\x03a-b\x12\x01c",
        "a-b-c",
    );
    check(
        "string a = 1 [KEY]; string b = 2 [KEY];",
        b"\x0a\x01a\x12\x03b-c",
        "a-b-c",
    );
}

#[test]
fn another_member_of_a_oneof_unsets_a_key() {
    const ONE: &str = "oneof o { int32 id = 1 [KEY]; string other = 2; }";
    check(ONE, b"\x08\x07", "7");
    check(ONE, b"\x08\x07\x12\x00", "0");
    check(ONE, b"\x12\x00\x08\x07", "7");
}

#[test]
fn an_empty_id_names_its_field() {
    fails(TEXT, b"", "entity key field id is empty");
    fails(TEXT, b"\x0a\x00", "entity key field id is empty");
}

#[test]
fn what_cannot_be_read_is_told() {
    fails(TEXT, b"\x0a\x02\xff\xff", "entity key field id cannot be read");
    fails(TEXT, b"\x08\x01", "entity key field id cannot be read");
    fails(TEXT, b"\x0a\x05ab", "the payload is no protobuf message");
}

#[test]
fn what_cannot_be_a_key_is_refused() {
    refused("bytes id = 1 [KEY];", "entity key field id is of type bytes");
    refused(
        "float id = 1 [KEY];",
        "entity key field id is a floating point number",
    );
    refused(
        "double id = 1 [KEY];",
        "entity key field id is a floating point number",
    );
    refused("M id = 1 [KEY];", "entity key field id is a message");
    refused("repeated string id = 1 [KEY];", "entity key field id is repeated");
    refused(
        "map<string, string> id = 1 [KEY];",
        "entity key field id is a map",
    );
    refused("string id = 1;", "no field of t.M is marked as entity key");
}

/// Against the slow way: the whole message decoded.
#[test]
fn the_scan_finds_what_a_decoder_finds() {
    let fields =
        "oneof o { sint64 a = 1 [KEY]; int32 b = 2; } uint32 c = 3 [KEY]; bool d = 4 [KEY]; E e = 5 [KEY];";
    let keys = keys(fields).expect("keys");
    let message = testing::method(&body(fields)).input.clone();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..5_000 {
        let mut payload = vec![];
        for _ in 0..random.usize(..8) {
            encode_key(random.u32(1..8), WireType::Varint, &mut payload);
            encode_varint(random.u64(..) >> random.u32(..64), &mut payload);
        }
        let decoded = DynamicMessage::decode(message.clone(), payload.as_slice()).expect("a message");
        let value = |name: &str| decoded.get_field_by_name(name).expect("a field").into_owned();
        let number = value("e").as_enum_number().expect("an enum");
        let name = ["NONE", "ONE"].get(usize::try_from(number).unwrap_or(usize::MAX));
        let expected = format!(
            "{}-{}-{}-{}",
            value("a").as_i64().expect("an integer"),
            value("c").as_u32().expect("an integer"),
            value("d").as_bool().expect("a bool"),
            name.map_or(number.to_string(), |name| (*name).to_owned()),
        );
        assert_eq!(keys.entity_id(&payload), Ok(expected));
    }
}
