//! Requests, and the messages they are, as proto3 JSON of what the method gets.

use super::*;
use crate::transcode::router::Routes;
use crate::transcode::{printer, testing};

const PROTO: &str = r#"
    enum E { NONE = 0; ONE = 1; }
    message Sub { int32 x = 1; Sub sub = 2; repeated string tag = 3; }
    message M {
      string id = 1; repeated string tag = 2; repeated int64 n = 3; Sub sub = 4; E e = 5; repeated E es = 6;
      int32 i32 = 7; int64 i64 = 8; uint32 u32 = 9; uint64 u64 = 10; sint64 s64 = 11; fixed32 f32 = 12;
      float f = 13; double d = 14; bool yes = 15; bytes raw = 16; map<string, int32> counts = 17;
      google.protobuf.Timestamp at = 18; google.protobuf.Duration took = 19; google.protobuf.FieldMask mask = 20;
      google.protobuf.Int64Value wrapped = 21; google.protobuf.StringValue text = 22; google.protobuf.Struct any = 23;
      optional string maybe = 24; string long_name = 25; google.protobuf.Any some = 26;
    }
    message Upload { string id = 1; google.api.HttpBody file = 2; }
    service S {
      rpc Post(M) returns (M) { option (google.api.http) = { post: "/post/{id}" body: "*" }; }
      rpc Get(M) returns (M) { option (google.api.http) = { get: "/get/{id}" }; }
      rpc Sub(M) returns (M) { option (google.api.http) = { put: "/sub/{id}" body: "sub" }; }
      rpc Scalar(M) returns (M) { option (google.api.http) = { put: "/scalar" body: "i64" }; }
      rpc Int(M) returns (M) { option (google.api.http) = { get: "/int/{i64}" }; }
      rpc Raw(M) returns (M) { option (google.api.http) = { get: "/raw/{raw}" }; }
      rpc Whole(google.api.HttpBody) returns (M) { option (google.api.http) = { post: "/whole" body: "*" }; }
      rpc File(Upload) returns (M) { option (google.api.http) = { post: "/file/{id}" body: "file" }; }
    }"#;

fn routes() -> &'static Routes {
    static ROUTES: std::sync::OnceLock<Routes> = std::sync::OnceLock::new();
    ROUTES.get_or_init(|| testing::routes(PROTO))
}

/// What is set of the message a request is, as JSON.
fn sent(line: &str, content_type: Option<&str>, body: &[u8]) -> Result<String, String> {
    let (verb, target) = line.split_once(' ').expect("verb and target");
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(path, query)| (path, Some(query)));
    let found = routes()
        .find(&verb.parse().expect("a verb"), path)
        .expect("a route");
    let request = Request {
        query,
        content_type,
        body,
    };
    let encoded = message(&found, &request).map_err(|refused| {
        assert_eq!(refused.status, 400);
        refused.message
    })?;
    let message = DynamicMessage::decode(found.route.method.input.clone(), encoded).expect("a message");
    let printed: Vec<_> = message
        .fields()
        .map(|(field, _)| {
            let value = printer::field(&message, &field).expect("JSON");
            format!("{}={}", field.name(), String::from_utf8(value).expect("UTF-8"))
        })
        .collect();
    Ok(printed.join(" "))
}

#[track_caller]
fn get(target: &str, expected: &str) {
    let sent = sent(&format!("GET {target}"), None, b"");
    assert_eq!(sent.as_deref(), Ok(expected), "{target}");
}

#[track_caller]
fn get_refused(target: &str, expected: &str) {
    let sent = sent(&format!("GET {target}"), None, b"");
    assert_eq!(sent.as_ref().map_err(String::as_str), Err(expected), "{target}");
}

#[track_caller]
fn post(body: &str, expected: &str) {
    let sent = sent("POST /post/a", Some("application/json"), body.as_bytes());
    assert_eq!(sent.as_deref(), Ok(expected), "{body}");
}

#[track_caller]
fn post_refused(body: &str, expected: &str) {
    let sent = sent("POST /post/a", Some("application/json"), body.as_bytes());
    assert_eq!(sent.as_ref().map_err(String::as_str), Err(expected), "{body}");
}

