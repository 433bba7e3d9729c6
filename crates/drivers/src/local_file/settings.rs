//! What can be set.

use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of `local-file`. None is needed.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LocalFile {
    /// A directory, which must exist. With it, names are relative to it and can't leave it, symbolic links included
    /// (`PermissionDenied`); an empty folder name lists the directory itself. Without it, names are plain paths, absolute
    /// or relative to the working directory: whoever reaches the API reaches every file that Belay may touch. Default:
    /// none, as in Layotto.
    #[serde(default)]
    pub root: Option<String>,
}
