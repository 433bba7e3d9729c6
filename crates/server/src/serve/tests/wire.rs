//! What a client sees of a call's end, down to the frames.

use bytes::{BufMut, Bytes, BytesMut};
use http::{Request, header};
use tokio::net::TcpStream;
use tonic::Code;

use super::harness::Server;

#[tokio::test]
async fn a_panic_is_internal_and_costs_only_its_own_call() {
    let mut client = Server::start().client().await;
    let failed = client.call("panic").await.expect_err("as asked");
    assert_eq!(failed.code(), Code::Internal);
    assert!(failed.message().contains("BLY0001"), "{failed}");
    let mut stream = client.stream("panic").await.expect("it begins");
    stream.message().await.expect("the first message");
    let broken = stream.message().await.expect_err("as asked");
    assert_eq!(broken.code(), Code::Internal);
    assert_eq!(client.call("next").await.expect("the connection lives"), "next");
}

#[tokio::test]
async fn a_transfer_arrives_whole() {
    let mut client = Server::start().client().await;
    let mut stream = client.stream("100").await.expect("served");
    let mut bytes = 0;
    while let Some(message) = stream.message().await.expect("no error") {
        bytes += message.len();
    }
    assert_eq!(bytes, 100 * (64 << 10));
    let chunks = futures::stream::iter((0..100).map(|_| "x".repeat(64 << 10)));
    assert_eq!(client.upload(chunks).await.expect("served"), bytes.to_string());
}

#[tokio::test]
async fn a_trace_context_reaches_the_handler() {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut client = Server::start().client().await;
    let mut traced = tonic::Request::new("trace".to_owned());
    traced
        .metadata_mut()
        .insert("traceparent", parent.parse().expect("ASCII"));
    assert_eq!(client.call_with(traced).await.expect("served"), parent);
    assert_eq!(client.call("trace").await.expect("served"), "");
}

/// An upload of 100 MiB that is refused at its first message: the client reads why, whatever it still has to send.
#[tokio::test]
async fn an_early_no_reaches_a_client_that_is_still_sending() {
    let mut client = Server::start().client().await;
    let chunks = std::iter::once("refuse".to_owned()).chain((0..1_600).map(|_| "x".repeat(64 << 10)));
    let refused = client
        .upload(futures::stream::iter(chunks))
        .await
        .expect_err("refused");
    assert_eq!(
        (refused.code(), refused.message()),
        (Code::InvalidArgument, "the mode is missing")
    );
    assert_eq!(client.call("next").await.expect("the connection lives"), "next");
}

/// A proxy passes the status on only if the reset behind it is no error.
#[tokio::test]
async fn an_early_no_is_followed_by_a_reset_without_error() {
    let server = Server::start();
    let socket = TcpStream::connect(&server.address).await.expect("it listens");
    let (mut requests, connection) = h2::client::handshake(socket).await.expect("a preface");
    drop(base::task::spawn("connection", connection));
    let request = Request::post("http://belay/test.Echo/Upload")
        .header(header::CONTENT_TYPE, "application/grpc")
        .body(())
        .expect("plain");
    let (answer, mut upload) = requests.send_request(request, false).expect("open");
    upload
        .send_data(message("refuse"), false)
        .expect("room in the window");
    let answer = answer.await.expect("the head is the status");
    assert_eq!(answer.headers()["grpc-status"], "3");
    let reset = std::future::poll_fn(|cx| upload.poll_reset(cx)).await;
    assert_eq!(reset.expect("the connection lives"), h2::Reason::NO_ERROR);
}

/// A text as protobuf's `StringValue`, in gRPC's frame.
fn message(text: &str) -> Bytes {
    let encoded = prost::Message::encode_to_vec(&text.to_owned());
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(encoded.len()).expect("short"));
    frame.put_slice(&encoded);
    frame.freeze()
}
