//! `Lock` and `Locks` (spec 2.6).

use machines::primitive::Type;
use machines::primitive::lock::{Command, Query, Reply};
use tonic::{Request, Response, Status};
use wire::atomix::lock as pb;

use crate::convert::ttl;
use crate::error;
use crate::opening::opening;
use crate::service::Service;

#[tonic::async_trait]
impl pb::lock_server::Lock for Service {
    opening!(lock, Lock, |_cache| pb::Config {});

    /// Waits, for ever when no timeout is given. A client that goes away meanwhile drops this, and so leaves the queue.
    async fn lock(&self, request: Request<pb::LockRequest>) -> Result<Response<pb::LockResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let timeout = ttl(request.timeout)?;
        let lock = self.find(request.id, Type::Lock).await?;
        let reply = self.hold(&extensions, &lock, |session| Command::Lock { session, timeout });
        let version = held(reply.await?)?;
        Ok(Response::new(pb::LockResponse { version }))
    }

    async fn unlock(
        &self,
        request: Request<pb::UnlockRequest>,
    ) -> Result<Response<pb::UnlockResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let lock = self.find(request.id, Type::Lock).await?;
        self.hold(&extensions, &lock, |session| Command::Unlock { session })
            .await?;
        Ok(Response::new(pb::UnlockResponse {}))
    }

    async fn get_lock(
        &self,
        request: Request<pb::GetLockRequest>,
    ) -> Result<Response<pb::GetLockResponse>, Status> {
        let lock = self.find(request.into_inner().id, Type::Lock).await?;
        let version = held(lock.ask(Query::Get).await?)?;
        Ok(Response::new(pb::GetLockResponse { version }))
    }
}

#[tonic::async_trait]
impl pb::locks_server::Locks for Service {
    opening!(lock, Lock, |_cache| pb::Config {});
}

fn held(reply: Reply) -> Result<u64, Status> {
    match reply {
        Reply::Held(version) => Ok(version),
        Reply::Unlocked => Err(error::another_answer()),
    }
}
