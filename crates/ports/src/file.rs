//! Files as streams.

use std::collections::BTreeMap;

use async_trait::async_trait;
use base::Result;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::Metadata;

pub type Content = BoxStream<'static, Result<Bytes>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    pub name: String,
    pub size: u64,
    /// As the store's own clients expect it; a text, because the reference's is one.
    pub modified: String,
    pub metadata: Metadata,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    pub size: u64,
    pub modified: String,
    pub metadata: BTreeMap<String, Vec<String>>,
}

/// One page of a folder, sorted by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    pub files: Vec<Info>,
    /// Send it with the next request to go on behind this page; empty when the folder is empty.
    pub marker: String,
    pub truncated: bool,
}

/// Every implementation MUST pass `conformance::file`:
/// - content passes through in constant memory: chunks of at most [`base::limits::FILE_CHUNK_BYTES`] on the way out, taken
///   as fast as the store writes on the way in;
/// - `put` that fails or is dropped leaves what was there before, or a file that the driver's page declares partial;
/// - a marker that is not in the folder gives an empty page.
///
/// Errors: `NotFound` for `stat`; other operations as the driver's page says, because clients of the reference see its
/// codes. `PermissionDenied` outside of the store's root.
#[async_trait]
pub trait FileStore: Send + Sync {
    async fn put(&self, name: &str, metadata: &Metadata, content: Content) -> Result<()>;
    async fn get(&self, name: &str, metadata: &Metadata) -> Result<Content>;
    async fn list(&self, folder: &str, metadata: &Metadata, limit: usize, marker: &str) -> Result<Listing>;
    async fn delete(&self, name: &str, metadata: &Metadata) -> Result<()>;
    async fn stat(&self, name: &str, metadata: &Metadata) -> Result<Stat>;
}
