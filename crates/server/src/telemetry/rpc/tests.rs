//! The layer around handlers that misbehave in every way, without a network and on a clock that jumps.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use base::limits;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::{Layer as _, Service as _, ServiceExt, service_fn};

use super::*;
use crate::telemetry::Metrics;
use crate::telemetry::flow::Rules;
use crate::telemetry::methods::Methods;

const UNARY: &str = "/grpc.health.v1.Health/Check";
const STREAM: &str = "/grpc.health.v1.Health/Watch";
const DEADLINE: Duration = Duration::from_secs(60);

struct Harness {
    layer: Layer,
    metrics: Metrics,
    drain: CancellationToken,
}

impl Harness {
    fn new() -> Harness {
        Harness::with(Rules::default(), &[])
    }

    /// Its one unary method waits.
    fn waiting() -> Harness {
        Harness::with(Rules::default(), &[UNARY])
    }

    fn with(rules: Rules, waiting: &[&str]) -> Harness {
        let (metrics, drain) = (Metrics::new(), CancellationToken::new());
        let descriptors = [tonic_health::pb::FILE_DESCRIPTOR_SET];
        let layer = Layer::new(Settings {
            methods: Methods::of(&descriptors, &["grpc.health.v1.Health"], &rules, &metrics)
                .and_then(|methods| methods.waiting(waiting))
                .expect("described"),
            deadline: DEADLINE,
            drain: drain.clone(),
            traces: None,
        });
        Harness {
            layer,
            metrics,
            drain,
        }
    }

    async fn call<F>(
        &self,
        request: Request<Body>,
        handler: impl FnOnce(Request<Body>) -> F + Clone,
    ) -> Response<Observed>
    where
        F: Future<Output = Response<Body>>,
    {
        let inner = service_fn(move |request| {
            let running = (handler.clone())(request);
            async move { Ok::<_, Infallible>(running.await) }
        });
        self.layer
            .layer(inner)
            .oneshot(request)
            .await
            .expect("infallible")
    }

    #[track_caller]
    fn counted(&self, line: &str) {
        let page = self.metrics.encode().expect("plain metrics");
        assert!(page.lines().any(|found| found == line), "no {line} in\n{page}");
    }
}

fn request(path: &str) -> Request<Body> {
    Request::post(path).body(Body::empty()).expect("a plain request")
}

/// A body that does as it is told, frame by frame.
struct Script(Vec<Step>);

enum Step {
    Data,
    Trailers(i32),
    Panic,
    Silence,
}

impl http_body::Body for Script {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        if matches!(self.0.first(), Some(Step::Silence)) {
            return Poll::Pending;
        }
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(match self.0.remove(0) {
            Step::Data => Frame::data(Bytes::from_static(b"frame")),
            Step::Trailers(code) => {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from(code));
                Frame::trailers(trailers)
            }
            Step::Panic => panic!("the stream broke"),
            Step::Silence => unreachable!("handled above"),
        })))
    }
}

fn script(steps: impl Into<Vec<Step>>) -> Response<Body> {
    Response::new(Body::new(Script(steps.into())))
}

fn status(headers: &HeaderMap) -> Option<&str> {
    headers.get("grpc-status")?.to_str().ok()
}

fn message(headers: &HeaderMap) -> &str {
    headers["grpc-message"].to_str().expect("ASCII")
}

async fn trailers(response: Response<Observed>) -> HeaderMap {
    let collected = response
        .into_body()
        .collect()
        .await
        .expect("no transport fails here");
    collected
        .trailers()
        .cloned()
        .expect("every stream ends with a status")
}

