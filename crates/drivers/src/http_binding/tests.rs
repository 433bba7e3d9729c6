use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base::{Kind, Result, limits};
use bytes::Bytes;
use http::{Request as HttpRequest, Response, StatusCode};
use http_body_util::Full;
use ports::binding::{Binding, Reply, Request};
use ports::{Driver, Metadata, conformance};
use serde_json::{Value, json};

use super::HttpBindingDriver;
use crate::testing;
use crate::testing::server::{self, Server};

async fn open(server: &Server, more: Value) -> Arc<dyn Binding> {
    let mut settings = testing::settings(json!({ "url": format!("http://{}/base", server.address) }));
    settings.0.extend(testing::settings(more).0);
    assert_eq!(HttpBindingDriver.validate(&settings), vec![]);
    let component = HttpBindingDriver
        .open("http", &settings, &testing::context())
        .await;
    component
        .expect("nothing is connected yet")
        .binding
        .expect("the driver offers it")
}

fn request(operation: &str, metadata: &[(&str, &str)]) -> Request {
    Request {
        operation: operation.to_owned(),
        data: Bytes::from_static(b"data"),
        metadata: metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    }
}

fn status(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new("body".into()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

fn moved(status_code: u16, location: &str) -> Response<Full<Bytes>> {
    let mut response = status(status_code);
    response
        .headers_mut()
        .insert("location", location.parse().expect("a header"));
    response
}

#[track_caller]
fn check_error(outcome: Result<Reply>, kind: Kind, text: &str) {
    let error = outcome.expect_err("it fails");
    assert_eq!((error.kind(), error.message()), (kind, text));
}

/// Answers with what it saw.
async fn mirror() -> Server {
    server::http(|request: HttpRequest<Bytes>| async move {
        let header = |name| {
            request
                .headers()
                .get(name)
                .map(|value| value.to_str().expect("a text").to_owned())
        };
        let seen = json!({
            "line": format!("{} {}", request.method(), request.uri()), "host": header("host"),
            "accept": header("accept"), "type": header("content-type"), "one": header("x-one"),
            "body": String::from_utf8_lossy(request.body()),
        });
        Response::new(Full::new(seen.to_string().into()))
    })
    .await
}

#[tokio::test]
async fn it_is_a_binding() {
    let server = mirror().await;
    conformance::binding::all(conformance::binding::Given {
        binding: open(&server, json!({})).await,
        good: request("get", &[]),
    })
    .await;
}

#[tokio::test]
async fn the_service_sees_the_request_as_the_reference_makes_it() {
    let server = mirror().await;
    let binding = open(&server, json!({})).await;
    let metadata = [("path", "/a?b=1"), ("X-One", "1"), ("x-one", "2")];
    let json_type = "application/json; charset=utf-8";
    for (operation, line, content_type, body) in [
        ("create", "POST /base/a?b=1", json!(json_type), "data"),
        ("put", "PUT /base/a?b=1", json!(json_type), "data"),
        ("get", "GET /base/a?b=1", json!(null), ""),
    ] {
        let reply = binding
            .invoke(request(operation, &metadata))
            .await
            .expect("it answers");
        let seen: Value = serde_json::from_slice(&reply.data).expect("it is JSON");
        let expected = json!({
            "line": line, "host": server.address.to_string(), "accept": json_type, "type": content_type,
            "one": "1", "body": body,
        });
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn the_answer_s_head_is_metadata() {
    let server = server::raw(
        "HTTP/1.1 201 Made It\r\nContent-Length: 2\r\nConnection: close\r\netag: x\r\nX-Many: 1\r\nX-Many: 2\r\n\r\nok",
    )
    .await;
    let reply = open(&server, json!({}))
        .await
        .invoke(request("post", &[]))
        .await
        .expect("it is a success");
    let expected = [
        ("Content-Length", "2"),
        ("Etag", "x"),
        ("X-Many", "1, 2"),
        ("status", "201 Made It"),
        ("statusCode", "201"),
    ];
    let expected: Metadata = expected
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    assert_eq!(reply.metadata, expected);
    assert_eq!(reply.data, "ok");
}

#[tokio::test]
async fn a_status_that_is_no_success_is_an_error_unless_it_is_asked_for() {
    let server = server::http(|_| async { status(404) }).await;
    let binding = open(&server, json!({})).await;
    check_error(
        binding.invoke(request("get", &[])).await,
        Kind::Internal,
        "received status code 404",
    );
    let asked = binding
        .invoke(request("get", &[("errorIfNot2XX", "false")]))
        .await
        .expect("it was asked for");
    assert_eq!(
        (asked.data.as_ref(), asked.metadata["status"].as_str()),
        (&b"body"[..], "404 Not Found")
    );
    assert_eq!(server.sockets.accepted(), 1, "the connection is used again");
}

#[tokio::test]
async fn head_has_no_body_and_no_content_is_empty() {
    let server = server::http(|request: HttpRequest<Bytes>| async move {
        if request.method() == "HEAD" {
            status(200)
        } else {
            Response::builder()
                .status(204)
                .body(Full::default())
                .expect("a response")
        }
    })
    .await;
    let binding = open(&server, json!({})).await;
    let head = binding.invoke(request("head", &[])).await.expect("it answers");
    assert_eq!(
        (head.data.len(), head.metadata["Content-Length"].as_str()),
        (0, "4")
    );
    let empty = binding.invoke(request("delete", &[])).await.expect("it answers");
    assert_eq!(
        (empty.data.len(), empty.metadata["statusCode"].as_str()),
        (0, "204")
    );
}

#[tokio::test]
async fn redirects_are_followed_up_to_a_limit() {
    let elsewhere = mirror().await;
    let location = format!("http://{}/there", elsewhere.address);
    let server = server::http(move |request: HttpRequest<Bytes>| {
        let location = location.clone();
        async move {
            match request.uri().path() {
                "/base/loop" => moved(302, "loop"),
                "/base/secure" => moved(302, "https://host/"),
                "/base/nowhere" => status(302),
                _ => moved(308, &location),
            }
        }
    })
    .await;
    let binding = open(&server, json!({})).await;
    let reply = binding
        .invoke(request("put", &[("path", "x")]))
        .await
        .expect("it is followed");
    let seen: Value = serde_json::from_slice(&reply.data).expect("it is JSON");
    assert_eq!(
        (&seen["line"], &seen["body"]),
        (&json!("PUT /there"), &json!("data"))
    );
    elsewhere.sockets.until(0).await;
    let redirected = async |path| binding.invoke(request("get", &[("path", path)])).await;
    check_error(
        redirected("loop").await,
        Kind::Internal,
        "stopped after 10 redirects",
    );
    check_error(
        redirected("nowhere").await,
        Kind::Internal,
        "received status code 302",
    );
    let error = redirected("secure").await.expect_err("there is no TLS");
    assert!(error.message().contains("TLS is not built in"), "{error}");
}

/// Answers the first requests with these statuses, then with 200.
async fn failing(statuses: &'static [u16]) -> (Server, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let server = server::http(move |_| {
        let index = counted.fetch_add(1, Ordering::SeqCst);
        async move { status(statuses.get(index).copied().unwrap_or(200)) }
    })
    .await;
    (server, count)
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let (server, count) = failing(&[503, 502, 504]).await;
    let binding = open(&server, json!({ "retries": "3", "timeoutMs": 600_000 })).await;
    binding
        .invoke(request("get", &[]))
        .await
        .expect("the fourth attempt passes");
    assert_eq!(count.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn what_may_not_be_repeated_is_not() {
    for (operation, first, attempts) in [
        ("post", 503, 1),
        ("patch", 502, 1),
        ("get", 500, 1),
        ("put", 503, 2),
    ] {
        let statuses: &'static [u16] = match first {
            500 => &[500],
            502 => &[502],
            _ => &[503],
        };
        let (server, count) = failing(statuses).await;
        let binding = open(&server, json!({ "retries": 5, "timeoutMs": 600_000 })).await;
        drop(binding.invoke(request(operation, &[])).await);
        assert_eq!(count.load(Ordering::SeqCst), attempts, "{operation} {first}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_there_is_tried_again_with_any_operation() {
    let address = server::nobody().await;
    let server = Server {
        address,
        sockets: server::Sockets::none(),
    };
    let binding = open(&server, json!({ "retries": 1 })).await;
    let started = Instant::now();
    let text = format!("connect {address}: connection refused");
    check_error(binding.invoke(request("post", &[])).await, Kind::Internal, &text);
    assert!(
        started.elapsed() >= limits::RETRY_PAUSE_MIN,
        "there was a pause and another attempt"
    );
}

/// Case C53: a second attempt gets what is left of the time, and is cut off with it.
#[tokio::test]
async fn all_attempts_share_one_deadline() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    let server = server::http(move |_| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        async move { if first { status(503) } else { pending().await } }
    })
    .await;
    let timeout = Duration::from_millis(400);
    let binding = open(&server, json!({ "retries": 5, "timeoutMs": 400 })).await;
    let started = Instant::now();
    check_error(
        binding.invoke(request("get", &[])).await,
        Kind::DeadlineExceeded,
        "no answer within 400 ms",
    );
    assert!(started.elapsed() >= timeout && started.elapsed() < timeout + Duration::from_millis(300));
    assert_eq!(count.load(Ordering::SeqCst), 2);
    server.sockets.until(0).await;
}

/// Case C53: an attempt for which there is no time is not started, and the caller need not wait.
#[tokio::test]
async fn an_attempt_that_would_come_too_late_is_not_started() {
    let (server, count) = failing(&[503, 503, 503, 503, 503, 503]).await;
    let binding = open(&server, json!({ "retries": 5, "timeoutMs": 250 })).await;
    let outcome = binding.invoke(request("get", &[])).await;
    check_error(outcome, Kind::Internal, "received status code 503");
    assert_eq!(count.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn connections_are_bounded_and_waited_for() {
    let server = server::http(|_| pending()).await;
    let binding = open(&server, json!({ "connectionsMax": 1, "timeoutMs": 100 })).await;
    let outcomes = tokio::join!(
        binding.invoke(request("get", &[])),
        binding.invoke(request("get", &[]))
    );
    check_error(outcomes.0, Kind::DeadlineExceeded, "no answer within 100 ms");
    // Its deadline is a moment after the first one's: in that moment it may still find the place that came free.
    let error = outcomes.1.expect_err("the only connection was taken");
    assert_eq!(error.kind(), Kind::DeadlineExceeded);
    assert_eq!(server.sockets.peak(), 1);
}

#[tokio::test]
async fn the_answer_s_size_is_bounded() {
    let size = limits::HTTP_BODY_BYTES_MAX + 1;
    let server = server::raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")).await;
    let text = format!("the answer is larger than {} bytes", limits::HTTP_BODY_BYTES_MAX);
    let binding = open(&server, json!({})).await;
    check_error(binding.invoke(request("get", &[])).await, Kind::Internal, &text);
}

#[test]
fn all_findings_are_told_at_once() {
    let settings = testing::settings(json!({
        "url": "https://host/", "timeoutMs": 0, "retries": 11, "headersAllow": "a b, c", "headersDeny": ["ä"],
        "connectionsMax": "1025",
    }));
    let findings = HttpBindingDriver.validate(&settings);
    let paths: Vec<_> = findings.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "url",
            "timeoutMs",
            "retries",
            "headersAllow",
            "headersDeny",
            "connectionsMax"
        ]
    );
    assert!(findings[0].message.contains("TLS is not built in"));
}

#[test]
fn the_url_is_required() {
    let findings = HttpBindingDriver.validate(&testing::settings(json!({})));
    assert_eq!(findings[0].path, "url");
}
