//! What can be set.

use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of `local-storage`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct LocalStorage {
    /// The directory that all files lie in, absolute or relative to the working directory. It is made if it doesn't exist.
    /// Required.
    #[serde(default)]
    pub root_path: String,
}
