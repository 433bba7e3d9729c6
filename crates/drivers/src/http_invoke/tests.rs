use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base::{Kind, limits};
use bytes::Bytes;
use futures::future::join_all;
use http::{Request, Response};
use http_body_util::Full;
use ports::invoke::{Invocation, Invoker};
use ports::{Driver, conformance};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::HttpInvokeDriver;
use super::invoke::HttpInvoker;
use crate::testing;
use crate::testing::server::{self, Server};

fn invoker(settings: Value) -> HttpInvoker {
    let settings = testing::settings(settings);
    assert_eq!(HttpInvokeDriver.validate(&settings), vec![]);
    let settings = settings.parse().expect("the settings are good");
    HttpInvoker::open(&settings).expect("nothing is connected yet")
}

/// An invoker with one service, called `app`.
fn to(server: &Server) -> HttpInvoker {
    invoker(json!({ "targets": [{ "id": "app", "url": format!("http://{}", server.address) }] }))
}

fn call(id: &str, method: &str) -> Invocation {
    Invocation {
        id: id.to_owned(),
        method: method.to_owned(),
        verb: "POST".to_owned(),
        query: String::new(),
        content_type: String::new(),
        headers: vec![],
        body: Bytes::new(),
        timeout: Duration::from_secs(10),
    }
}

/// `/echo` gives the body back, `/silent` never answers, all else is 404.
async fn app() -> Server {
    server::http(|request: Request<Bytes>| async move {
        match request.uri().path() {
            "/echo" => Response::new(Full::new(request.into_body())),
            "/silent" => pending().await,
            _ => {
                let mut response = Response::new(Full::new("not here".into()));
                *response.status_mut() = http::StatusCode::NOT_FOUND;
                response
            }
        }
    })
    .await
}

async fn check_error(invoker: &HttpInvoker, invocation: Invocation, kind: Kind, text: &str) {
    let error = invoker.invoke(invocation).await.map(drop).expect_err("it fails");
    assert_eq!((error.kind(), error.message()), (kind, text));
}

#[tokio::test]
async fn it_is_an_invoker() {
    let server = app().await;
    let invoker = invoker(json!({ "targets": [
        { "id": "app", "url": server.address.to_string() },
        { "id": "absent", "url": server::nobody().await.to_string() },
    ] }));
    conformance::invoke::all(conformance::invoke::Given {
        invoker: Arc::new(invoker),
        echo: call("app", "/echo"),
        silent: call("app", "/silent"),
        absent: call("absent", "/echo"),
    })
    .await;
}

#[tokio::test]
async fn the_service_sees_the_call_as_the_reference_makes_it() {
    let server = server::http(|request: Request<Bytes>| async move {
        let header = |name| {
            request
                .headers()
                .get(name)
                .map(|value| value.to_str().expect("a text").to_owned())
        };
        let seen = json!({
            "line": format!("{} {}", request.method(), request.uri()),
            "host": header("host"), "id": header("id"), "type": header("content-type"),
            "length": header("content-length"), "agent": header("user-agent"), "body": request.body().len(),
        });
        Response::new(Full::new(seen.to_string().into()))
    })
    .await;
    let invocation = Invocation {
        verb: "NONE".to_owned(),
        query: "a=1".to_owned(),
        content_type: "text/plain".to_owned(),
        headers: vec![("user-agent".to_owned(), "grpc-node-js/1.8".into())],
        body: "hello".into(),
        ..call("app", "hello")
    };
    let reply = to(&server).invoke(invocation).await.expect("it answers");
    let seen: Value = serde_json::from_slice(&reply.body).expect("it is JSON");
    let expected = json!({
        "line": "GET /hello?a=1", "host": "localhost", "id": "app", "type": "text/plain",
        "length": "5", "agent": null, "body": 5,
    });
    assert_eq!(seen, expected);
}

/// Case C51: what belongs to the service's connection must not reach the caller's.
#[tokio::test]
async fn headers_of_the_service_s_connection_stay_behind() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
         Trailer: X-Sum\r\nUpgrade: h2c\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Latin: caf\u{e9}\r\n\
         Content-Type: text/plain\r\nContent-Encoding: gzip\r\ngrpc-status: 13\r\n\r\n";
    let latin: Vec<u8> = head.chars().map(|letter| letter as u8).collect();
    let body = b"\x1f\x8b\x08\x00\x00\x00";
    let server = server::raw([&latin[..], body].concat()).await;
    let reply = to(&server).invoke(call("app", "/")).await.expect("it answers");
    assert_eq!(reply.content_type, "text/plain");
    assert_eq!(reply.body.as_ref(), body, "a compressed body is passed through");
    let headers: Vec<_> = reply
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_ref()))
        .collect();
    let expected: [(&str, &[u8]); 4] = [
        ("set-cookie", b"a=1"),
        ("set-cookie", b"b=2"),
        ("x-latin", b"caf\xe9"),
        ("content-encoding", b"gzip"),
    ];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn a_chunked_answer_with_trailers_is_one_body() {
    let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Sum: 1\r\n\r\n";
    let server = server::raw(answer).await;
    let reply = to(&server).invoke(call("app", "/")).await.expect("it answers");
    assert_eq!(reply.body, "hello world");
    assert_eq!(reply.headers, vec![]);
}

