//! The driver `secret-env`: the environment of this process as secrets, as Layotto's `local.env` gives it.
//!
//! A variable that isn't set is an empty secret, not an error. All of the environment can be read: who doesn't want that
//! sets a policy of allowed names for the component.

use std::sync::Arc;

use async_trait::async_trait;
use base::Result;
use ports::{Component, Context, Driver, Finding, Port, Settings};

mod secret;
mod settings;

#[cfg(test)]
mod tests;

pub struct SecretEnvDriver;

#[async_trait]
impl Driver for SecretEnvDriver {
    fn name(&self) -> &'static str {
        "secret-env"
    }

    fn about(&self) -> &'static str {
        "environment variables of this process as secrets"
    }

    fn offers(&self) -> &'static [Port] {
        &[Port::Secret]
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(settings::SecretEnv)
    }

    fn validate(&self, settings: &Settings) -> Vec<Finding> {
        match settings.parse::<settings::SecretEnv>() {
            Err(error) => vec![Finding::error("", error.message())],
            Ok(_) => vec![],
        }
    }

    async fn open(&self, _: &str, settings: &Settings, _: &Context) -> Result<Component> {
        settings.parse::<settings::SecretEnv>()?;
        Ok(Component {
            secret: Some(Arc::new(secret::Environment)),
            ..Component::default()
        })
    }
}
