use std::sync::atomic::Ordering;

use base::codes;
use bytes::Bytes;
use ports::invoke::Reply;
use tokio::time::Instant;
use tonic::Code;
use tonic::metadata::MetadataMap;
use wire::layotto::runtime_server::Runtime;

use super::*;
use crate::components::Components;
use crate::testing::{Fakes, assert_refused, run, service};

fn request(extension: Option<(i32, &str)>) -> pb::InvokeServiceRequest {
    let http_extension = extension.map(|(verb, query)| pb::HttpExtension {
        verb,
        querystring: query.into(),
    });
    pb::InvokeServiceRequest {
        id: "HelloService:1.0".into(),
        message: Some(pb::CommonInvokeRequest {
            method: "/hello".into(),
            data: Some(prost_types::Any {
                type_url: "ignored".into(),
                value: b"hello runtime".to_vec(),
            }),
            content_type: "text/plain".into(),
            http_extension,
        }),
    }
}

fn replying(headers: &[(&str, &[u8])]) -> Fakes {
    let fakes = Fakes::default();
    let headers = headers.iter();
    *fakes.services.reply.lock() = Some(Reply {
        content_type: "text/html".into(),
        headers: headers
            .map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value)))
            .collect(),
        body: "GET /hello".into(),
    });
    fakes
}

#[tokio::test]
async fn a_call_reaches_the_service_and_its_answer_the_caller() {
    let fakes = replying(&[]);
    let mut client = fakes.run().await.client;
    let reply = client.invoke_service(request(Some((3, "a=1&b=2")))).await;
    let reply = reply.expect("the service answers").into_inner();
    let data = reply.data.expect("there is a body");
    assert_eq!(
        (data.type_url.as_str(), data.value.as_slice()),
        ("", &b"GET /hello"[..])
    );
    assert_eq!(reply.content_type, "text/html");
    let asked = fakes.services.asked.lock().remove(0);
    assert_eq!(
        (asked.id.as_str(), asked.method.as_str()),
        ("HelloService:1.0", "/hello")
    );
    assert_eq!((asked.verb.as_str(), asked.query.as_str()), ("POST", "a=1&b=2"));
    assert_eq!(
        (asked.content_type.as_str(), asked.body.as_ref()),
        ("text/plain", &b"hello runtime"[..])
    );
    assert_eq!(asked.timeout, limits::INVOKE_TIMEOUT);
}

#[tokio::test]
async fn no_verb_is_get_and_no_message_is_an_empty_one() {
    let fakes = replying(&[]);
    let mut client = fakes.run().await.client;
    for extension in [None, Some((0, ""))] {
        client
            .invoke_service(request(extension))
            .await
            .expect("the service answers");
    }
    client
        .invoke_service(pb::InvokeServiceRequest::default())
        .await
        .expect("the service answers");
    let asked = fakes.services.asked.lock();
    assert!(asked.iter().all(|invocation| invocation.verb == "GET"));
    assert_eq!(
        (asked[2].method.as_str(), asked[2].content_type.as_str()),
        ("", "")
    );
    assert!(asked[2].body.is_empty());
}

#[tokio::test]
async fn only_headers_of_the_call_itself_travel_on() {
    let fakes = replying(&[]);
    let mut client = fakes.run().await.client;
    let mut request = Request::new(request(None));
    let metadata = request.metadata_mut();
    metadata.append("x-many", "1".parse().expect("it is ascii"));
    metadata.append("x-many", "2".parse().expect("it is ascii"));
    metadata.insert("timeout", "3000".parse().expect("it is ascii"));
    metadata.insert("rpc_request_timeout", "2000".parse().expect("it is ascii"));
    metadata.insert("grpc-tags-of-mine", "x".parse().expect("it is ascii"));
    client.invoke_service(request).await.expect("the service answers");
    let asked = fakes.services.asked.lock().remove(0);
    let mut headers: Vec<(&str, &[u8])> = asked
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_ref()))
        .filter(|(name, _)| *name != "user-agent")
        .collect();
    headers.sort_unstable();
    let expected: [(&str, &[u8]); 4] = [
        ("rpc_request_timeout", b"2000"),
        ("timeout", b"3000"),
        ("x-many", b"1"),
        ("x-many", b"2"),
    ];
    assert_eq!(headers, expected);
    assert!(asked.headers.iter().any(|(name, _)| name == "user-agent"));
    assert_eq!(asked.timeout, Duration::from_secs(2));
}