/// Case C63.
#[test]
fn repeated_query_parameters_fill_lists_in_order() {
    get(
        "/get/?tag=a&tag=b&n=1&n=2&sub.x=7&tag=&tag=a%2Cb",
        r#"tag=["a","b","","a,b"] n=["1","2"] sub={"x":7,"tag":[]}"#,
    );
}

/// Case C63: the message is the one a gRPC caller sends, byte for byte.
#[test]
fn a_query_makes_the_same_bytes_as_grpc() {
    let found = routes().find(&http::Method::GET, "/get/").expect("a route");
    let request = Request {
        query: Some("tag=a&tag=b&n=1&n=2&sub.x=7&tag="),
        ..Default::default()
    };
    let encoded = message(&found, &request).expect("a message");
    assert_eq!(
        &encoded[..],
        b"\x12\x01a\x12\x01b\x12\0\x1a\x02\x01\x02\x22\x02\x08\x07"
    );
}

#[test]
fn query_parameters_are_text_of_every_type() {
    get("/get/x", r#"id="x""#);
    get(
        "/get/x?i32=-1&i64=-2&u32=3&u64=4&s64=-5&f32=6",
        r#"id="x" i32=-1 i64="-2" u32=3 u64="4" s64="-5" f32=6"#,
    );
    get("/get/?f=1.5&d=-2e3&yes=true", "f=1.5 d=-2000.0 yes=true");
    get("/get/?f=NaN&d=-Infinity", r#"f="NaN" d="-Infinity""#);
    get("/get/?e=ONE&es=NONE&es=1&es=9", r#"e="ONE" es=["NONE","ONE",9]"#);
    get("/get/?raw=_-8%3D&maybe=", r#"raw="/+8=" maybe="""#);
    get("/get/?raw=%2F%2B8", r#"raw="/+8=""#);
    get(
        "/get/?at=2020-01-02T03:04:05Z&took=1.5s&mask=a,longName",
        r#"at="2020-01-02T03:04:05Z" took="1.500s" mask="a,longName""#,
    );
    get("/get/?wrapped=0&text=", r#"wrapped="0" text="""#);
}

#[test]
fn query_parameters_go_by_either_name_and_into_messages() {
    get("/get/?long_name=a", r#"long_name="a""#);
    get("/get/?longName=a+b%20c", r#"long_name="a b c""#);
    get(
        "/get/?sub.sub.x=1&sub.tag=a&sub.x=2&sub.tag=b",
        r#"sub={"x":2,"sub":{"x":1,"tag":[]},"tag":["a","b"]}"#,
    );
    get("/get/x?&&yes=false&", r#"id="x""#);
}

#[test]
fn query_parameters_that_do_not_fit_are_refused() {
    get_refused("/get/x?other=1", "query parameter other: t.M has no such field");
    get_refused("/get/x?sub.y=1", "query parameter sub.y: t.Sub has no such field");
    get_refused("/get/x?=1", "query parameter : t.M has no such field");
    get_refused("/get/x?sub.=1", "query parameter sub.: t.Sub has no such field");
    get_refused("/get/x?.x=1", "query parameter .x: t.M has no such field");
    get_refused(
        "/get/x?i32=a",
        "query parameter i32: \"a\" is not a 32-bit integer",
    );
    get_refused("/get/x?i32", "query parameter i32: \"\" is not a 32-bit integer");
    get_refused(
        "/get/x?u64=-1",
        "query parameter u64: \"-1\" is not an unsigned 64-bit integer",
    );
    get_refused(
        "/get/x?n=1&n=1.5",
        "query parameter n: \"1.5\" is not a 64-bit integer",
    );
    get_refused("/get/x?d=x", "query parameter d: \"x\" is not a number");
    get_refused("/get/x?yes=1", "query parameter yes: \"1\" is not true or false");
    get_refused("/get/x?e=TWO", "query parameter e: \"TWO\" is not a value of t.E");
    get_refused("/get/x?raw=*", "query parameter raw: \"*\" is not base64");
    get_refused(
        "/get/x?sub=1",
        "query parameter sub: t.Sub has no text: name a field of it",
    );
    get_refused(
        "/get/x?counts.a=1",
        "query parameter counts.a: counts is no single message",
    );
    get_refused(
        "/get/x?counts=1",
        "query parameter counts: a map cannot stand in a query",
    );
    get_refused(
        "/get/x?tag.a=1",
        "query parameter tag.a: tag is no single message",
    );
    get_refused("/get/x?id.a=1", "query parameter id.a: id is no single message");
    get_refused(
        "/get/x?i32=1&i32=2",
        "query parameter i32: it is given twice, and is not repeated",
    );
    get_refused(
        "/get/x?sub.x=1&sub.x=1",
        "query parameter sub.x: it is given twice, and is not repeated",
    );
    get_refused("/get/x?id=%FF", "query parameter id: it is no UTF-8");
    let deep = format!("/get/x?{}x=1", "sub.".repeat(200));
    assert!(sent(&format!("GET {deep}"), None, b"").is_err());
}

#[test]
fn a_wrong_timestamp_is_refused() {
    let error = sent("GET /get/x?at=yesterday", None, b"").expect_err("refused");
    assert!(
        error.starts_with("query parameter at: it is no google.protobuf.Timestamp: "),
        "{error}"
    );
}

#[test]
fn path_variables_are_decoded_as_forms_are() {
    get("/get/a+b%2Fc%3Ad%2B", r#"id="a b/c:d+""#);
    get("/get/", "");
    get("/int/-7", r#"i64="-7""#);
    get("/raw/_-8", r#"raw="/+8=""#);
    get_refused("/get/%FF", "path variable id: it is no UTF-8");
    get_refused("/int/", "path variable i64: \"\" is not a 64-bit integer");
    get_refused("/int/1.0", "path variable i64: \"1.0\" is not a 64-bit integer");
}

#[test]
fn path_variables_overwrite() {
    get("/get/path?id=query", r#"id="path""#);
    post(r#"{"id":"body"}"#, r#"id="a""#);
}

#[test]
fn a_body_is_the_message() {
    post("{}", r#"id="a""#);
    post(
        r#"{"i32":1.0,"i64":"-2","u64":18446744073709551615,"d":1e3,"f":0.1}"#,
        r#"id="a" i32=1 i64="-2" u64="18446744073709551615" f=0.1 d=1000.0"#,
    );
    post(
        r#"{"long_name":"x","tag":["1"],"n":[1,"2"]}"#,
        r#"id="a" tag=["1"] n=["1","2"] long_name="x""#,
    );
    post(
        r#"{"longName":"x","e":"ONE","es":[1,"NONE"]}"#,
        r#"id="a" e="ONE" es=["ONE","NONE"] long_name="x""#,
    );
    post(
        r#"{"sub":{"x":1,"sub":{}},"counts":{"b":2,"a":1}}"#,
        r#"id="a" sub={"x":1,"sub":{"x":0,"tag":[]},"tag":[]} counts={"a":1,"b":2}"#,
    );
    post(r#"{"sub":null,"i32":null}"#, r#"id="a""#);
    post(
        r#"{"any":{"k":[1.50,null,true]},"wrapped":"5","text":"t"}"#,
        r#"id="a" wrapped="5" text="t" any={"k":[1.5,null,true]}"#,
    );
    post(
        r#"{"some":{"@type":"x/t.Sub","x":3}}"#,
        r#"id="a" some={"@type":"x/t.Sub","x":3,"tag":[]}"#,
    );
    post(
        r#"{"some":{"x":3,"@type":"x/t.Sub"}}"#,
        r#"id="a" some={"@type":"x/t.Sub","x":3,"tag":[]}"#,
    );
}

#[test]
fn a_body_that_does_not_fit_is_refused() {
    post_refused(
        "",
        "the body is no JSON: EOF while parsing a value at line 1 column 0",
    );
    post_refused(
        "{",
        "the body is no JSON: EOF while parsing an object at line 1 column 1",
    );
    post_refused(
        "{} x",
        "the body is no JSON: trailing characters at line 1 column 4",
    );
    post_refused("[]", "the body is no t.M: invalid type: sequence, expected a map");
    post_refused(
        r#"{"other":1}"#,
        "the body is no t.M: unrecognized field name 'other'",
    );
    post_refused(
        r#"{"sub":{"other":1}}"#,
        "the body is no t.M: unrecognized field name 'other'",
    );
    post_refused(
        r#"{"e":"TWO"}"#,
        "the body is no t.M: unrecognized enum value 'TWO'",
    );
    post_refused(r#"{"i32":1.5}"#, "the body is no t.M: expected integer value");
    post_refused(
        r#"{"i32":4294967296}"#,
        "the body is no t.M: out of range integral type conversion attempted",
    );
    post_refused(
        r#"{"i64":"x"}"#,
        "the body is no t.M: invalid digit found in string",
    );
    post_refused(
        r#"{"id":7}"#,
        "the body is no t.M: invalid type: integer `7`, expected a string",
    );
    post_refused(
        r#"{"d":1e+999}"#,
        "the body is no t.M: number 1e+999 is out of range",
    );
    post_refused(
        r#"{"some":{"@type":"x/t.Other"}}"#,
        "the body is no t.M: message 't.Other' not found",
    );
    assert!(sent("POST /post/a", Some("application/json"), b"\xff").is_err());
}

#[test]
fn a_body_may_not_nest_without_end() {
    let nested = |depth: usize| format!("{}{}", r#"{"sub":"#.repeat(depth) + "{}", "}".repeat(depth));
    let json = Some("application/json");
    assert!(sent("POST /post/a", json, nested(90).as_bytes()).is_ok());
    assert!(sent("POST /post/a", json, nested(120).as_bytes()).is_err());
    assert!(sent("POST /post/a", json, nested(100_000).as_bytes()).is_err());
}

/// serde_json reads such an object as the JSON in its text, and counts the depth of that anew.
#[test]
fn a_body_may_not_nest_by_json_within_json() {
    let mut body = String::from("1");
    while body.len() < 4 << 20 {
        let text = serde_json::to_string(&format!("{}{body}{}", "[".repeat(120), "]".repeat(120)));
        let text = text.expect("a string");
        body = format!(r#"{{"$serde_json::private::RawValue":{text}}}"#);
    }
    assert!(sent("POST /post/a", Some("application/json"), body.as_bytes()).is_err());
}

#[test]
fn the_query_is_not_read_where_the_body_is_the_message() {
    let sent = sent("POST /post/a?other=1&i32=x", Some("application/json"), b"{}");
    assert_eq!(sent.as_deref(), Ok(r#"id="a""#));
}

#[test]
fn the_body_is_not_read_where_no_rule_wants_it() {
    let sent = sent("GET /get/a", Some("text/plain"), b"no JSON");
    assert_eq!(sent.as_deref(), Ok(r#"id="a""#));
}

#[test]
fn a_body_may_be_one_field() {
    let put = |line: &str, body: &str| sent(line, Some("application/json"), body.as_bytes());
    assert_eq!(
        put("PUT /sub/a?i32=1&tag=b", r#"{"x":7}"#).as_deref(),
        Ok(r#"id="a" tag=["b"] sub={"x":7,"tag":[]} i32=1"#)
    );
    assert_eq!(put("PUT /scalar", "\"5\"").as_deref(), Ok(r#"i64="5""#));
    assert_eq!(put("PUT /scalar", "null").as_deref(), Ok(""));
    assert_eq!(
        put("PUT /sub/a?sub.x=1", "{}"),
        Err("query parameter sub.x: the request's body is this field".into())
    );
    assert_eq!(
        put("PUT /sub/a", "[]"),
        Err("the body is no t.M: invalid type: sequence, expected a map".into())
    );
}

/// Case C65: a charset is accepted, no type is not.
#[test]
fn a_body_needs_its_content_type() {
    let post = |content_type| sent("POST /post/a", content_type, b"{}");
    for json in [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON ;x=y",
    ] {
        assert!(post(Some(json)).is_ok(), "{json}");
    }
    for other in [
        "text/plain",
        "application/jsonp",
        "application/x-www-form-urlencoded",
        "",
    ] {
        let expected = format!("content type {other:?} is not application/json");
        assert_eq!(post(Some(other)), Err(expected));
    }
    assert_eq!(post(None), Err("content type application/json is needed".into()));
}

#[test]
fn an_http_body_is_taken_as_it_is() {
    assert_eq!(
        sent("POST /whole", Some("text/x"), b"a\xff").as_deref(),
        Ok(r#"content_type="text/x" data="Yf8=""#)
    );
    assert_eq!(sent("POST /whole", None, b"").as_deref(), Ok(""));
    assert_eq!(
        sent("POST /file/7", Some("text/x"), b"a").as_deref(),
        Ok(r#"id="7" file={"contentType":"text/x","data":"YQ==","extensions":[]}"#)
    );
}
