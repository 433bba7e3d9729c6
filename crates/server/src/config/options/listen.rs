//! The listeners.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Address;

/// Where Belay listens: each `host:port` (port 0: any free one), `unix:/path/of/a/socket`, or `off`. The addresses that
/// were chosen are in `endpoints.json` in the data directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Layotto's runtime API, gRPC. Default: `127.0.0.1:34904`, which its SDKs know.
    pub layotto: Address,
    /// Health, metrics and the admin API, HTTP. Default: `127.0.0.1:9070`.
    pub admin: Address,
    /// Layotto's actuator, HTTP: health, info and logger below `/actuator`, for probes that ask for it. Default: `off`.
    pub actuator: Address,
    /// Distributed primitives, gRPC. Default: `127.0.0.1:5678`, which the Atomix SDKs know.
    pub primitives: Address,
    /// Atomix's control API, gRPC: connects stores and routes primitives to them. Default: `127.0.0.1:5679`.
    pub control: Address,
    /// Calls to services, objects and workflows, HTTP. Default: `127.0.0.1:8080`, which the Restate SDKs' users know.
    pub ingress: Address,
    /// Services of user functions, gRPC, gRPC-Web and HTTP; only where there are functions. Default: `127.0.0.1:9000`, as with
    /// Cloudstate's own proxy.
    pub functions: Address,
}

impl Listen {
    /// Every listener with its option's name, in the order of the manual.
    pub fn all(&self) -> [(&'static str, &Address); 7] {
        [
            ("layotto", &self.layotto),
            ("admin", &self.admin),
            ("actuator", &self.actuator),
            ("primitives", &self.primitives),
            ("control", &self.control),
            ("ingress", &self.ingress),
            ("functions", &self.functions),
        ]
    }
}

impl Default for Listen {
    fn default() -> Listen {
        Listen {
            layotto: Address::loopback(34904),
            admin: Address::loopback(9070),
            actuator: Address::Off,
            primitives: Address::loopback(5678),
            control: Address::loopback(5679),
            ingress: Address::loopback(8080),
            functions: Address::loopback(9000),
        }
    }
}
