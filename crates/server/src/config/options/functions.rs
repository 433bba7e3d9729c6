//! User functions, for the Cloudstate SDKs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A user function beside this Belay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// Where it listens: `http://host:port`, HTTP/2 without TLS. Belay waits for it and follows it through restarts.
    #[schemars(extend("format" = super::format::FUNCTION))]
    pub url: String,
}

impl Function {
    /// Host and port. The error says what was expected.
    pub(super) fn parse(url: &str) -> Result<String, String> {
        let rest = url.strip_prefix("http://").unwrap_or(url);
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let port = authority
            .rsplit_once(':')
            .map(|(host, port)| (host, port.parse::<u16>()));
        match port {
            Some((host, Ok(1..))) if !host.is_empty() && !authority.contains(['/', '?', '#', '@', ' ']) => {
                Ok(authority.to_owned())
            }
            _ => Err("expected the address of a user function, like http://127.0.0.1:8081".into()),
        }
    }

    pub fn authority(&self) -> String {
        Function::parse(&self.url).unwrap_or_else(|_| self.url.clone())
    }
}

/// What holds for entities of all user functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Entities {
    /// How long an entity that has nothing to do stays active, milliseconds, where its function does not say: 1 to 86400000.
    /// Default: 30000.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub passivation_timeout_ms: u64,
    /// How long a function may take for a command to an entity, milliseconds: 1 to 86400000. Default: 60000.
    #[schemars(range(min = 1, max = 86_400_000))]
    pub answer_timeout_ms: u64,
    /// Whether two services may keep their entities under the same persistence id, and so share them. Default: false.
    pub shared_persistence_ids: bool,
    /// Web pages that may call services of user functions, besides those of this machine: origins like
    /// `https://app.example.com`; `*` lets all of them. Default: none.
    pub cors_origins: Vec<String>,
}

impl Default for Entities {
    fn default() -> Entities {
        Entities {
            passivation_timeout_ms: 30_000,
            answer_timeout_ms: 60_000,
            shared_persistence_ids: false,
            cors_origins: vec![],
        }
    }
}
