//! The port `secret`, from the environment as it is at the call.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;

use async_trait::async_trait;
use base::Result;
use ports::Metadata;
use ports::secret::{Secret, SecretStore};

pub(super) struct Environment;

#[async_trait]
impl SecretStore for Environment {
    async fn get(&self, name: &str, _: &Metadata) -> Result<Secret> {
        let value = env::var_os(name).map(text).unwrap_or_default();
        Ok(Secret::from([(name.to_owned(), value)]))
    }

    async fn bulk(&self, _: &Metadata) -> Result<BTreeMap<String, Secret>> {
        let secrets = env::vars_os().map(|(name, value)| {
            let name = text(name);
            (name.clone(), Secret::from([(name, text(value))]))
        });
        Ok(secrets.collect())
    }
}

/// The API has only texts: what is none is made one.
fn text(text: OsString) -> String {
    text.to_string_lossy().into_owned()
}
