//! Log, metrics and traces.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Address;

/// Log, metrics and traces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The log, on standard error.
    pub log: Log,
    /// Where traces go. Default: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<Otlp>,
    /// Prometheus metrics. They are always at `/metrics` of the admin listener as well.
    pub metrics: Metrics,
}

/// The log, on standard error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `text` for people, `json` for machines. Default: `text`.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace` or `off`; more for a part: `info,belay::serve=debug`. Default: `info`.
    #[schemars(extend("format" = super::format::LOG_LEVEL))]
    pub level: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

impl LogFormat {
    pub(in crate::config) fn name(self) -> &'static str {
        match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        }
    }
}

/// Traces, to an OpenTelemetry collector over OTLP/gRPC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Otlp {
    /// The collector: `http://127.0.0.1:4317`.
    #[schemars(extend("format" = super::format::URL))]
    pub endpoint: String,
    /// Which part of the traces that begin here is kept, 0 to 1; traces that a caller began follow the caller. Default: 1.
    #[serde(default = "everything")]
    #[schemars(range(min = 0, max = 1))]
    pub sample_ratio: f64,
}

fn everything() -> f64 {
    1.0
}

/// A listener for metrics alone, beside the admin listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Where: `host:port`, `unix:/path` or `off`. Default: `off`.
    pub listen: Address,
    /// Under which path. Default: `/metrics`.
    #[schemars(extend("format" = super::format::HTTP_PATH))]
    pub path: String,
}

impl Default for Log {
    fn default() -> Log {
        Log {
            format: LogFormat::Text,
            level: "info".into(),
        }
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            listen: Address::Off,
            path: "/metrics".into(),
        }
    }
}
