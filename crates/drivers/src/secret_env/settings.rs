//! What can be set: nothing.

use schemars::JsonSchema;
use serde::Deserialize;

/// `secret-env` has no settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SecretEnv {}
