//! Answers byte for byte.

use prost::Message;
use prost_reflect::ReflectMessage;

use super::*;
use crate::transcode::testing;

const PROTO: &str = r#"
    message Message { string message = 1; }
    message Empty {}
    message Counter { sint64 value = 1; }
    message State { oneof value { Counter pncounter = 1; string text = 2; } }
    message Item { string product_id = 1; string name = 2; int32 quantity = 3; }
    message All {
      int32 last = 20; bool yes = 1; repeated int32 list = 2; map<int32, Item> map = 3; E e = 4; Item item = 5; bytes raw = 6;
      uint64 big = 7; optional int32 maybe = 8; double d = 9; float f = 10; string snake_case_name = 11; string s = 12 [json_name = "own"];
      google.protobuf.NullValue nothing = 13; All all = 14; repeated Item items = 15;
    }
    enum E { NONE = 0; ONE = 1; }
    message Known {
      google.protobuf.Timestamp at = 1; google.protobuf.Duration took = 2; google.protobuf.FieldMask mask = 3;
      google.protobuf.Int64Value i = 4; google.protobuf.DoubleValue d = 5; google.protobuf.BytesValue b = 6;
      google.protobuf.Struct struct = 7; google.protobuf.Value value = 8; google.protobuf.ListValue list = 9;
      google.protobuf.Empty empty = 10; google.protobuf.Any any = 11;
    }
    message Holder { google.api.HttpBody body = 1; }"#;

/// The answer of a method that returns the message type.
fn answered(of: &str, response_body: &str, payload: &[u8]) -> Result<Answer, Refused> {
    let rule = match response_body {
        "" => String::new(),
        field => format!("option (google.api.http) = {{ get: \"/a\" response_body: \"{field}\" }};"),
    };
    let service = testing::service(&format!(
        "{PROTO} service S {{ rpc Call(Empty) returns ({of}) {{ {rule} }} }}"
    ));
    let method = std::sync::Arc::clone(&service.methods[0]);
    let rule = crate::transcode::rule::rules(&method).expect("rules").remove(0);
    answer(&Route { method, rule }, payload)
}

#[track_caller]
fn check(of: &str, payload: &[u8], expected: &str) {
    field(of, "", payload, expected);
}

#[track_caller]
fn field(of: &str, response_body: &str, payload: &[u8], expected: &str) {
    let answer = answered(of, response_body, payload).expect("an answer");
    assert_eq!(String::from_utf8_lossy(&answer.body), expected);
    assert_eq!(answer.content_type, JSON);
}

/// From JSON, which need not be in any order.
#[track_caller]
fn printed(of: &str, json: &str, expected: &str) {
    let service = testing::service(&format!(
        "{PROTO} service S {{ rpc Call({of}) returns (Empty); }}"
    ));
    let value = serde_json::from_str(json).expect("JSON");
    let message = crate::transcode::json::message(&service.methods[0].input, &value).expect("a message");
    assert_eq!(message.descriptor().name(), of);
    check(of, &message.encode_to_vec(), expected);
}

