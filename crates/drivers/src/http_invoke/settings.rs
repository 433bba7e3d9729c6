//! What can be set.

use base::limits;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::outbound::targets::Target;
use crate::settings;

/// Settings of `http-invoke`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct HttpInvoke {
    /// The services and their addresses. Required.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// The `Host` header of every request. Default: `localhost`, as Layotto sends it, because routers are configured for
    /// it; the service's id travels in the header `id`.
    #[serde(default = "localhost")]
    pub host_header: String,
    /// Connections to one address that may be open at once; a call that finds none waits for one until its deadline. 1 to
    /// 1024, default 64.
    #[serde(default = "connections_max", deserialize_with = "settings::lenient_u64")]
    #[schemars(schema_with = "settings::u64_schema")]
    pub connections_max: u64,
}

fn localhost() -> String {
    "localhost".to_owned()
}

fn connections_max() -> u64 {
    limits::OUTBOUND_CONNECTIONS_MAX as u64
}