#[tokio::test]
async fn only_status_200_is_a_success() {
    let server = app().await;
    let text = "http response code 404, body: not here";
    check_error(&to(&server), call("app", "/nosuch"), Kind::Unavailable, text).await;
    let created = server::raw("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok").await;
    let text = "http response code 201, body: ok";
    check_error(&to(&created), call("app", "/"), Kind::Unavailable, text).await;
}

#[tokio::test]
async fn a_failed_answer_s_body_is_cut_at_a_limit() {
    let body = "é".repeat(limits::ERROR_BODY_BYTES_MAX);
    let answer = format!("HTTP/1.1 500 No\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let server = server::raw(answer).await;
    let text = format!(
        "http response code 500, body: {}",
        "é".repeat(limits::ERROR_BODY_BYTES_MAX / 2)
    );
    let invoker = to(&server);
    check_error(&invoker, call("app", "/"), Kind::Unavailable, &text).await;
    server.sockets.until(0).await;
    assert_eq!(invoker.pool("app").open_count(), 0, "the rest is not waited for");
}

#[tokio::test]
async fn calls_in_turn_share_one_connection() {
    let server = app().await;
    let invoker = to(&server);
    for _ in 0..20 {
        invoker.invoke(call("app", "/echo")).await.expect("it answers");
        let missing = invoker.invoke(call("app", "/nosuch")).await;
        missing.map(drop).expect_err("it is a 404");
    }
    assert_eq!(server.sockets.accepted(), 1);
}

/// Case C88: many calls at once use as many connections as the limit says, and none is left when they are over.
#[tokio::test]
async fn connections_are_bounded_and_go_away() {
    let server = app().await;
    let invoker = to(&server);
    for _ in 0..3 {
        let calls = (0..200).map(|_| invoker.invoke(call("app", "/echo")));
        for outcome in join_all(calls).await {
            outcome.expect("it answers");
        }
    }
    assert!(
        server.sockets.peak() <= limits::OUTBOUND_CONNECTIONS_MAX,
        "{}",
        server.sockets.peak()
    );
    assert!(
        server.sockets.accepted() <= limits::OUTBOUND_CONNECTIONS_MAX,
        "they are used again"
    );
    tokio::time::pause();
    tokio::time::advance(limits::OUTBOUND_IDLE).await;
    server.sockets.until(0).await;
    assert_eq!(invoker.pool("app").open_count(), 0);
    tokio::time::resume();
    invoker
        .invoke(call("app", "/echo"))
        .await
        .expect("it connects again");
}

#[tokio::test]
async fn threads_share_the_limit() {
    let server = app().await;
    let url = server.address.to_string();
    let invoker = invoker(json!({ "targets": [{ "id": "*", "url": url }], "connectionsMax": "3" }));
    let invoker = Arc::new(invoker);
    // A connection ends with its thread's runtime, so every runtime goes on until all calls are answered.
    let all_answered = Arc::new(tokio::sync::Barrier::new(4));
    let calls = || {
        let (invoker, all_answered) = (invoker.clone(), all_answered.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        std::thread::spawn(move || {
            runtime.expect("a runtime").block_on(async {
                let outcomes = join_all((0..50).map(|_| invoker.invoke(call("app", "/echo")))).await;
                all_answered.wait().await;
                outcomes.into_iter().filter(Result::is_ok).count()
            })
        })
    };
    for thread in [calls(), calls(), calls(), calls()] {
        let joined = tokio::task::spawn_blocking(|| thread.join()).await;
        assert_eq!(joined.expect("the thread ends").expect("no panic"), 50);
    }
    assert!(server.sockets.peak() <= 3, "{}", server.sockets.peak());
}

#[tokio::test]
async fn whoever_finds_no_connection_waits_until_the_deadline() {
    let (arrived, heard) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, go_on) = (arrived.clone(), heard.clone());
    let server = server::http(move |_| {
        let (tell, go_on) = (tell.clone(), go_on.clone());
        async move {
            tell.notify_one();
            go_on.notified().await;
            Response::default()
        }
    })
    .await;
    let url = server.address.to_string();
    let invoker = invoker(json!({ "targets": [{ "id": "app", "url": url }], "connectionsMax": 1 }));
    let second = async {
        arrived.notified().await;
        let invocation = Invocation {
            timeout: Duration::from_millis(50),
            ..call("app", "/")
        };
        check_error(
            &invoker,
            invocation,
            Kind::DeadlineExceeded,
            "connection pool timeout",
        )
        .await;
        heard.notify_one();
    };
    let (first, ()) = tokio::join!(invoker.invoke(call("app", "/")), second);
    first.expect("it is answered");
}

#[tokio::test]
async fn a_call_without_an_answer_is_unavailable_and_closes_its_connection() {
    let server = app().await;
    let invoker = to(&server);
    let invocation = Invocation {
        timeout: Duration::from_millis(30),
        ..call("app", "/silent")
    };
    check_error(&invoker, invocation, Kind::Unavailable, "no answer within 30 ms").await;
    server.sockets.until(0).await;
    assert_eq!(invoker.pool("app").open_count(), 0);
}

#[tokio::test]
async fn a_dropped_call_closes_its_connection() {
    let server = app().await;
    let invoker = to(&server);
    tokio::select! {
        _ = invoker.invoke(call("app", "/silent")) => panic!("nobody answers"),
        () = server.sockets.until(1) => {}
    }
    server.sockets.until(0).await;
    assert_eq!(invoker.pool("app").open_count(), 0);
}

#[tokio::test]
async fn a_service_that_closes_its_connections_is_called_on_new_ones() {
    let server = server::raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
    let invoker = to(&server);
    for _ in 0..5 {
        assert_eq!(
            invoker.invoke(call("app", "/")).await.expect("it answers").body,
            "ok"
        );
    }
    assert_eq!(server.sockets.accepted(), 5);
}

/// Case C90: calls to what is not there, or breaks, leave nothing behind.
#[tokio::test]
async fn calling_what_is_not_there_leaves_nothing() {
    let reset = server::accept(|stream| async move {
        stream.set_zero_linger().expect("it is a TCP socket");
        drop(stream);
    })
    .await;
    let silent = server::accept(|stream| async move {
        drop(stream.readable().await);
        drop(stream);
    })
    .await;
    let invoker = invoker(json!({ "targets": [
        { "id": "refused", "url": server::nobody().await.to_string() },
        { "id": "reset", "url": reset.address.to_string() },
        { "id": "broken", "url": silent.address.to_string() },
    ] }));
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    for (id, count) in [("refused", 20_000), ("reset", 500), ("broken", 500)] {
        for _ in 0..count {
            let error = invoker
                .invoke(call(id, "/"))
                .await
                .map(drop)
                .expect_err("it can't answer");
            assert_eq!(error.kind(), Kind::Unavailable, "{id}: {error}");
        }
        assert_eq!(invoker.pool(id).open_count(), 0, "{id}");
    }
    reset.sockets.until(0).await;
    silent.sockets.until(0).await;
    while metrics.num_alive_tasks() > before {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_answer_s_size_is_bounded() {
    let size = limits::HTTP_BODY_BYTES_MAX + 1;
    let server = server::raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")).await;
    let text = format!("the answer is larger than {} bytes", limits::HTTP_BODY_BYTES_MAX);
    check_error(&to(&server), call("app", "/"), Kind::Unavailable, &text).await;
}

#[tokio::test]
async fn one_deadline_covers_head_and_body() {
    let server = server::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await;
    let invocation = Invocation {
        timeout: Duration::from_millis(50),
        ..call("app", "/")
    };
    let started = Instant::now();
    check_error(
        &to(&server),
        invocation,
        Kind::Unavailable,
        "no answer within 50 ms",
    )
    .await;
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_unix_socket_is_called_like_any_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("app.sock");
    let listener = tokio::net::UnixListener::bind(&path).expect("the path is free");
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    base::task::spawn("test server", async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut request = [0; 1_024];
            drop(stream.read(&mut request).await);
            drop(
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    .await,
            );
        }
    });
    let url = format!("unix:{}", path.display());
    let invoker = invoker(json!({ "targets": [{ "id": "app", "url": url }] }));
    assert_eq!(
        invoker.invoke(call("app", "/")).await.expect("it answers").body,
        "ok"
    );
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[test]
fn all_findings_are_told_at_once() {
    let settings = testing::settings(json!({
        "targets": [{ "id": "app", "url": "https://host:1" }], "hostHeader": "a\nb", "connectionsMax": 0,
    }));
    let findings = HttpInvokeDriver.validate(&settings);
    let paths: Vec<_> = findings.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(paths, ["targets.0.url", "connectionsMax", "hostHeader"]);
    assert!(findings[0].message.contains("TLS is not built in"));
}
