//! Secrets, read only.

use std::collections::BTreeMap;

use async_trait::async_trait;
use base::Result;

use crate::Metadata;

/// The values of one secret by name; most stores have one, named like the secret.
pub type Secret = BTreeMap<String, String>;

/// Every implementation MUST pass `conformance::secret`: `get` of an unknown name is `NotFound`, unless the store cannot
/// tell (an environment variable that is not set is empty); `bulk` holds every secret that `get` would give.
///
/// Values are never logged. `Unavailable` when the store can't be reached.
#[async_trait]
pub trait SecretStore: Send + Sync {
    async fn get(&self, name: &str, metadata: &Metadata) -> Result<Secret>;
    async fn bulk(&self, metadata: &Metadata) -> Result<BTreeMap<String, Secret>>;
}
