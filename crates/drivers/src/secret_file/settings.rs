//! What can be set.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::settings;

/// Settings of `secret-file`; the names are those of Layotto's `local.file`.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SecretFile {
    /// Path of a JSON file that holds one object, relative to the working directory. It is read once, at the start.
    /// Required.
    #[serde(default)]
    pub secrets_file: String,
    /// What joins the parts of a nested secret's name: with `:`, `{"db": {"password": "x"}}` is the secret `db:password`.
    /// Default: `:`.
    #[serde(default = "colon")]
    pub nested_separator: String,
    /// Whether a name of the object's first level is one secret with several values, instead of every value being a secret
    /// of its own. Default: false.
    #[serde(default, deserialize_with = "settings::lenient_bool")]
    #[schemars(schema_with = "settings::bool_schema")]
    pub multi_valued: bool,
}

fn colon() -> String {
    ":".to_owned()
}
