use serde_json::{Value, json};

use super::*;

/// 2001-09-09T01:46:40Z
const NOW: Timestamp = Timestamp(1_000_000_000_000);

fn request(content_type: &str, data: &[u8]) -> pb::PublishEventRequest {
    pb::PublishEventRequest {
        pubsub_name: "bus".into(),
        topic: "orders".into(),
        data: Bytes::copy_from_slice(data),
        data_content_type: content_type.into(),
        metadata: HashMap::new(),
    }
}

fn sealed(content_type: &str, data: &[u8]) -> Bytes {
    let sealed = seal(&request(content_type, data), NOW);
    sealed.expect("it makes an envelope").envelope
}

fn opened(envelope: &Bytes) -> pb::TopicEventRequest {
    match open("bus", "orders", envelope, NOW) {
        Ok(Opened::Event(event)) => *event,
        other => panic!("expected an event, got {other:?}"),
    }
}

fn value(envelope: &Bytes) -> Value {
    serde_json::from_slice(envelope).expect("an envelope is JSON")
}

/// Published under this content type, these bytes are carried as this attribute and delivered as these bytes.
#[track_caller]
fn check(content_type: &str, data: &[u8], attribute: &str, carried: &str, delivered: &[u8]) {
    let envelope = sealed(content_type, data);
    let text = std::str::from_utf8(&envelope).expect("an envelope is UTF-8");
    assert!(
        text.contains(&format!("\"{attribute}\":{carried}")),
        "{text} carries {carried}"
    );
    assert_eq!(opened(&envelope).data, delivered);
}

#[test]
fn an_ordinary_event_has_these_attributes_and_no_others() {
    let envelope = value(&sealed("text/plain; charset=utf-8", b"hello"));
    let id = envelope["id"].as_str().expect("the id is a text").to_owned();
    assert_eq!(Uuid::parse_str(&id).expect("a UUID").get_version_num(), 4, "{id}");
    let expected = json!({
        "id": id,
        "specversion": "1.0",
        "datacontenttype": "text/plain; charset=utf-8",
        "source": "runtime",
        "type": "com.runtime.event.sent",
        "topic": "orders",
        "pubsubname": "bus",
        "traceid": "",
        "data": "hello",
    });
    assert_eq!(envelope, expected);
}

#[test]
fn a_delivery_says_where_it_was_read() {
    let envelope = sealed("", b"hello");
    let Ok(Opened::Event(event)) = open("other bus", "other topic", &envelope, NOW) else {
        panic!("expected an event")
    };
    let expected = pb::TopicEventRequest {
        id: value(&envelope)["id"]
            .as_str()
            .expect("the id is a text")
            .to_owned(),
        source: "runtime".into(),
        r#type: "com.runtime.event.sent".into(),
        spec_version: "1.0".into(),
        data_content_type: "text/plain".into(),
        topic: "other topic".into(),
        data: "hello".into(),
        pubsub_name: "other bus".into(),
        metadata: HashMap::new(),
    };
    assert_eq!(*event, expected);
}

#[test]
fn two_events_have_two_ids() {
    assert_ne!(value(&sealed("", b""))["id"], value(&sealed("", b""))["id"]);
}

#[test]
fn text_is_carried_as_text() {
    check("", b"hello", "data", "\"hello\"", b"hello");
    check("text/plain", b"", "data", "\"\"", b"");
    check(
        "TEXT/html",
        b"<a href=\"x\">&</a>",
        "data",
        r#""<a href=\"x\">&</a>""#,
        b"<a href=\"x\">&</a>",
    );
    check("application/xml", b"<a/>", "data", "\"<a/>\"", b"<a/>");
    check(
        "text/plain",
        "gr\u{fc}n \u{1f600}\n".as_bytes(),
        "data",
        "\"gr\u{fc}n \u{1f600}\\n\"",
        "gr\u{fc}n \u{1f600}\n".as_bytes(),
    );
}

#[test]
fn unusual_content_types_lose_nothing() {
    check("application/x-foo", b"hello", "data", "\"hello\"", b"hello");
    check(
        "application/vnd.a+json",
        b"{\"a\": 1}",
        "data",
        r#""{\"a\": 1}""#,
        b"{\"a\": 1}",
    );
    check("nonsense", b"1", "data", "\"1\"", b"1");
}

#[test]
fn json_is_kept_digit_for_digit() {
    check(
        "application/json",
        b"1.23456789",
        "data",
        "1.23456789",
        b"1.23456789",
    );
    check("application/json", b"1.2e-7", "data", "1.2e-7", b"1.2e-7");
    check(
        "application/json",
        b"12345678901234567890123",
        "data",
        "12345678901234567890123",
        b"12345678901234567890123",
    );
    check(
        "application/json",
        b"{\"b\":1,\"a\":[1.0,2]}",
        "data",
        "{\"b\":1,\"a\":[1.0,2]}",
        b"{\"b\":1,\"a\":[1.0,2]}",
    );
    check(
        "Application/JSON; charset=utf-8",
        b"\"a\\u00e4<\"",
        "data",
        "\"a\\u00e4<\"",
        b"\"a\\u00e4<\"",
    );
}

