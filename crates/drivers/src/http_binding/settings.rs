//! What can be set.

use base::limits;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::settings;

/// Settings of `http-binding`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HttpBinding {
    /// The URL that is called, or that each request's `path` is joined to: `http://host:port/path`. `https` is not possible
    /// yet. Required.
    #[serde(default)]
    pub url: String,
    /// How long one request may take, with all its redirects and attempts, in milliseconds. 1 ms to 24 h, default 10000.
    #[serde(default = "timeout_ms", deserialize_with = "settings::lenient_u64")]
    #[schemars(schema_with = "settings::u64_schema")]
    pub timeout_ms: u64,
    /// Attempts after the first one: when nobody could be connected to, and, for operations that may be repeated (`get`,
    /// `head`, `put`, `delete`, `options`, `trace`), when the connection broke or the answer was 502, 503 or 504. Pauses
    /// between attempts begin with 100 ms and double. All attempts share the one timeout. 0 to 10, default 0.
    #[serde(default, deserialize_with = "settings::lenient_u64")]
    #[schemars(schema_with = "settings::u64_schema")]
    pub retries: u64,
    /// Headers that requests may bring along in their metadata, all others are dropped; a list, or a text with commas.
    /// Default: empty, which means all.
    #[serde(default, deserialize_with = "settings::lenient_list")]
    #[schemars(schema_with = "settings::list_schema")]
    pub headers_allow: Vec<String>,
    /// Headers of requests' metadata that are dropped, even if they are allowed. Default: none.
    #[serde(default, deserialize_with = "settings::lenient_list")]
    #[schemars(schema_with = "settings::list_schema")]
    pub headers_deny: Vec<String>,
    /// Connections that may be open at once; a request that finds none waits for one until its timeout. 1 to 1024, default
    /// 64.
    #[serde(default = "connections_max", deserialize_with = "settings::lenient_u64")]
    #[schemars(schema_with = "settings::u64_schema")]
    pub connections_max: u64,
}

fn timeout_ms() -> u64 {
    u64::try_from(limits::BINDING_TIMEOUT.as_millis()).expect("it is 10 s")
}

fn connections_max() -> u64 {
    limits::OUTBOUND_CONNECTIONS_MAX as u64
}
