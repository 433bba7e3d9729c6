//! What a client may ask for at most, as a real client meets it.

use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use http::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use super::harness::{PATIENCE, Server, Setup};
use crate::serve::Limits;

fn limited(change: impl FnOnce(&mut Limits)) -> Server {
    let mut limits = Limits::default();
    change(&mut limits);
    let setup = Setup {
        limits,
        ..Setup::default()
    };
    setup.start()
}

#[tokio::test]
async fn a_message_over_4_mib_is_resource_exhausted() {
    let mut client = Server::start().client().await;
    let refused = client.call("x".repeat(5 << 20)).await.expect_err("too large");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert_eq!(
        refused.message(),
        "grpc: received message larger than max (5242885 vs. 4194304)"
    );
    assert_eq!(client.call("next").await.expect("the connection lives"), "next");
}

#[tokio::test]
async fn the_limit_of_streams_is_told_to_the_client() {
    let server = limited(|limits| limits.streams_per_connection_max = 3);
    let socket = TcpStream::connect(&server.address).await.expect("it listens");
    let (_requests, mut connection) = h2::client::handshake(socket).await.expect("a preface");
    std::future::poll_fn(|cx| match connection.poll_unpin(cx) {
        Poll::Ready(ended) => panic!("the connection ended: {ended:?}"),
        Poll::Pending if connection.max_concurrent_send_streams() == 3 => Poll::Ready(()),
        Poll::Pending => Poll::Pending,
    })
    .await;
}

#[tokio::test]
async fn headers_over_their_limit_are_refused_and_the_connection_lives() {
    let server = limited(|limits| limits.header_list_bytes_max = 4_096);
    let mut client = server.client().await;
    let mut large = tonic::Request::new("large".to_owned());
    let value = "x".repeat(8_192).parse().expect("ASCII");
    large.metadata_mut().insert("large", value);
    client.call_with(large).await.expect_err("too large");
    assert_eq!(client.call("small").await.expect("served"), "small");
}

#[tokio::test]
async fn a_unary_call_ends_at_the_deadline_and_a_stream_goes_on() {
    let server = limited(|limits| limits.request_deadline = Duration::from_millis(50));
    let mut client = server.client().await;
    let mut news = client.stream("news").await.expect("served");
    assert_eq!(news.message().await.expect("a message").as_deref(), Some("hello"));
    let late = client.call("wait").await.expect_err("nobody releases it");
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert!(late.message().contains("BLY0004"), "{late}");
    assert!(
        futures::poll!(news.next()).is_pending(),
        "the older stream is still open"
    );
}

#[tokio::test]
async fn a_callers_shorter_deadline_counts() {
    let mut client = Server::start().client().await;
    let mut hasty = tonic::Request::new("wait".to_owned());
    hasty.set_timeout(Duration::from_millis(50));
    let late = client.call_with(hasty).await.expect_err("nobody releases it");
    assert!(
        matches!(late.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{late}"
    );
}

/// A client that is frozen, or whose packets no longer arrive, holds nothing for long.
#[tokio::test]
async fn a_client_that_answers_no_ping_is_cut() {
    let server = limited(|limits| {
        limits.keep_alive.interval = Duration::from_millis(20);
        limits.keep_alive.timeout = Duration::from_millis(20);
    });
    let mut alive = server.client().await;
    let mut frozen = TcpStream::connect(&server.address).await.expect("it listens");
    let settings = b"\0\0\0\x04\0\0\0\0\0";
    frozen
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .expect("open");
    frozen.write_all(settings).await.expect("open");
    let mut ignored = Vec::new();
    let cut = tokio::time::timeout(PATIENCE, frozen.read_to_end(&mut ignored)).await;
    cut.expect("in time").expect("closed, not reset");
    assert_eq!(
        alive.call("still here").await.expect("it answers pings"),
        "still here"
    );
}

/// CVE-2023-44487: streams opened and reset at once cost the server work and the client nothing.
#[tokio::test]
async fn a_rapid_reset_is_answered_by_closing_the_connection() {
    let server = Server::start();
    let mut client = server.client().await;
    let socket = TcpStream::connect(&server.address).await.expect("it listens");
    let (mut requests, connection) = h2::client::Builder::new()
        .max_concurrent_reset_streams(10_000)
        .handshake::<_, Bytes>(socket)
        .await
        .expect("a preface");
    for _ in 0..500 {
        let request = Request::post("http://belay/test.Echo/Call")
            .body(())
            .expect("plain");
        let Ok((_answer, mut stream)) = requests.send_request(request, false) else {
            break;
        };
        stream.send_reset(h2::Reason::CANCEL);
    }
    let ended = connection.await.expect_err("closed by the server");
    // Whether the client still reads why depends on how much it was writing when the server closed.
    assert!(
        ended.is_io() || ended.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM),
        "{ended}"
    );
    assert_eq!(client.call("others").await.expect("unharmed"), "others");
}
