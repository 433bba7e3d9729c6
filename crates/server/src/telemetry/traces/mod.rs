//! Traces to an OpenTelemetry collector, when one is configured; otherwise callers' contexts only pass through.
//!
//! Only with the cargo feature `otlp`. Without it the same names exist and starting fails with a clear message.

#[cfg(feature = "otlp")]
mod otlp;
#[cfg(feature = "otlp")]
pub(super) use otlp::Span;
#[cfg(feature = "otlp")]
pub use otlp::Traces;

#[cfg(not(feature = "otlp"))]
mod without;
#[cfg(not(feature = "otlp"))]
pub(super) use without::Span;
#[cfg(not(feature = "otlp"))]
pub use without::Traces;

#[cfg(all(test, feature = "otlp"))]
mod tests;