#[tokio::test]
async fn a_call_is_counted_by_its_trailers() {
    let harness = Harness::new();
    let answered = harness
        .call(request(UNARY), |_| async {
            script([Step::Data, Step::Trailers(0)])
        })
        .await;
    harness.counted(r#"grpc_requests_in_flight{service="grpc.health.v1.Health",method="Check"} 1"#);
    assert_eq!(status(&trailers(answered).await), Some("0"));
    harness.counted(r#"grpc_requests_total{service="grpc.health.v1.Health",method="Check",code="OK"} 1"#);
    harness.counted(r#"grpc_requests_in_flight{service="grpc.health.v1.Health",method="Check"} 0"#);
    harness
        .counted(r#"grpc_request_duration_seconds_count{service="grpc.health.v1.Health",method="Check"} 1"#);
    harness.counted(r#"grpc_request_total{service="/grpc.health.v1.Health/Check"} 1.0"#);
    harness.counted(r#"grpc_response_succ_total{service="/grpc.health.v1.Health/Check"} 1.0"#);
    harness.counted(r#"grpc_response_fail_total{service="/grpc.health.v1.Health/Check"} 0.0"#);
}

#[tokio::test]
async fn an_error_without_a_body_is_counted_by_its_headers() {
    let harness = Harness::new();
    let failing = |_| async { tonic::Status::not_found("no such key").into_http() };
    let answered = harness.call(request(UNARY), failing).await;
    assert_eq!(
        (status(answered.headers()), message(answered.headers())),
        (Some("5"), "no%20such%20key")
    );
    harness
        .counted(r#"grpc_requests_total{service="grpc.health.v1.Health",method="Check",code="NOT_FOUND"} 1"#);
    harness.counted(r#"grpc_response_fail_total{service="/grpc.health.v1.Health/Check"} 1.0"#);
}

#[tokio::test]
async fn streams_have_none_of_layottos_counters() {
    let harness = Harness::new();
    let answered = harness
        .call(request(STREAM), |_| async { script([Step::Trailers(0)]) })
        .await;
    trailers(answered).await;
    assert!(
        !harness
            .metrics
            .encode()
            .expect("plain")
            .contains("grpc_request_total{")
    );
}

#[tokio::test(start_paused = true)]
async fn a_unary_call_ends_at_its_deadline() {
    let harness = Harness::new();
    let begun = tokio::time::Instant::now();
    let answered = harness.call(request(UNARY), |_| std::future::pending()).await;
    assert_eq!(status(answered.headers()), Some("4"));
    assert!(message(answered.headers()).contains("BLY0004"));
    assert_eq!(begun.elapsed().as_secs(), DEADLINE.as_secs());
    harness.counted(
        r#"grpc_requests_total{service="grpc.health.v1.Health",method="Check",code="DEADLINE_EXCEEDED"} 1"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_ends_at_its_callers_deadline() {
    let harness = Harness::waiting();
    let mut request = request(UNARY);
    let timeout = http::HeaderValue::from_static("500m");
    request.headers_mut().insert("grpc-timeout", timeout);
    let begun = tokio::time::Instant::now();
    let answered = harness.call(request, |_| std::future::pending()).await;
    assert_eq!(status(answered.headers()), Some("4"));
    let elapsed = begun.elapsed().as_millis();
    assert!((490..=510).contains(&elapsed), "{elapsed}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_has_no_deadline() {
    let harness = Harness::waiting();
    let late = |_| async {
        tokio::time::sleep(DEADLINE * 10).await;
        script([Step::Data, Step::Trailers(0)])
    };
    let answered = harness.call(request(UNARY), late).await;
    assert_eq!(status(&trailers(answered).await), Some("0"));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_ends_when_the_process_drains() {
    let harness = Harness::waiting();
    let call = harness.call(request(UNARY), |_| std::future::pending());
    let drain = async {
        tokio::task::yield_now().await;
        harness.drain.cancel();
    };
    let begun = tokio::time::Instant::now();
    let (answered, ()) = tokio::join!(call, drain);
    assert_eq!(status(answered.headers()), Some("14"));
    assert_eq!(
        begun.elapsed().as_millis(),
        limits::DRAIN_STREAM_SILENCE.as_millis()
    );
    harness.counted(
        r#"grpc_requests_total{service="grpc.health.v1.Health",method="Check",code="UNAVAILABLE"} 1"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_has_no_deadline() {
    let harness = Harness::new();
    let late = |_| async {
        tokio::time::sleep(DEADLINE * 10).await;
        script([Step::Data, Step::Trailers(0)])
    };
    let answered = harness.call(request(STREAM), late).await;
    assert_eq!(status(&trailers(answered).await), Some("0"));
}

#[tokio::test]
async fn a_call_that_is_dropped_was_cancelled() {
    let harness = Harness::new();
    let mut service = harness.layer.layer(service_fn(|_| {
        std::future::pending::<Result<Response<Body>, Infallible>>()
    }));
    drop(service.call(request(UNARY)));
    let answered = harness
        .call(request(UNARY), |_| async { script([Step::Silence]) })
        .await;
    drop(answered);
    harness
        .counted(r#"grpc_requests_total{service="grpc.health.v1.Health",method="Check",code="CANCELLED"} 2"#);
}

#[tokio::test]
async fn a_panic_anywhere_in_a_handler_is_internal() {
    let harness = Harness::new();
    let before = harness
        .call(request(UNARY), |_| -> std::future::Ready<Response<Body>> {
            panic!("before it began")
        })
        .await;
    assert_eq!(status(before.headers()), Some("13"));
    assert!(message(before.headers()).contains("BLY0001"));
    let within = harness
        .call(request(UNARY), |_| async { panic!("while it ran") })
        .await;
    assert_eq!(status(within.headers()), Some("13"));
    harness.counted(r#"grpc_panics_total{service="grpc.health.v1.Health",method="Check"} 2"#);
    harness
        .counted(r#"grpc_requests_total{service="grpc.health.v1.Health",method="Check",code="INTERNAL"} 2"#);
}

#[tokio::test]
async fn a_panic_in_the_middle_of_a_stream_ends_it_with_internal() {
    let harness = Harness::new();
    let breaking = |_| async { script([Step::Data, Step::Panic, Step::Data]) };
    let answered = harness.call(request(STREAM), breaking).await;
    let collected = answered
        .into_body()
        .collect()
        .await
        .expect("no transport fails here");
    assert_eq!(collected.trailers().and_then(status), Some("13"));
    assert_eq!(collected.to_bytes(), "frame");
    harness.counted(r#"grpc_panics_total{service="grpc.health.v1.Health",method="Watch"} 1"#);
}

#[tokio::test]
async fn unknown_methods_are_answered_here_and_make_no_series() {
    let harness = Harness::new();
    for path in ["/a.B/C", "/a.B/D", "/grpc.health.v1.Health/Nope", "/%25/x"] {
        let answered = harness
            .call(request(path), |_| async { panic!("nobody is asked") })
            .await;
        assert_eq!(status(answered.headers()), Some("12"), "{path}");
    }
    let answered = harness
        .call(request("/a.B/C"), |_| async { panic!("nobody is asked") })
        .await;
    assert_eq!(message(answered.headers()), "unknown service a.B");
    harness.counted(r#"grpc_requests_total{service="unknown",method="unknown",code="UNIMPLEMENTED"} 5"#);
    let page = harness.metrics.encode().expect("plain");
    assert!(!page.contains("a.B") && !page.contains("Nope"));
}

#[tokio::test]
async fn a_call_over_its_rate_is_refused_in_layottos_words() {
    let rules = Rules(BTreeMap::from([(UNARY.to_owned(), 5)]));
    let harness = Harness::with(rules, &[]);
    let mut refused = 0;
    for _ in 0..10 {
        let answered = harness
            .call(request(UNARY), |_| async { script([Step::Trailers(0)]) })
            .await;
        if status(answered.headers()) == Some("2") {
            assert_eq!(message(answered.headers()), "current request is limited");
            refused += 1;
        }
    }
    assert_eq!(refused, 5);
    harness.counted(r#"grpc_requests_limited_total{service="grpc.health.v1.Health",method="Check"} 5"#);
}

#[tokio::test]
async fn a_callers_trace_context_reaches_the_handler_unchanged() {
    let harness = Harness::new();
    let (parent, state) = (
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "a=1,b=2",
    );
    let mut traced = request(UNARY);
    traced
        .headers_mut()
        .insert("traceparent", HeaderValue::from_static(parent));
    traced
        .headers_mut()
        .append("tracestate", HeaderValue::from_static("a=1"));
    traced
        .headers_mut()
        .append("tracestate", HeaderValue::from_static("b=2"));
    let seen = |_| async {
        let mut response = script([Step::Trailers(0)]);
        let context = base::trace::current();
        response.extensions_mut().insert(context);
        response
    };
    let answered = harness.call(traced, seen).await;
    let context = answered
        .extensions()
        .get::<Option<base::trace::Context>>()
        .expect("set by the handler");
    assert_eq!(context, &base::trace::Context::parse(parent, Some(state)));
    assert!(context.is_some());
    let answered = harness.call(request(UNARY), seen).await;
    assert_eq!(
        answered.extensions().get::<Option<base::trace::Context>>(),
        Some(&None)
    );
}

#[tokio::test]
async fn an_oversized_message_is_refused_in_the_references_words() {
    let harness = Harness::new();
    let oversized = |_| async {
        let text =
            "Error, decoded message length too large: found 5242880 bytes, the limit is: 4194304 bytes";
        tonic::Status::out_of_range(text).into_http()
    };
    let answered = harness.call(request(UNARY), oversized).await;
    assert_eq!(status(answered.headers()), Some("8"));
    assert_eq!(
        message(answered.headers()),
        "grpc: received message larger than max (5242880 vs. 4194304)"
    );
    harness.counted(
        r#"grpc_requests_total{service="grpc.health.v1.Health",method="Check",code="RESOURCE_EXHAUSTED"} 1"#,
    );
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_a_stream_that_waits_for_news() {
    let harness = Harness::new();
    let waiting = |_| async { script([Step::Data, Step::Silence]) };
    let answered = harness.call(request(STREAM), waiting).await;
    let begun = tokio::time::Instant::now();
    harness.drain.cancel();
    let trailers = trailers(answered).await;
    assert_eq!(status(&trailers), Some("14"));
    assert_eq!(
        begun.elapsed().as_millis(),
        limits::DRAIN_STREAM_SILENCE.as_millis()
    );
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_end_a_transfer_that_is_under_way() {
    let harness = Harness::new();
    harness.drain.cancel();
    let transferring = |_| async {
        let frames = (0..1_000).map(|_| Step::Data).chain([Step::Trailers(0)]);
        script(frames.collect::<Vec<_>>())
    };
    let answered = harness.call(request(STREAM), transferring).await;
    let mut body = std::pin::pin!(answered.into_body());
    // A client that reads slowly: the frames are at hand whenever it asks.
    for _ in 0..1_000 {
        let frame = body
            .frame()
            .await
            .expect("more")
            .expect("no transport fails here");
        assert!(frame.is_data());
        tokio::time::advance(limits::DRAIN_STREAM_SILENCE * 2).await;
    }
    let last = body
        .frame()
        .await
        .expect("more")
        .expect("no transport fails here");
    assert_eq!(last.trailers_ref().and_then(status), Some("0"));
}
