//! How primitives are served.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Distributed primitives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Primitives {
    /// Nothing can be used before a controller has connected stores and programmed routes: without it there is a built-in store,
    /// and a route that leads all there. Default: false.
    pub strict: bool,
    /// Whose locks and candidacies are whose. Default: `connection`.
    pub sessions: Sessions,
    /// How a set answers when what is added is there already, or what is removed is not. Default: `error`.
    pub set_unchanged: SetUnchanged,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sessions {
    /// Each connection has its own, which ends some time after the connection has gone.
    #[default]
    Connection,
    /// All connections have one together, as behind the reference's sidecar: what one client locks another can unlock. It ends
    /// for a primitive when a client closes that, and with this process.
    Process,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SetUnchanged {
    /// `ALREADY_EXISTS`, `NOT_FOUND`: what the SDKs understand.
    #[default]
    Error,
    /// `OK`, with `added` or `removed` false, as the latest reference does.
    Bool,
}
