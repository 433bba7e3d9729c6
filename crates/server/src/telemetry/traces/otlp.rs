//! Spans over OTLP. They go through a bounded queue to a thread of their own, which loses them when the collector does
//! not keep up: a call never waits for its trace.

use base::{Error, Result, codes, limits, trace};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState,
    Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span as SdkSpan,
};

use crate::config::Otlp;
use crate::telemetry::methods::Method;

#[derive(Clone)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// A call that is being served.
pub(in crate::telemetry) struct Span(SdkSpan);

impl Traces {
    /// The service's name is the application's id, or `belay`. The connection to the collector lives on that runtime, which
    /// must go on until [`Traces::stop`] has returned.
    pub fn start(settings: &Otlp, service_name: &str, runtime: &tokio::runtime::Handle) -> Result<Traces> {
        let _inside = runtime.enter();
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(&settings.endpoint)
            .with_timeout(limits::TRACE_EXPORT_DEADLINE)
            .build()
            .map_err(|cause| {
                let endpoint = &settings.endpoint;
                Error::new(
                    codes::CONFIG_INVALID,
                    format!("traces cannot go to {endpoint}: write it as http://host:4317"),
                )
                .because(cause)
            })?;
        let queue = BatchConfigBuilder::default()
            .with_max_queue_size(limits::TRACE_SPANS_MAX)
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(
                BatchSpanProcessor::builder(exporter)
                    .with_batch_config(queue)
                    .build(),
            )
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
                settings.sample_ratio,
            ))))
            .with_resource(
                Resource::builder()
                    .with_service_name(service_name.to_owned())
                    .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
                    .build(),
            )
            .build();
        let tracer = provider.tracer("belay");
        Ok(Traces { provider, tracer })
    }

    pub(in crate::telemetry) fn begin(&self, method: &Method, parent: Option<&trace::Context>) -> Span {
        let parent = match parent.and_then(remote) {
            Some(remote) => Context::new().with_remote_span_context(remote),
            None => Context::new(),
        };
        // Named and tagged by OpenTelemetry's conventions for RPC.
        let span = self
            .tracer
            .span_builder(method.path[1..].to_owned())
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("rpc.system", "grpc"),
                KeyValue::new("rpc.service", method.service.to_string()),
                KeyValue::new("rpc.method", method.name.to_string()),
            ])
            .start_with_context(&self.tracer, &parent);
        Span(span)
    }

    /// Sends what is queued, for as long as one export may take. Blocks.
    pub fn stop(&self) {
        if let Err(cause) = self.provider.shutdown_with_timeout(limits::TRACE_EXPORT_DEADLINE) {
            tracing::warn!(%cause, "the last traces were not exported");
        }
    }
}

impl Span {
    /// What goes to whoever this call calls.
    pub(in crate::telemetry) fn context(&self) -> trace::Context {
        let context = self.0.span_context();
        let parent = format!(
            "00-{}-{}-{:02x}",
            context.trace_id(),
            context.span_id(),
            context.trace_flags().to_u8() & TraceFlags::SAMPLED.to_u8()
        );
        let state = context.trace_state().header();
        trace::Context::parse(&parent, Some(&state)).expect("the library makes valid ids")
    }

    pub(in crate::telemetry) fn end(mut self, code: i32) {
        self.0
            .set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(code)));
        // Of the codes that a server answers with, only those that are its own fault make a span an error.
        if matches!(code, 2 | 4 | 12 | 13 | 14 | 15) {
            self.0.set_status(Status::error(""));
        }
        self.0.end();
    }
}

fn remote(context: &trace::Context) -> Option<SpanContext> {
    let mut fields = context.traceparent().split('-').skip(1);
    let trace_id = TraceId::from_hex(fields.next()?).ok()?;
    let span_id = SpanId::from_hex(fields.next()?).ok()?;
    let flags = u8::from_str_radix(fields.next()?, 16).ok()?;
    let state = context.tracestate().unwrap_or_default();
    let state = state.parse::<TraceState>().unwrap_or_default();
    Some(SpanContext::new(
        trace_id,
        span_id,
        TraceFlags::new(flags),
        true,
        state,
    ))
}
