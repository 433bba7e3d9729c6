//! `belay publish` and `belay subscribe`.

use serde_json::{Value, json};
use wire::layotto::TopicEventRequest;
use wire::layotto::topic_event_response::TopicEventResponseStatus::{Drop, Retry, Success};

use super::*;

fn event(id: &str, data: &'static [u8]) -> TopicEventRequest {
    TopicEventRequest {
        id: id.to_owned(),
        source: "runtime".into(),
        r#type: "com.runtime.event.sent".into(),
        data_content_type: "text/plain".into(),
        topic: "orders".into(),
        pubsub_name: "pub_subs_demo".into(),
        data: bytes::Bytes::from_static(data),
        ..TopicEventRequest::default()
    }
}

/// A server with three events, the last of them no text.
async fn server() -> Server {
    let server = Server::start().await;
    let events = vec![event("a", b"one"), event("b", b"two\n"), event("c", b"\xff")];
    server.fake.0.lock().events = events;
    server
}

fn settled(server: &Server) -> Vec<(String, i32)> {
    server.fake.0.lock().settled.clone()
}

const NOTE: &str = "subscribed to orders as group cli, Ctrl-C to stop\n";

#[tokio::test]
async fn an_event_is_published_with_all_that_was_said() {
    let server = Server::start().await;
    let arguments = [
        "publish",
        "orders",
        "{}",
        "--content-type",
        "application/json",
        "--key",
        "k",
        "--ttl",
        "9",
        "--metadata",
        "rawPayload=a=b",
        "--metadata",
        "partitionKey=other",
    ];
    server
        .belay(&arguments)
        .await
        .check(Exit::Ok, "published to orders (2 bytes)\n", "");
    let published = server.fake.0.lock().published.remove(0);
    assert_eq!(
        (published.pubsub_name.as_str(), published.topic.as_str()),
        ("pub_subs_demo", "orders")
    );
    assert_eq!(
        (&published.data[..], published.data_content_type.as_str()),
        (&b"{}"[..], "application/json")
    );
    let mut metadata: Vec<_> = published.metadata.into_iter().collect();
    metadata.sort();
    let expected = [
        ("partitionKey", "k"),
        ("rawPayload", "a=b"),
        ("ttlInSeconds", "9"),
    ];
    assert_eq!(
        metadata,
        expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
    );
}

#[tokio::test]
async fn an_event_may_be_any_bytes() {
    let server = Server::start().await;
    let publish = server
        .with_input(&["publish", "orders", "-", "--json"], b"\xff\x00")
        .await;
    let json = json!({"pubsub": "pub_subs_demo", "topic": "orders", "published": true, "size": 2});
    assert_eq!(publish.json(), json);
    let published = server.fake.0.lock().published.remove(0);
    assert_eq!(&published.data[..], b"\xff\x00");
    assert!(published.data_content_type.is_empty() && published.metadata.is_empty());
}

#[tokio::test]
async fn events_are_printed_and_settled_until_there_were_enough() {
    let server = server().await;
    let ran = server.belay(&["subscribe", "orders", "--count", "2"]).await;
    ran.check(Exit::Ok, "one\ntwo\n", NOTE);
    let success = Success as i32;
    assert_eq!(settled(&server), [("a".into(), success), ("b".into(), success)]);
    let subscribed = server
        .fake
        .0
        .lock()
        .subscribed
        .take()
        .expect("somebody subscribed");
    assert_eq!(
        (subscribed.pubsub_name.as_str(), subscribed.topic.as_str()),
        ("pub_subs_demo", "orders")
    );
    assert_eq!(
        subscribed.metadata,
        [("consumerID".to_owned(), "cli".to_owned())].into()
    );
}

#[tokio::test]
async fn events_can_be_refused_after_they_were_seen() {
    for (flag, answer) in [("--retry", Retry), ("--drop", Drop)] {
        let server = server().await;
        server
            .belay(&["subscribe", "orders", "-n", "1", flag, "--group", "g"])
            .await;
        assert_eq!(settled(&server), [("a".into(), answer as i32)]);
        let subscribed = server
            .fake
            .0
            .lock()
            .subscribed
            .take()
            .expect("somebody subscribed");
        assert_eq!(subscribed.metadata["consumerID"], "g");
    }
}

#[tokio::test]
async fn programs_get_one_object_per_event_and_no_remarks() {
    let server = server().await;
    let ran = server.belay(&["subscribe", "orders", "-n", "3", "--json"]).await;
    let events: Vec<Value> = ran
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object"))
        .collect();
    let expected = json!({
        "id": "a", "topic": "orders", "pubsub": "pub_subs_demo", "source": "runtime",
        "type": "com.runtime.event.sent", "content_type": "text/plain", "data": "one",
    });
    assert_eq!((&events[0], ran.err.as_str()), (&expected, ""));
    assert_eq!(
        (&events[1]["data"], &events[2]["data_base64"]),
        (&json!("two\n"), &json!("/w=="))
    );
}

/// Takes so many writes, then its reader has gone.
struct Reader(usize);

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_event_that_nobody_reads_is_not_settled() {
    let server = server().await;
    let arguments = ["subscribe", "orders"];
    let ended = server
        .with_streams(&arguments, &mut io::empty(), &mut Reader(1))
        .await;
    assert_eq!(
        ended,
        (Exit::Ok, NOTE.to_owned()),
        "a reader that has gone is no failure"
    );
    assert_eq!(
        settled(&server),
        [("a".into(), Success as i32)],
        "what was read is settled all the same"
    );
}

#[tokio::test]
async fn a_subscription_that_is_refused_says_why() {
    let server = Server::start().await;
    let ran = server.belay(&["subscribe", "busy"]).await;
    assert_eq!(ran.exit, Exit::Failed);
    assert!(
        ran.err.starts_with("error BLY0059: the group is full\n"),
        "{}",
        ran.err
    );
}
