//! How invocations are run.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Durable execution, for the Restate SDKs. What a deployment's manifest says of a service or a handler comes first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Restate {
    /// Silence after which an attempt is asked to suspend, milliseconds: 0 to 86400000; 0: at once. Default: 60000.
    #[schemars(range(max = 86_400_000))]
    pub inactivity_timeout_ms: u64,
    /// How long it has to do so before it is cut off, milliseconds: 1 to 86400000. Default: 600000.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub abort_timeout_ms: u64,
    /// How long the journal of a completed invocation is kept, milliseconds; 0: not at all. Default: 86400000.
    pub journal_retention_ms: u64,
    /// The same for the result of a call with an idempotency key. Default: 86400000.
    pub idempotency_retention_ms: u64,
    /// The same for the result of a workflow's run, its state and its promises. Default: 86400000.
    pub workflow_retention_ms: u64,
    /// When an attempt that failed is followed by another one.
    pub retry: Retry,
    /// Largest version of the service protocol that is spoken: 1, 2, 5, 6 or 7. Default: 6.
    #[schemars(range(min = 1, max = 7))]
    pub protocol_max: u32,
    /// A file with an ed25519 private key, PKCS8 in PEM: requests to deployments are signed with it, and the public key is
    /// logged at the start. Default: none, nothing is signed.
    pub request_identity_private_key_pem_file: Option<PathBuf>,
}

/// Pauses double, or grow by another factor, up to a longest one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// The first pause, milliseconds: 1 to 86400000. Default: 500.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub initial_interval_ms: u64,
    /// The longest, milliseconds: 1 to 86400000. Default: 60000.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub max_interval_ms: u64,
    /// What each pause is longer than the one before: 1 to 1000. Default: 2.0.
    #[schemars(range(min = 1.0, max = 1000.0))]
    pub factor: f64,
    /// Attempts, the first included; 0: without end. Default: 70.
    pub max_attempts: u32,
    /// What happens when they are used up. Default: `pause`.
    pub on_max_attempts: OnMaxAttempts,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMaxAttempts {
    /// The invocation waits until somebody resumes, cancels or kills it.
    #[default]
    Pause,
    /// It ends with its last error.
    Kill,
}

impl Default for Restate {
    fn default() -> Restate {
        const DAY_MS: u64 = 86_400_000;
        Restate {
            inactivity_timeout_ms: 60_000,
            abort_timeout_ms: 600_000,
            journal_retention_ms: DAY_MS,
            idempotency_retention_ms: DAY_MS,
            workflow_retention_ms: DAY_MS,
            retry: Retry::default(),
            protocol_max: 6,
            request_identity_private_key_pem_file: None,
        }
    }
}

impl Default for Retry {
    fn default() -> Retry {
        Retry {
            initial_interval_ms: 500,
            max_interval_ms: 60_000,
            factor: 2.0,
            max_attempts: 70,
            on_max_attempts: OnMaxAttempts::default(),
        }
    }
}
