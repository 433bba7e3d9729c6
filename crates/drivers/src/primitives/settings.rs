//! What can be set: nothing.

use schemars::JsonSchema;
use serde::Deserialize;

/// `primitives` has no settings.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Primitives {}
