use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base::{Kind, limits};
use bytes::{BufMut, Bytes, BytesMut};
use futures::future::join_all;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ports::invoke::{Invocation, Invoker};
use ports::{Driver, conformance};
use serde_json::{Value, json};

use super::GrpcInvokeDriver;
use crate::testing;
use crate::testing::server::{self, Server};

async fn invoker(settings: Value) -> Arc<dyn Invoker> {
    let settings = testing::settings(settings);
    assert_eq!(GrpcInvokeDriver.validate(&settings), vec![]);
    let component = GrpcInvokeDriver
        .open("grpc", &settings, &testing::context())
        .await;
    component
        .expect("nothing is connected yet")
        .invoke
        .expect("the driver offers it")
}

async fn to(server: &Server) -> Arc<dyn Invoker> {
    invoker(json!({ "targets": [{ "id": "app", "url": server.address.to_string() }] })).await
}

fn call(id: &str, method: &str) -> Invocation {
    Invocation {
        id: id.to_owned(),
        method: method.to_owned(),
        verb: String::new(),
        query: String::new(),
        content_type: String::new(),
        headers: vec![],
        body: Bytes::from_static(b"message"),
        timeout: Duration::from_secs(10),
    }
}

/// How many calls a service has at once.
#[derive(Default)]
struct Busy {
    now: AtomicUsize,
    peak: AtomicUsize,
}

/// A service written against the wire: `Echo` gives the message back, `Silent` never answers, `Headers` tells what it saw,
/// `Broken` closes the stream, all else fails with the status in the method's name.
async fn app() -> (Server, Arc<Busy>) {
    let busy = Arc::new(Busy::default());
    let counted = busy.clone();
    let server = server::accept(move |stream| {
        let busy = counted.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let busy = busy.clone();
            async move {
                let now = busy.now.fetch_add(1, Ordering::SeqCst) + 1;
                busy.peak.fetch_max(now, Ordering::SeqCst);
                let response = answer(server::whole(request).await).await;
                busy.now.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, Infallible>(response)
            }
        });
        let connection = http2::Builder::new(TokioExecutor::new())
            .max_concurrent_streams(10)
            .serve_connection(TokioIo::new(stream), service);
        async move { drop(connection.await) }
    })
    .await;
    (server, busy)
}

type Answer = Response<http_body_util::combinators::BoxBody<Bytes, Infallible>>;

async fn answer(request: Request<Bytes>) -> Answer {
    match request.uri().path() {
        "/test.App/Echo" => success(request.body().slice(5..)),
        "/test.App/Silent" => pending().await,
        "/test.App/Headers" => {
            let headers = request.headers().iter();
            let seen = headers.map(|(name, value)| (name.as_str(), value.to_str().expect("a text")));
            success(Value::from_iter(seen).to_string().into())
        }
        path => {
            let status = path.rsplit('/').next().expect("it has a name");
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", status.parse().expect("a header"));
            trailers.insert("grpc-message", "not%20here".parse().expect("a header"));
            with_trailers(Bytes::new(), trailers)
        }
    }
}

fn success(message: Bytes) -> Answer {
    let mut frame = BytesMut::new();
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).expect("it is small"));
    frame.put(message);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().expect("a header"));
    trailers.insert("x-trailer", "t".parse().expect("a header"));
    with_trailers(frame.freeze(), trailers)
}

fn with_trailers(body: Bytes, trailers: HeaderMap) -> Answer {
    let body = Full::new(body).with_trailers(async move { Some(Ok(trailers)) });
    let mut response = Response::new(body.boxed());
    let headers = response.headers_mut();
    headers.insert(
        "content-type",
        "application/grpc+proto".parse().expect("a header"),
    );
    headers.append("x-many", "1".parse().expect("a header"));
    headers.append("x-many", "2".parse().expect("a header"));
    response
}