/// Case C51.
#[tokio::test]
async fn the_services_headers_come_back_as_far_as_grpc_can_carry_them() {
    let fakes = replying(&[
        ("content-length", b"10"),
        ("Content-Type", b"text/html"),
        ("transfer-encoding", b"chunked"),
        ("Connection", b"close, X-Hop"),
        ("x-hop", b"1"),
        ("trailer", b"x-later"),
        ("keep-alive", b"timeout=5"),
        ("grpc-status", b"13"),
        ("set-cookie", b"a=1"),
        ("Set-Cookie", b"b=2"),
        ("x-german", "gr\u{fc}n".as_bytes()),
        ("x-tab", b"a\tb"),
        ("x-raw-bin", &[0, 255]),
        ("bad name", b"x"),
        ("content-encoding", b"gzip"),
    ]);
    let mut client = fakes.run().await.client;
    let reply = client
        .invoke_service(request(None))
        .await
        .expect("the service answers");
    let metadata = reply.metadata();
    let cookies: Vec<_> = metadata.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    assert_eq!(
        metadata.get("content-encoding").expect("it is end to end"),
        "gzip"
    );
    let binary = metadata.get_bin("x-raw-bin").expect("it is carried as base64");
    assert_eq!(binary.to_bytes().expect("it is base64"), &[0, 255][..]);
    for name in [
        "content-length",
        "transfer-encoding",
        "connection",
        "x-hop",
        "trailer",
        "x-german",
        "x-tab",
    ] {
        assert!(metadata.get(name).is_none(), "{name}");
    }
    assert_eq!(
        metadata.get("content-type").expect("it is grpc's own"),
        "application/grpc"
    );
    assert!(reply.into_inner().data.is_some());
}

#[tokio::test]
async fn without_an_invoker_the_call_is_unknown() {
    let mut client = run(Components::default()).await.client;
    let answer = client.invoke_service(request(None)).await;
    assert_refused(answer, Code::Unknown, "invoker not init");
}

#[tokio::test]
async fn a_verb_that_is_none_is_refused() {
    let mut client = replying(&[]).run().await.client;
    let answer = client.invoke_service(request(Some((42, "")))).await;
    assert_refused(
        answer,
        Code::InvalidArgument,
        "http_extension.verb 42 is not a verb",
    );
}

#[tokio::test]
async fn a_services_failure_keeps_its_text_and_some_codes() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let text = "http response code 404, body: nope";
    for (fault, code) in [
        (codes::INVOKE_FAILED, Code::Unavailable),
        (codes::INTERNAL, Code::Internal),
        (codes::INVALID_ARGUMENT, Code::InvalidArgument),
        (codes::TOO_MANY_REQUESTS, Code::ResourceExhausted),
        (codes::FILE_NOT_FOUND, Code::Unknown),
        (codes::FENCED, Code::Unknown),
        (codes::DEADLINE_EXCEEDED, Code::DeadlineExceeded),
    ] {
        fakes.services.fault.set(fault, text);
        assert_refused(client.invoke_service(request(None)).await, code, text);
    }
}

/// Timeout and its owner, from the two headers.
#[track_caller]
fn check_timeout(setting: Option<&str>, caller: Option<&str>, expected: (u64, Deadline)) {
    let expected = (Duration::from_millis(expected.0), expected.1);
    assert_eq!(
        timeout(&timeouts(setting, caller)),
        expected,
        "{setting:?} {caller:?}"
    );
}