#[test]
fn json_is_delivered_without_white_space() {
    let spaced = b" { \"a b\" : [ 1 ,\n\t\"x \\\" y\" ] } ";
    assert_eq!(
        opened(&sealed("application/json", spaced)).data,
        "{\"a b\":[1,\"x \\\" y\"]}"
    );
}

#[test]
fn json_that_is_none_is_a_text() {
    check("application/json", b"abc", "data", "\"abc\"", b"\"abc\"");
    check("application/json", b"", "data", "\"\"", b"\"\"");
    check("application/json", b"{} x", "data", "\"{} x\"", b"\"{} x\"");
}

#[test]
fn json_null_is_nothing() {
    check("application/json", b"null", "data", "null", b"");
}

#[test]
fn deep_json_is_taken() {
    let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
    assert_eq!(opened(&sealed("application/json", &deep)).data, deep);
}

#[test]
fn bytes_are_carried_as_base64() {
    check(
        "application/octet-stream",
        b"\0\xff",
        "data_base64",
        "\"AP8=\"",
        b"\0\xff",
    );
    check(
        "Application/Octet-Stream; x=y",
        b"hello",
        "data_base64",
        "\"aGVsbG8=\"",
        b"hello",
    );
    check("application/octet-stream", b"", "data_base64", "\"\"", b"");
}

#[test]
fn what_is_not_utf8_is_carried_as_base64() {
    check("text/plain", b"a\xff", "data_base64", "\"Yf8=\"", b"a\xff");
    check(
        "application/json",
        b"\"\xff\"",
        "data_base64",
        "\"Iv8i\"",
        b"\"\xff\"",
    );
}

#[test]
fn a_time_to_live_is_in_the_envelope_and_beside_it() {
    let mut request = request("", b"");
    request.metadata.insert("ttlInSeconds".into(), "60".into());
    let sealed = seal(&request, Timestamp(NOW.0 + 999)).expect("it makes an envelope");
    assert_eq!(sealed.expires_at, Some(Timestamp(NOW.0 + 60_999)));
    assert_eq!(value(&sealed.envelope)["expiration"], "2001-09-09T01:47:40Z");
    let at = |seconds: u64| open("b", "t", &sealed.envelope, Timestamp(NOW.0 + seconds * 1_000));
    assert!(matches!(at(59), Ok(Opened::Event(_))));
    assert_eq!(at(60), Ok(Opened::Expired));
}

#[test]
fn senseless_times_to_live_are_ignored() {
    for ttl in ["0", "-1", "abc", "", "1.5", "99999999999999999999"] {
        let mut request = request("", b"");
        request.metadata.insert("ttlInSeconds".into(), ttl.into());
        let sealed = seal(&request, NOW).expect("it makes an envelope");
        assert_eq!(sealed.expires_at, None, "{ttl}");
        assert_eq!(value(&sealed.envelope).get("expiration"), None, "{ttl}");
    }
}

#[test]
fn the_longest_time_to_live_ends_with_the_calendar() {
    let mut request = request("", b"");
    request
        .metadata
        .insert("ttlInSeconds".into(), u64::MAX.to_string());
    let sealed = seal(&request, NOW).expect("it makes an envelope");
    assert_eq!(value(&sealed.envelope)["expiration"], "9999-12-30T22:00:00Z");
}

#[test]
fn a_cloud_event_is_its_own_envelope() {
    let payload = br#"{"id":"7","datacontenttype":"application/json","big":123456789012345678901,"z":1,"topic":"mine","traceid":"t","data":{"n":1.10}}"#;
    let envelope = sealed("Application/CloudEvents+JSON; charset=utf-8", payload);
    let expected = r#"{"id":"7","datacontenttype":"application/json","big":123456789012345678901,"z":1,"data":{"n":1.10},"source":"Dapr","type":"com.dapr.event.sent","specversion":"1.0","traceid":"","topic":"orders","pubsubname":"bus"}"#;
    assert_eq!(envelope, expected);
    let event = opened(&envelope);
    assert_eq!(
        (&*event.id, &*event.source, &event.data[..]),
        ("7", "Dapr", b"{\"n\":1.10}".as_slice())
    );
}

