//! The driver `secret-file`: secrets of a JSON file, as Layotto's `local.file` reads them.
//!
//! Nested objects and lists are flattened: the parts of a name are joined with the separator, a list's parts are its
//! indexes. Numbers, switches and nulls are given as the JSON text that stands in the file, where the reference gives what
//! Go's formatting makes of them. When two paths make the same name, the later one in the file wins.

use std::sync::Arc;

use async_trait::async_trait;
use base::{Error, Result, codes};
use ports::{Component, Context, Driver, Finding, Port, Settings};

use crate::blocking;

mod secret;
mod settings;

#[cfg(test)]
mod tests;

/// In the reference's words.
const NO_FILE: &str = "missing local secrets file in metadata";

pub struct SecretFileDriver;

#[async_trait]
impl Driver for SecretFileDriver {
    fn name(&self) -> &'static str {
        "secret-file"
    }

    fn about(&self) -> &'static str {
        "secrets of a JSON file, read once at the start"
    }

    fn offers(&self) -> &'static [Port] {
        &[Port::Secret]
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(settings::SecretFile)
    }

    fn validate(&self, settings: &Settings) -> Vec<Finding> {
        match settings.parse::<settings::SecretFile>() {
            Err(error) => vec![Finding::error("", error.message())],
            Ok(settings) if settings.secrets_file.is_empty() => {
                vec![Finding::error(
                    "secretsFile",
                    format!("{NO_FILE}: name a JSON file"),
                )]
            }
            Ok(_) => vec![],
        }
    }

    async fn open(&self, _: &str, settings: &Settings, _: &Context) -> Result<Component> {
        let settings: settings::SecretFile = settings.parse()?;
        if settings.secrets_file.is_empty() {
            return Err(Error::new(codes::CONFIG_INVALID, NO_FILE));
        }
        let secrets = blocking::run(move || secret::Secrets::read(&settings)).await??;
        Ok(Component {
            secret: Some(Arc::new(secrets)),
            ..Component::default()
        })
    }
}
