//! What a client may ask for at most.

use std::collections::BTreeMap;
use std::time::Duration;

use base::limits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a client may ask for at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest message of a call, bytes: 1024 to 1 GiB. Default: 4194304 (4 MiB).
    #[schemars(range(min = 1_024, max = 1_073_741_824))]
    pub message_bytes: usize,
    /// Concurrent calls on one connection: 1 to 1000000. Default: 1000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub streams_per_connection: u32,
    /// All headers of one request together, bytes: 1024 to 1 MiB. Default: 16384.
    #[schemars(range(min = 1_024, max = 1_048_576))]
    pub header_bytes: u32,
    /// Open connections of one listener: 1 to 1000000. Default: 12000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: usize,
    /// Longest that one unary call may take, milliseconds: 1 to 86400000; a caller's shorter deadline counts instead.
    /// Default: 60000.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub request_deadline_ms: u64,
    /// How long a stop waits for calls in flight, milliseconds: 0 to 3600000. Default: 10000.
    #[schemars(range(max = 3_600_000))]
    pub drain_deadline_ms: u64,
    /// Silence after which a connection is asked for a sign of life, milliseconds: 1000 to 86400000. Default: 60000.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub keep_alive_interval_ms: u64,
    /// How long it has to give one, milliseconds: 1000 to 3600000. Default: 20000.
    #[schemars(range(min = 1_000, max = 3_600_000))]
    pub keep_alive_timeout_ms: u64,
    /// The same for clients of primitives, whose locks are not to stay taken when they vanish, milliseconds: 1000 to
    /// 86400000. Default: 3000.
    #[schemars(range(min = 1_000, max = 86_400_000))]
    pub session_keep_alive_interval_ms: u64,
    /// How long such a client has for it, milliseconds: 1000 to 3600000. Default: 2000.
    #[schemars(range(min = 1_000, max = 3_600_000))]
    pub session_keep_alive_timeout_ms: u64,
    /// How long a client of primitives keeps its locks and candidacies when its connection has gone, milliseconds: 0 to
    /// 3600000. Default: 15000.
    #[schemars(range(max = 3_600_000))]
    pub session_grace_ms: u64,
    /// How long locks and candidacies stay after a restart of Belay, milliseconds: 0 to 3600000. Default: 75000.
    #[schemars(range(max = 3_600_000))]
    pub session_restart_grace_ms: u64,
    /// Unary calls per second, by full method (`/spec.proto.runtime.v1.Runtime/SayHello: 100`); calls above it are refused.
    /// Default: none.
    pub calls_per_second: BTreeMap<String, u32>,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            message_bytes: limits::MESSAGE_BYTES_MAX,
            streams_per_connection: limits::STREAMS_PER_CONNECTION_MAX,
            header_bytes: limits::HEADER_LIST_BYTES_MAX,
            connections: limits::CONNECTIONS_MAX,
            request_deadline_ms: millis(limits::REQUEST_DEADLINE),
            drain_deadline_ms: millis(limits::DRAIN_DEADLINE),
            keep_alive_interval_ms: millis(limits::KEEP_ALIVE_INTERVAL),
            keep_alive_timeout_ms: millis(limits::KEEP_ALIVE_TIMEOUT),
            session_keep_alive_interval_ms: millis(limits::SESSION_KEEP_ALIVE_INTERVAL),
            session_keep_alive_timeout_ms: millis(limits::SESSION_KEEP_ALIVE_TIMEOUT),
            session_grace_ms: millis(limits::SESSION_GRACE),
            session_restart_grace_ms: millis(limits::SESSION_RESTART_GRACE),
            calls_per_second: BTreeMap::new(),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