#[tokio::test]
async fn it_is_an_invoker() {
    let (server, _) = app().await;
    let invoker = invoker(json!({ "targets": [
        { "id": "app", "url": format!("http://{}", server.address) },
        { "id": "absent", "url": server::nobody().await.to_string() },
    ] }))
    .await;
    conformance::invoke::all(conformance::invoke::Given {
        invoker,
        echo: call("app", "test.App/Echo"),
        silent: call("app", "/test.App/Silent"),
        absent: call("absent", "test.App/Echo"),
    })
    .await;
}

#[tokio::test]
async fn headers_travel_both_ways() {
    let (server, _) = app().await;
    let headers = [
        ("x-one", "1"),
        ("x-one", "2"),
        ("te", "gzip"),
        ("grpc-timeout", "1H"),
        ("content-type", "a/b"),
    ];
    let invocation = Invocation {
        headers: headers
            .map(|(name, value)| (name.to_owned(), value.into()))
            .to_vec(),
        ..call("app", "test.App/Headers")
    };
    let reply = to(&server).await.invoke(invocation).await.expect("it answers");
    let seen: Value = serde_json::from_slice(&reply.body).expect("it is JSON");
    assert_eq!((&seen["x-one"], &seen["te"]), (&json!("2"), &json!("trailers")));
    assert_eq!(seen["content-type"], "application/grpc");
    let timeout = seen["grpc-timeout"]
        .as_str()
        .expect("the service knows the time that is left");
    assert!(
        timeout.ends_with('u') || timeout.ends_with('n') || timeout.ends_with('m'),
        "{timeout}"
    );
    assert_eq!(reply.content_type, "application/grpc+proto");
    let headers: Vec<_> = reply
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_ref()))
        .collect();
    for expected in [("x-many", &b"1"[..]), ("x-many", b"2"), ("x-trailer", b"t")] {
        assert!(headers.contains(&expected), "{expected:?}");
    }
    assert!(!headers.iter().any(|(name, _)| name.starts_with("grpc-")));
}

#[tokio::test]
async fn a_status_keeps_its_kind_and_message() {
    let (server, _) = app().await;
    let invoker = to(&server).await;
    for kind in Kind::ALL {
        let method = format!("test.App/{}", kind.grpc());
        let error = invoker
            .invoke(call("app", &method))
            .await
            .map(drop)
            .expect_err("it fails");
        assert_eq!((error.kind(), error.message()), (kind, "not here"));
    }
}

#[tokio::test]
async fn a_call_without_an_answer_times_out() {
    let (server, busy) = app().await;
    let invocation = Invocation {
        timeout: Duration::from_millis(30),
        ..call("app", "test.App/Silent")
    };
    let error = to(&server)
        .await
        .invoke(invocation)
        .await
        .map(drop)
        .expect_err("nobody answers");
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::DeadlineExceeded, "request timeout")
    );
    assert_eq!(busy.peak.load(Ordering::SeqCst), 1);
}

/// Case C88: a service that takes ten calls at once gets ten, the others wait, and one connection is enough.
#[tokio::test]
async fn a_service_s_own_limit_is_respected() {
    let (server, busy) = app().await;
    let invoker = to(&server).await;
    let calls = (0..200).map(|_| invoker.invoke(call("app", "test.App/Echo")));
    for outcome in join_all(calls).await {
        outcome.expect("it answers");
    }
    assert!(busy.peak.load(Ordering::SeqCst) <= 10);
    assert_eq!(server.sockets.accepted(), 1);
}

#[tokio::test]
async fn whoever_finds_no_place_waits_until_the_deadline() {
    let (server, _) = app().await;
    let url = server.address.to_string();
    let invoker = invoker(json!({ "targets": [{ "id": "*", "url": url }], "connectionsMax": "1" })).await;
    let call = |timeout_ms| {
        invoker.invoke(Invocation {
            timeout: Duration::from_millis(timeout_ms),
            ..call("app", "test.App/Silent")
        })
    };
    let holding = join_all((0..limits::OUTBOUND_STREAMS_PER_CONNECTION).map(|_| call(300)));
    let (_, waiting) = tokio::join!(holding, call(100));
    let error = waiting.map(drop).expect_err("all places are taken");
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::DeadlineExceeded, "connection pool timeout")
    );
}