/// Case C53.
#[test]
fn the_shorter_one_of_two_timeouts_counts() {
    use Deadline::{Caller, Setting};
    check_timeout(None, None, (3_000, Setting));
    check_timeout(Some("500"), None, (500, Setting));
    for nonsense in ["0", "-5", "soon", "", "1.5"] {
        check_timeout(Some(nonsense), None, (3_000, Setting));
    }
    for (text, millis) in [("2S", 2_000), ("250m", 250), ("99u", 0), ("5000000n", 5)] {
        let (timeout, owner) = timeout(&timeouts(None, Some(text)));
        assert_eq!((timeout.as_millis(), owner), (millis, Caller), "{text}");
    }
    check_timeout(Some("60000"), Some("1M"), (60_000, Setting));
    check_timeout(Some("60001"), Some("1M"), (60_000, Caller));
    check_timeout(Some("9000000"), Some("2H"), (7_200_000, Caller));
    for nonsense in ["", "S", "2", "2x", "-2S", "123456789m", "2\u{20}S"] {
        check_timeout(None, Some(nonsense), (3_000, Setting));
    }
}

fn timeouts(setting: Option<&str>, caller: Option<&str>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, text) in [(TIMEOUT, setting), ("grpc-timeout", caller)] {
        if let Some(text) = text {
            headers.insert(name, text.parse().expect("it is ascii"));
        }
    }
    headers
}

/// Case C53: who hears what, and when, from a service that does not answer; stuck, from one that keeps no time.
async fn check_silence(caller: Option<&str>, setting: Option<&str>, code: Code, millis: u64) {
    for stuck in [false, true] {
        let fakes = Fakes::default();
        fakes.services.stuck.store(stuck, Ordering::SeqCst);
        let service = service(fakes.components());
        let mut request = Request::new(request(None));
        *request.metadata_mut() = MetadataMap::from_headers(timeouts(setting, caller));
        let asked = Instant::now();
        let answer = service.invoke_service(request).await;
        let timeout = Duration::from_millis(millis);
        if stuck {
            let message = format!("service HelloService:1.0 did not answer within {millis} ms");
            assert_refused(answer, code, &message);
            assert_eq!(asked.elapsed(), timeout + limits::INVOKE_GRACE);
        } else {
            assert_refused(answer, code, "no answer in time");
            assert_eq!(asked.elapsed(), timeout);
        }
        assert_eq!(fakes.services.asked.lock()[0].timeout, timeout);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_does_not_answer_is_given_up_in_time() {
    check_silence(None, None, Code::Unavailable, 3_000).await;
    check_silence(None, Some("500"), Code::Unavailable, 500).await;
    check_silence(Some("2S"), None, Code::DeadlineExceeded, 2_000).await;
    check_silence(Some("2S"), Some("500"), Code::Unavailable, 500).await;
    check_silence(Some("8S"), None, Code::Unavailable, 3_000).await;
}

/// The service's part of the trace hangs below this call.
#[test]
fn the_trace_of_this_call_travels_on_instead_of_the_callers() {
    let parent = |span: &str| format!("00-0123456789abcdef0123456789abcdef-{span}-01");
    let (callers, own) = (parent("00000000000000aa"), parent("00000000000000bb"));
    let mut headers = http::HeaderMap::new();
    headers.insert("traceparent", callers.parse().expect("it is ascii"));
    let sent = |headers: &http::HeaderMap| -> Vec<String> {
        let all = super::end_to_end(headers);
        let traces = all.into_iter().filter(|(name, _)| name == "traceparent");
        traces
            .map(|(_, value)| String::from_utf8_lossy(&value).into_owned())
            .collect()
    };
    assert_eq!(
        sent(&headers),
        [callers],
        "outside of any trace it passes through"
    );
    let context = base::trace::Context::parse(&own, None).expect("a good one");
    assert_eq!(base::trace::within(&context, || sent(&headers)), [own]);
}
