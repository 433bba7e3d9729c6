//! Entry points for fuzzers: what clients send as text or bytes. `fuzz/` drives them with libFuzzer, the tests here with
//! damaged samples. None may panic, whatever the bytes are.

use std::collections::HashMap;

use base::Timestamp;
use bytes::Bytes;
use wire::layotto::PublishEventRequest;

use crate::callback::Address;
use crate::envelope::{Opened, open, seal};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A stored envelope, as a group reads it.
pub fn envelope(bytes: &[u8]) {
    let _ = open("pubsub", "topic", &Bytes::copy_from_slice(bytes), NOW);
}

/// A content type and, behind the first line, what is published under it. What is taken can be delivered.
pub fn publish(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let content_type = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let data = Bytes::copy_from_slice(parts.next().unwrap_or_default());
    let request = PublishEventRequest {
        pubsub_name: "pubsub".into(),
        topic: "topic".into(),
        data: data.clone(),
        data_content_type: content_type.clone(),
        metadata: HashMap::new(),
    };
    let Ok(sealed) = seal(&request, NOW) else { return };
    let opened = open("pubsub", "topic", &sealed.envelope, NOW).expect("what was taken can be read");
    if let Opened::Event(event) = opened
        && !content_type.to_ascii_lowercase().contains("json")
    {
        assert_eq!(event.data, data, "under {content_type:?}");
    }
}

/// Texts in the metadata of calls, headers and settings.
pub fn texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let metadata = HashMap::from([("ttlInSeconds".to_owned(), text.clone().into_owned())]);
    let _ = crate::convert::ttl("key", &metadata, None);
    let _ = Address::parse(&text);
    if let Some(context) = base::trace::Context::parse(&text, Some(&text)) {
        assert_eq!(context.traceparent(), text);
    }
}

#[cfg(test)]
mod tests {
    use testkit::mutate::storm;

    const EVENT: &[u8] = br#"{"id":"1","specversion":"1.0","datacontenttype":"application/json","source":"s","type":"t","topic":"t","pubsubname":"p","traceid":"","expiration":"2023-11-14T22:13:20Z","data":{"a": [1, "\u00e9\"", null]}}"#;
    const BINARY: &[u8] = br#"{"id":"1","specversion":"1.0","datacontenttype":"application/octet-stream","source":"s","type":"t","data_base64":"AAEC","ext":"x"}"#;

    #[test]
    fn envelopes_of_any_bytes_are_read_or_refused() {
        storm(&[EVENT, BINARY, b"{}", b""], 50_000, super::envelope);
    }

    #[test]
    fn what_is_published_can_be_delivered() {
        let event = [b"application/cloudevents+json\n", EVENT].concat();
        let binary = [b"application/cloudevents+json\n", BINARY].concat();
        let samples: [&[u8]; 6] = [
            &event,
            &binary,
            b"application/json; charset=utf-8\n{\"a\" : [1, 2.50, \"x\\u0000\"]}",
            b"text/plain\n\"quoted\" and {not json}",
            b"application/octet-stream\n\0\x01\xff",
            b"\nno type",
        ];
        storm(&samples, 50_000, super::publish);
    }

    #[test]
    fn texts_of_any_bytes_are_read_or_refused() {
        let samples: [&[u8]; 6] = [
            b"60",
            b"-1",
            b"127.0.0.1:9999",
            b"[::1]:80",
            b"unix:/tmp/app.sock",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ];
        storm(&samples, 50_000, super::texts);
    }
}