/// Case C90: calls to what is not there leave nothing behind, and a service that comes back is found.
#[tokio::test]
async fn calling_what_is_not_there_leaves_nothing() {
    let address = server::nobody().await;
    let invoker = invoker(json!({ "targets": [{ "id": "app", "url": address.to_string() }] })).await;
    let metrics = tokio::runtime::Handle::current().metrics();
    let fail = async || {
        let error = invoker
            .invoke(call("app", "test.App/Echo"))
            .await
            .map(drop)
            .expect_err("nobody listens");
        assert_eq!(
            (error.kind(), error.message()),
            (
                Kind::Unavailable,
                &*format!("connect {address}: connection refused")
            )
        );
    };
    fail().await;
    let before = metrics.num_alive_tasks();
    for _ in 0..5_000 {
        fail().await;
    }
    assert!(
        metrics.num_alive_tasks() <= before,
        "{} tasks",
        metrics.num_alive_tasks()
    );
}

#[tokio::test]
async fn a_connection_that_broke_is_made_again() {
    let (server, _) = app().await;
    let count = Arc::new(AtomicUsize::new(0));
    let (address, counted) = (server.address, count.clone());
    // A relay that cuts its first connection off after the service's first bytes.
    let relay = server::accept(move |mut client| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let mut service = tokio::net::TcpStream::connect(address).await.expect("it listens");
            if first {
                drop(client.readable().await);
            } else {
                drop(tokio::io::copy_bidirectional(&mut client, &mut service).await);
            }
        }
    })
    .await;
    let invoker = to(&relay).await;
    let broken = invoker.invoke(call("app", "test.App/Echo")).await.map(drop);
    assert_eq!(broken.expect_err("it was cut off").kind(), Kind::Unavailable);
    let reply = invoker
        .invoke(call("app", "test.App/Echo"))
        .await
        .expect("it answers");
    assert_eq!(reply.body, "message");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_is_no_grpc_is_unavailable() {
    let server = server::raw("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    let error = to(&server)
        .await
        .invoke(call("app", "test.App/Echo"))
        .await
        .map(drop);
    assert_eq!(error.expect_err("it is HTTP/1.1").kind(), Kind::Unavailable);
}

#[tokio::test]
async fn what_is_no_method_is_named() {
    let (server, _) = app().await;
    let invoker = to(&server).await;
    for method in [
        "",
        "Echo",
        "a/b/c",
        "test.App/",
        "/test.App/Echo?x=1",
        "test App/Echo",
    ] {
        let error = invoker
            .invoke(call("app", method))
            .await
            .map(drop)
            .expect_err(method);
        let text = format!("method {method} is not package.Service/Method");
        assert_eq!((error.kind(), error.message()), (Kind::InvalidArgument, &*text));
    }
}

#[tokio::test]
async fn a_unix_socket_is_called_like_any_other() {
    let (server, _) = app().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).expect("the path is free");
    base::task::spawn("relay", async move {
        let (mut client, _) = listener.accept().await.expect("somebody calls");
        let mut service = tokio::net::TcpStream::connect(server.address)
            .await
            .expect("it listens");
        drop(tokio::io::copy_bidirectional(&mut client, &mut service).await);
    });
    let url = format!("unix:{}", path.display());
    let invoker = invoker(json!({ "targets": [{ "id": "app", "url": url }] })).await;
    let reply = invoker
        .invoke(call("app", "test.App/Echo"))
        .await
        .expect("it answers");
    assert_eq!(reply.body, "message");
}

#[test]
fn all_findings_are_told_at_once() {
    let settings = testing::settings(json!({
        "targets": [{ "id": "app", "url": "https://host:1" }], "connectionsMax": 0,
    }));
    let findings = GrpcInvokeDriver.validate(&settings);
    let paths: Vec<_> = findings.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(paths, ["targets.0.url", "connectionsMax"]);
}
