//! The driver `primitives`: this process's distributed primitives as state, so that a counter or an entry of a map has one
//! value and one version whichever family reads it.

use async_trait::async_trait;
use base::{Error, Result, codes};
use ports::{Component, Context, Driver, Finding, Port, Settings};

mod settings;

#[cfg(test)]
mod tests;

pub struct PrimitivesDriver;

#[async_trait]
impl Driver for PrimitivesDriver {
    fn name(&self) -> &'static str {
        "primitives"
    }

    fn about(&self) -> &'static str {
        "distributed primitives as state: `counter`, `value`, `map/entry`"
    }

    fn offers(&self) -> &'static [Port] {
        &[Port::State]
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(settings::Primitives)
    }

    fn validate(&self, settings: &Settings) -> Vec<Finding> {
        match settings.parse::<settings::Primitives>() {
            Err(error) => vec![Finding::error("", error.message())],
            Ok(_) => vec![],
        }
    }

    async fn open(&self, _: &str, settings: &Settings, context: &Context) -> Result<Component> {
        settings.parse::<settings::Primitives>()?;
        let state = context.primitives.clone().ok_or_else(|| {
            let message = "primitives cannot be kept in themselves: name another driver";
            Error::new(codes::UNIMPLEMENTED, message)
        })?;
        Ok(Component {
            state: Some(state),
            ..Component::default()
        })
    }
}