/// As the conformance kit compares them (spec 2.4).
#[test]
fn defaults_are_printed() {
    check("Message", b"", r#"{"message":""}"#);
    check("Empty", b"", "{}");
    check("google.protobuf.Empty", b"", "{}");
    check("State", b"\x0a\x00", r#"{"pncounter":{"value":"0"}}"#);
    check("State", b"", "{}");
    check("State", b"\x12\x00", r#"{"text":""}"#);
}

#[test]
fn fields_come_by_number_in_camel_case() {
    check(
        "All",
        b"",
        concat!(
            r#"{"yes":false,"list":[],"map":{},"e":"NONE","raw":"","big":"0","d":0.0,"f":0.0,"snakeCaseName":"","own":"","#,
            r#""nothing":null,"items":[],"last":0}"#
        ),
    );
}

#[test]
fn values_have_their_forms() {
    printed(
        "All",
        concat!(
            r#"{"last":-1,"yes":true,"list":[1,2],"map":{"10":{"name":"x"},"9":{}},"e":9,"item":{"quantity":10,"productId":"foo"},"#,
            r#""raw":"/+8=","big":"18446744073709551615","maybe":0,"d":1.5,"f":"NaN","own":"\"<\n€\u0001"}"#
        ),
        concat!(
            r#"{"yes":true,"list":[1,2],"map":{"9":{"productId":"","name":"","quantity":0},"10":{"productId":"","name":"x","quantity":0}},"#,
            r#""e":9,"item":{"productId":"foo","name":"","quantity":10},"raw":"/+8=","big":"18446744073709551615","maybe":0,"#,
            r#""d":1.5,"f":"NaN","snakeCaseName":"","own":"\"<\n€\u0001","nothing":null,"items":[],"last":-1}"#
        ),
    );
}

#[test]
fn well_known_messages_have_their_own_forms() {
    printed("Known", "{}", "{}");
    let all = concat!(
        r#"{"at":"2020-01-02T03:04:05.006Z","took":"-1.500s","mask":"a,bC","i":"0","d":"Infinity","b":"AA==","#,
        r#""struct":{"a":[null,1.5,{"b":"c"}]},"value":true,"list":[1.0,"x"],"empty":{}}"#
    );
    printed("Known", all, all);
    check("Known", b"\x42\x00", r#"{"value":null}"#);
}

#[test]
fn an_any_is_printed_with_its_type() {
    printed(
        "Known",
        r#"{"any":{"@type":"type.googleapis.com/t.Item","name":"x"}}"#,
        r#"{"any":{"@type":"type.googleapis.com/t.Item","productId":"","name":"x","quantity":0}}"#,
    );
    printed(
        "Known",
        r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1s"}}"#,
        r#"{"any":{"@type":"x/google.protobuf.Duration","value":"1s"}}"#,
    );
    check("Known", b"\x5a\x00", r#"{"any":{}}"#);
}

#[test]
fn an_any_of_an_unknown_type_is_printed_as_bytes() {
    check(
        "Known",
        b"\x5a\x1c\x0a\x17p.cloudstate.io/unknown\x12\x01\x01",
        r#"{"any":{"@type":"p.cloudstate.io/unknown","value":"AQ=="}}"#,
    );
}

/// Each `Any` begins a message of its own, so no decoder limits how deep they go.
#[test]
fn any_within_any_has_an_end() {
    let mut any = prost_types::Any::default();
    for _ in 0..5_000 {
        any = prost_types::Any {
            type_url: "x/google.protobuf.Any".into(),
            value: any.encode_to_vec(),
        };
    }
    let refused = answered("google.protobuf.Any", "", &any.encode_to_vec()).expect_err("refused");
    let expected = "google.protobuf.Any has no JSON: it nests more than 100 deep";
    assert_eq!((refused.status, refused.message.as_str()), (500, expected));
}

/// The samples' shopping cart, and what the reference prints otherwise (spec 2.4, 0.3).
#[test]
fn a_response_body_is_one_field_by_the_same_rules() {
    field("All", "items", b"", "[]");
    field(
        "All",
        "items",
        b"\x7a\x0e\x0a\x03foo\x12\x05A foo\x18\x0a",
        r#"[{"productId":"foo","name":"A foo","quantity":10}]"#,
    );
    field("All", "last", b"\xa0\x01\x0a", "10");
    field("All", "big", b"\x38\x0a", r#""10""#);
    field("All", "item", b"", r#"{"productId":"","name":"","quantity":0}"#);
    field("All", "e", b"\x20\x01", r#""ONE""#);
    field("All", "map", b"", "{}");
}

#[test]
fn an_http_body_goes_out_as_it_is() {
    let body = HttpBody {
        content_type: "text/x".into(),
        data: Bytes::from_static(b"\xff"),
    };
    let expected = Answer {
        content_type: "text/x".into(),
        body: body.data.clone(),
    };
    let encoded = body.encode_to_vec();
    assert_eq!(
        answered("google.api.HttpBody", "", &encoded),
        Ok(expected.clone())
    );
    let mut holder = vec![0x0a, encoded.len() as u8];
    holder.extend(&encoded);
    assert_eq!(answered("Holder", "body", &holder), Ok(expected));
    check(
        "Holder",
        &holder,
        r#"{"body":{"contentType":"text/x","data":"/w==","extensions":[]}}"#,
    );
}

#[test]
fn an_answer_that_cannot_be_read_is_the_functions_fault() {
    let refused = answered("Message", "", b"\x0a\x05x").expect_err("refused");
    assert_eq!(refused.status, 500);
    assert!(
        refused.message.starts_with("the answer is no t.Message: "),
        "{refused}"
    );
    // A timestamp of the year 12000.
    let refused = answered("Known", "", b"\x0a\x07\x08\x80\xe0\xd2\xcd\xca\x09").expect_err("refused");
    assert!(refused.message.starts_with("t.Known has no JSON: "), "{refused}");
}

#[test]
fn streams_are_events_or_lines() {
    assert_eq!(&event(b"{\"a\":1}")[..], b"data:{\"a\":1}\n\n");
    assert_eq!(&line(b"{\"a\":1}")[..], b"{\"a\":1}\n");
}
