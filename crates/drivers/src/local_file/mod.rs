//! The driver `local-file`: files on this machine's disks, as Layotto's file component `local` has them.
//!
//! | operation | error | text |
//! |---|---|---|
//! | stat | `NotFound` | `file does not exist` |
//! | any, with a `root` | `PermissionDenied` | `<name> is outside of the root` |
//! | any | `Internal` | what was tried, the name, and the operating system's words: `open x: no such file or directory` |
//!
//! An upload writes into the file itself, as its flags say: one that fails, or is broken off, leaves a partial file, and
//! an acknowledged one survives the end of the process. Who needs it to survive the end of the machine gives `O_SYNC`
//! (1052672) among the flags.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use base::Result;
use ports::{Component, Context, Driver, Finding, Port, Settings};

use crate::blocking;
use crate::tree::Tree;

mod file;
mod listing;
mod reading;
mod settings;
mod text;
mod writing;

#[cfg(test)]
mod tests;

pub struct LocalFileDriver;

#[async_trait]
impl Driver for LocalFileDriver {
    fn name(&self) -> &'static str {
        "local-file"
    }

    fn about(&self) -> &'static str {
        "files on this machine's disks"
    }

    fn offers(&self) -> &'static [Port] {
        &[Port::File]
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(settings::LocalFile)
    }

    fn validate(&self, settings: &Settings) -> Vec<Finding> {
        match settings.parse::<settings::LocalFile>() {
            Err(error) => vec![Finding::error("", error.message())],
            Ok(settings) if settings.root.as_deref() == Some("") => {
                vec![Finding::error(
                    "root",
                    "the root is empty: name a directory, or leave it out",
                )]
            }
            Ok(_) => vec![],
        }
    }

    async fn open(&self, _: &str, settings: &Settings, _: &Context) -> Result<Component> {
        let settings: settings::LocalFile = settings.parse()?;
        let tree = match settings.root {
            None => Tree::anywhere(),
            Some(root) => blocking::run(move || Tree::beneath(Path::new(&root))).await??,
        };
        Ok(Component {
            file: Some(Arc::new(file::Files::in_tree(tree))),
            ..Component::default()
        })
    }
}
