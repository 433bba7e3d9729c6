//! The driver `local-storage`: a binding that keeps files in one directory, as users of Dapr's `localstorage` know it.
//!
//! The file is named by the request metadata `fileName`, relative to `rootPath`; slashes make folders.
//!
//! | operation | data of the request | data of the reply | without a `fileName` |
//! |---|---|---|---|
//! | `create` | the content | `{"fileName":"<name>"}` | a random UUID is the name |
//! | `get` | | the content, at most 64 MiB | refused |
//! | `list` | | a JSON list of the names of all files in the folder and below, sorted | the whole of `rootPath` |
//! | `delete` | | empty; an empty folder can be deleted too | refused |
//!
//! The reply's metadata holds `fileName` too. Where it differs from Dapr's: a list has names that the other operations take,
//! not absolute paths; it ends after 10,000 names, and then the metadata says `truncated: true`; the content is kept byte by
//! byte, also when it looks like base64 or a quoted text; a file is replaced whole or not at all; a name that leaves the
//! root is refused (`PermissionDenied`) instead of being bent back into it.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use base::{Error, Result, codes};
use ports::{Component, Context, Driver, Finding, Port, Settings};

use crate::blocking;
use crate::tree::Tree;

mod binding;
mod files;
mod settings;

#[cfg(test)]
mod tests;

const NO_ROOT: &str = "property rootPath must not be empty";

pub struct LocalStorageDriver;

#[async_trait]
impl Driver for LocalStorageDriver {
    fn name(&self) -> &'static str {
        "local-storage"
    }

    fn about(&self) -> &'static str {
        "a binding that keeps files in one directory"
    }

    fn offers(&self) -> &'static [Port] {
        &[Port::Binding]
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(settings::LocalStorage)
    }

    fn validate(&self, settings: &Settings) -> Vec<Finding> {
        match settings.parse::<settings::LocalStorage>() {
            Err(error) => vec![Finding::error("", error.message())],
            Ok(settings) if settings.root_path.is_empty() => {
                vec![Finding::error("rootPath", format!("{NO_ROOT}: name a directory"))]
            }
            Ok(_) => vec![],
        }
    }

    async fn open(&self, _: &str, settings: &Settings, _: &Context) -> Result<Component> {
        let settings: settings::LocalStorage = settings.parse()?;
        if settings.root_path.is_empty() {
            return Err(Error::new(codes::CONFIG_INVALID, NO_ROOT));
        }
        let tree = blocking::run(move || root(Path::new(&settings.root_path))).await??;
        Ok(Component {
            binding: Some(Arc::new(binding::LocalStorage::of(tree))),
            ..Component::default()
        })
    }
}

fn root(path: &Path) -> Result<Tree> {
    std::fs::create_dir_all(path).map_err(|cause| {
        let text = format!("{}: the directory can't be made: {cause}", path.display());
        Error::new(codes::COMPONENT_NOT_OPENED, text)
    })?;
    Tree::beneath(path)
}
