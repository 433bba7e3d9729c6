//! Spans as a collector receives them.

use std::convert::Infallible;

use base::trace::Context;
use http::{HeaderValue, Request, Response};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::{Layer as _, ServiceExt, service_fn};

use super::Traces;
use crate::config::Otlp;
use crate::serve::Runtimes;
use crate::telemetry::flow::Rules;
use crate::telemetry::methods::Methods;
use crate::telemetry::{Metrics, rpc};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

struct Collector(mpsc::Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        drop(self.0.try_send(request.into_inner()));
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

struct Harness {
    /// The exporter lives on one of them.
    _runtimes: Runtimes,
    traces: Traces,
    exported: mpsc::Receiver<ExportTraceServiceRequest>,
}

impl Harness {
    async fn start(sample_ratio: f64) -> Harness {
        let runtimes = Runtimes::start(1).expect("threads");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
        let (exports, exported) = mpsc::channel(8);
        let serving = tonic::transport::Server::builder()
            .add_service(TraceServiceServer::new(Collector(exports)))
            .serve_with_incoming(TcpListenerStream::new(listener));
        drop(base::task::spawn("collector", serving));
        let settings = Otlp {
            endpoint,
            sample_ratio,
        };
        let traces = Traces::start(&settings, "orders", runtimes.admin()).expect("a good endpoint");
        Harness {
            _runtimes: runtimes,
            traces,
            exported,
        }
    }

    /// Serves one call and gives the context that its handler saw.
    async fn call(&self, parent: Option<&'static str>, answer: Response<Body>) -> Context {
        let layer = rpc::Layer::new(rpc::Settings {
            methods: Methods::of(
                &[tonic_health::pb::FILE_DESCRIPTOR_SET],
                &["grpc.health.v1.Health"],
                &Rules::default(),
                &Metrics::new(),
            )
            .expect("described"),
            deadline: base::limits::REQUEST_DEADLINE,
            drain: CancellationToken::new(),
            traces: Some(self.traces.clone()),
        });
        let (seen, context) = std::sync::mpsc::channel();
        let answer = std::sync::Arc::new(parking_lot::Mutex::new(Some(answer)));
        let handler = service_fn(move |_: Request<Body>| {
            let (seen, answer) = (seen.clone(), answer.clone());
            async move {
                seen.send(base::trace::current()).expect("the test waits");
                Ok::<_, Infallible>(answer.lock().take().expect("called once"))
            }
        });
        let mut request = Request::post("/grpc.health.v1.Health/Check")
            .body(Body::empty())
            .expect("plain");
        if let Some(parent) = parent {
            request
                .headers_mut()
                .insert("traceparent", HeaderValue::from_static(parent));
        }
        drop(layer.layer(handler).oneshot(request).await);
        context
            .recv()
            .expect("the handler ran")
            .expect("spans always have one")
    }

    /// What was exported until the end.
    async fn spans(mut self) -> Vec<(String, Span)> {
        let traces = self.traces.clone();
        let stopping = tokio::task::spawn_blocking(move || traces.stop());
        stopping.await.expect("no panic");
        self.exported.close();
        let mut spans = Vec::new();
        while let Some(export) = self.exported.recv().await {
            for resource in export.resource_spans {
                let attributes = format!("{:?}", resource.resource);
                let found = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
                spans.extend(found.map(|span| (attributes.clone(), span)));
            }
        }
        spans
    }
}

fn failed() -> Response<Body> {
    tonic::Status::unavailable("down").into_http()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_call_continues_its_callers_trace() {
    let harness = Harness::start(0.0).await;
    let context = harness.call(Some(PARENT), failed()).await;
    assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_ne!(context.traceparent(), PARENT, "the span is ours");
    let spans = harness.spans().await;
    let [(resource, span)] = &spans[..] else {
        panic!("not one span: {spans:?}")
    };
    assert!(resource.contains("orders"), "{resource}");
    assert_eq!(span.name, "grpc.health.v1.Health/Check");
    assert_eq!(hex(&span.trace_id), context.trace_id());
    assert_eq!(hex(&span.span_id), &context.traceparent()[36..52]);
    assert_eq!(hex(&span.parent_span_id), &PARENT[36..52]);
    assert_eq!(span.kind(), SpanKind::Server);
    assert_eq!(
        span.status.as_ref().map(|status| status.code()),
        Some(StatusCode::Error)
    );
    assert!(format!("{:?}", span.attributes).contains("rpc.grpc.status_code"));
}

#[tokio::test]
async fn a_call_without_a_trace_begins_one() {
    let harness = Harness::start(1.0).await;
    let context = harness.call(None, failed()).await;
    let spans = harness.spans().await;
    assert_eq!(spans.len(), 1);
    assert_eq!(hex(&spans[0].1.trace_id), context.trace_id());
    assert_eq!(hex(&spans[0].1.parent_span_id), "");
}

#[tokio::test]
async fn a_trace_that_is_not_sampled_travels_on_and_is_not_exported() {
    let harness = Harness::start(0.0).await;
    let context = harness.call(None, failed()).await;
    assert!(context.traceparent().ends_with("-00"));
    assert!(harness.spans().await.is_empty());
}

#[tokio::test]
async fn a_collector_that_is_away_stops_nothing() {
    let runtimes = Runtimes::start(1).expect("threads");
    let settings = Otlp {
        endpoint: "http://127.0.0.1:1".to_owned(),
        sample_ratio: 1.0,
    };
    let traces = Traces::start(&settings, "orders", runtimes.admin()).expect("a good endpoint");
    let (_, exported) = mpsc::channel(1);
    let harness = Harness {
        _runtimes: runtimes,
        traces,
        exported,
    };
    harness.call(None, failed()).await;
    assert!(harness.spans().await.is_empty());
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_is_named() {
    let runtimes = Runtimes::start(1).expect("threads");
    for endpoint in ["https://collector:4317", "not an address"] {
        let settings = Otlp {
            endpoint: endpoint.to_owned(),
            sample_ratio: 1.0,
        };
        let error = Traces::start(&settings, "orders", runtimes.admin())
            .err()
            .expect("refused");
        assert!(error.message().contains(endpoint), "{error}");
    }
}
