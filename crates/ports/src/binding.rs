//! Calls to something outside: an HTTP service, a folder, later a queue or a mail server.

use async_trait::async_trait;
use base::Result;
use bytes::Bytes;

use crate::Metadata;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub operation: String,
    pub data: Bytes,
    pub metadata: Metadata,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub data: Bytes,
    pub metadata: Metadata,
}

/// Every implementation MUST pass `conformance::binding`: an operation outside of `operations` is `Unimplemented` and has
/// no effect; a call ends within its named timeout.
#[async_trait]
pub trait Binding: Send + Sync {
    /// What it can do, in the order that messages name them.
    fn operations(&self) -> &[&'static str];
    async fn invoke(&self, request: Request) -> Result<Reply>;
}
