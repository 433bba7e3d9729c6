//! Calls to another application's service.

use std::time::Duration;

use async_trait::async_trait;
use base::Result;
use bytes::Bytes;

#[derive(Clone, Debug)]
pub struct Invocation {
    /// Which service.
    pub id: String,
    /// Which of its methods: a path for HTTP, `package.Service/Method` for gRPC.
    pub method: String,
    /// `GET`, `POST`, ...; ignored by targets that have no such thing.
    pub verb: String,
    pub query: String,
    pub content_type: String,
    /// End-to-end headers only, lower case; several of one name are several entries.
    pub headers: Vec<(String, Bytes)>,
    pub body: Bytes,
    pub timeout: Duration,
}

#[derive(Clone, Debug)]
pub struct Reply {
    pub content_type: String,
    pub headers: Vec<(String, Bytes)>,
    pub body: Bytes,
}

/// Errors: `DeadlineExceeded` and `Unavailable` when the target does not answer, or answers that it failed;
/// `InvalidArgument` when the invocation makes no request. It is never retried here: only the caller knows whether it may be.
#[async_trait]
pub trait Invoker: Send + Sync {
    async fn invoke(&self, invocation: Invocation) -> Result<Reply>;
}
