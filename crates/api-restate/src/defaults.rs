//! What holds where nobody says anything.

use std::time::Duration;

use crate::version::Version;

/// What holds where neither handler nor service says anything.
#[derive(Clone, Debug)]
pub struct Defaults {
    pub inactivity: Duration,
    pub abort: Duration,
    pub journal_retention: Duration,
    pub idempotency_retention: Duration,
    pub workflow_retention: Duration,
    pub retry: Retry,
    /// Largest version of the service protocol that is spoken.
    pub protocol_max: Version,
}

#[derive(Clone, Debug)]
pub struct Retry {
    pub first: Duration,
    pub max: Duration,
    pub factor: f64,
    /// The first attempt included; `None`: without end.
    pub attempts_max: Option<u32>,
    /// Whether an invocation ends with its last error when they are used up; otherwise it is paused.
    pub kill: bool,
}

impl Default for Defaults {
    fn default() -> Defaults {
        let day = Duration::from_secs(86_400);
        Defaults {
            inactivity: Duration::from_secs(60),
            abort: Duration::from_secs(600),
            journal_retention: day,
            idempotency_retention: day,
            workflow_retention: day,
            retry: Retry {
                first: Duration::from_millis(500),
                max: Duration::from_secs(60),
                factor: 2.0,
                attempts_max: Some(70),
                kill: false,
            },
            protocol_max: Version::V6,
        }
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
