//! What can be set.

use base::limits;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::outbound::targets::Target;
use crate::settings;

/// Settings of `grpc-invoke`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct GrpcInvoke {
    /// The services and their addresses. Required.
    #[serde(default)]
    pub targets: Vec<Target>,
    /// Connections to one address; each takes up to 100 calls at once, a further call waits for its turn until its
    /// deadline. Each thread that makes calls opens one, which stays open. 1 to 1024, default 64.
    #[serde(default = "connections_max", deserialize_with = "settings::lenient_u64")]
    #[schemars(schema_with = "settings::u64_schema")]
    pub connections_max: u64,
}

fn connections_max() -> u64 {
    limits::OUTBOUND_CONNECTIONS_MAX as u64
}