#[test]
fn a_cloud_event_keeps_what_it_says_of_itself() {
    let payload = br#"{"id":"a","id":"7","datacontenttype":"text/plain","source":"s","type":null,"specversion":"0.3","expiration":"2001-09-09T01:46:40Z","data":"x"}"#;
    let envelope = sealed(CLOUD_EVENT, payload);
    let expected = r#"{"id":"7","datacontenttype":"text/plain","source":"s","specversion":"0.3","expiration":"2001-09-09T01:46:40Z","data":"x","type":"com.dapr.event.sent","traceid":"","topic":"orders","pubsubname":"bus"}"#;
    assert_eq!(envelope, expected);
    assert_eq!(open("b", "t", &envelope, NOW), Ok(Opened::Expired));
}

#[test]
fn a_time_to_live_overrides_what_a_cloud_event_says() {
    let mut request = request(
        CLOUD_EVENT,
        br#"{"id":"7","datacontenttype":"text/plain","expiration":"never"}"#,
    );
    request.metadata.insert("ttlInSeconds".into(), "60".into());
    let sealed = seal(&request, NOW).expect("it makes an envelope");
    assert_eq!(value(&sealed.envelope)["expiration"], "2001-09-09T01:47:40Z");
}

#[test]
fn a_cloud_event_that_nobody_could_read_is_refused() {
    let refused = |payload: &[u8]| {
        let refused = seal(&request(CLOUD_EVENT, payload), NOW);
        refused.expect_err("it makes no envelope").0
    };
    let rows: [(&[u8], &str); 12] = [
        (b"", "the JSON ends too early (line 1, column 0)"),
        (b"[]", "it is no JSON object (line 1, column 0)"),
        (b"7", "it is no JSON object (line 1, column 1)"),
        (b"{\"id\":\"7\"", "the JSON ends too early (line 1, column 9)"),
        (b"{secret}", "it is no JSON (line 1, column 2)"),
        (b"{\"\xff\":1}", "it is not UTF-8"),
        (b"{}", "attribute id is missing"),
        (
            b"{\"id\":null,\"datacontenttype\":\"a\"}",
            "attribute id is missing",
        ),
        (
            b"{\"id\":7,\"datacontenttype\":\"a\"}",
            "attribute id is not a text",
        ),
        (b"{\"id\":\"7\"}", "attribute datacontenttype is missing"),
        (
            b"{\"id\":\"7\",\"datacontenttype\":\"a\",\"source\":[]}",
            "attribute source is not a text",
        ),
        (
            b"{\"id\":\"7\",\"datacontenttype\":\"a\",\"data_base64\":\"!\"}",
            "data_base64 is not base64",
        ),
    ];
    for (payload, expected) in rows {
        assert_eq!(refused(payload), expected, "{}", String::from_utf8_lossy(payload));
    }
}

#[test]
fn envelopes_of_other_publishers_are_read() {
    let read = |envelope: &'static str| opened(&Bytes::from_static(envelope.as_bytes()));
    let bare = read("{\"data\":\"x\"}");
    assert_eq!(
        (&*bare.id, &*bare.data_content_type, &bare.data[..]),
        ("", "", b"x".as_slice())
    );
    let escaped = read(r#"{"i\u0064":"a\"b","datacontenttype":"text/plain","data":"a\tb"}"#);
    assert_eq!((&*escaped.id, &escaped.data[..]), ("a\"b", b"a\tb".as_slice()));
    let structured = read(r#"{"datacontenttype":"text/plain","data":{"a": 1}}"#);
    assert_eq!(structured.data, "{\"a\":1}");
    let both = read(r#"{"datacontenttype":"application/json","data":{"a":1},"data_base64":"aGVsbG8="}"#);
    assert_eq!(both.data, "hello");
    let null = read(r#"{"datacontenttype":"application/json","data":1,"data_base64":null}"#);
    assert_eq!(null.data, "1");
    assert_eq!(read("{}").data, "");
}

#[test]
fn payloads_that_are_no_envelopes_are_not_delivered() {
    let rows: [(&[u8], &str); 5] = [
        (b"hello", "it is no JSON (line 1, column 1)"),
        (b"\"hello\"", "it is no JSON object (line 1, column 7)"),
        (b"\xff", "it is not UTF-8"),
        (b"{\"id\":7}", "attribute id is not a text"),
        (b"{\"data_base64\":\"!\"}", "data_base64 is not base64"),
    ];
    for (envelope, expected) in rows {
        let unread = open("b", "t", &Bytes::copy_from_slice(envelope), NOW);
        assert_eq!(unread, Err(Unreadable(expected.to_owned())));
    }
}

#[test]
fn delivered_data_shares_the_envelope() {
    let envelope = sealed("application/json", b"{\"a\":1}");
    let data = opened(&envelope).data;
    let inside = envelope.as_ptr_range().contains(&data.as_ptr());
    assert!(inside, "nothing is copied");
}
