//! `TryLock`, `Unlock`, `LockKeepAlive` (spec 3.8 to 3.10).
//!
//! Checks come in the reference's order: an argument that is missing is named before a store that is missing.

use std::sync::Arc;
use std::time::Duration;

use ports::lock::{Extend, LockStore, Token, TryLock, Unlock};
use tonic::{Response, Status};
use wire::layotto as pb;

use crate::components::Components;
use crate::error;
use crate::keys::Layout;
use crate::service::Service;

#[cfg(test)]
mod tests;

/// Says which grant a lock is held by: it grows with every grant of that lock, so whoever guards the resource can refuse
/// a holder that does not know yet that it lost it.
const TOKEN_HEADER: &str = "belay-fencing-token";

pub(crate) async fn try_lock(
    service: &Service,
    request: pb::TryLockRequest,
) -> Result<Response<pb::TryLockResponse>, Status> {
    let claim = Claim {
        store_name: &request.store_name,
        resource_id: &request.resource_id,
        owner: &request.lock_owner,
    };
    let (lock, ttl) = claim.check_lease(&service.live.load(), request.expire)?;
    let outcome = lock.store.try_lock(&lock.key, claim.owner, ttl).await;
    Ok(match outcome.map_err(|error| error::lock::component(&error))? {
        TryLock::Granted(token) => with_token(pb::TryLockResponse { success: true }, token),
        TryLock::Held => Response::new(pb::TryLockResponse { success: false }),
    })
}

pub(crate) async fn unlock(
    service: &Service,
    request: pb::UnlockRequest,
) -> Result<Response<pb::UnlockResponse>, Status> {
    use pb::unlock_response::Status as Code;
    let claim = Claim {
        store_name: &request.store_name,
        resource_id: &request.resource_id,
        owner: &request.lock_owner,
    };
    let lock = claim.check(&service.live.load())?;
    let outcome = lock.store.unlock(&lock.key, claim.owner).await;
    let status = match outcome.map_err(|error| error::lock::component(&error))? {
        Unlock::Released => Code::Success,
        Unlock::NotLocked => Code::LockUnexist,
        Unlock::HeldByAnother => Code::LockBelongToOthers,
    };
    Ok(Response::new(pb::UnlockResponse {
        status: status.into(),
    }))
}

pub(crate) async fn keep_alive(
    service: &Service,
    request: pb::LockKeepAliveRequest,
) -> Result<Response<pb::LockKeepAliveResponse>, Status> {
    use pb::lock_keep_alive_response::Status as Code;
    let claim = Claim {
        store_name: &request.store_name,
        resource_id: &request.resource_id,
        owner: &request.lock_owner,
    };
    let (lock, ttl) = claim.check_lease(&service.live.load(), request.expire)?;
    let answer = |code: Code| pb::LockKeepAliveResponse { status: code.into() };
    let outcome = lock.store.extend(&lock.key, claim.owner, ttl).await;
    Ok(match outcome.map_err(|error| error::lock::component(&error))? {
        Extend::Extended(token) => with_token(answer(Code::Success), token),
        Extend::NotLocked => Response::new(answer(Code::LockUnexist)),
        Extend::HeldByAnother => Response::new(answer(Code::LockBelongToOthers)),
    })
}

fn with_token<T>(message: T, token: Token) -> Response<T> {
    let mut response = Response::new(message);
    response.metadata_mut().insert(TOKEN_HEADER, token.0.into());
    response
}

/// What all three calls name.
struct Claim<'a> {
    store_name: &'a str,
    resource_id: &'a str,
    owner: &'a str,
}

/// A lock in its store.
struct Lock {
    store: Arc<dyn LockStore>,
    key: String,
}

impl Claim<'_> {
    fn check(&self, components: &Components) -> Result<Lock, Status> {
        self.check_arguments(components)?;
        self.find(components)
    }

    /// The same for a call that brings a lease, of whole seconds.
    fn check_lease(&self, components: &Components, expire: i32) -> Result<(Lock, Duration), Status> {
        self.check_arguments(components)?;
        let seconds = u64::try_from(expire).ok().filter(|seconds| *seconds > 0);
        let seconds = seconds.ok_or_else(|| error::lock::no_expiry(self.store_name))?;
        Ok((self.find(components)?, Duration::from_secs(seconds)))
    }

    fn check_arguments(&self, components: &Components) -> Result<(), Status> {
        if components.locks.is_empty() {
            return Err(error::lock::no_stores());
        }
        if self.resource_id.is_empty() {
            return Err(error::lock::no_resource(self.store_name));
        }
        if self.owner.is_empty() {
            return Err(error::lock::no_owner(self.store_name));
        }
        Ok(())
    }

    fn find(&self, components: &Components) -> Result<Lock, Status> {
        let lock = components
            .locks
            .get(self.store_name)
            .ok_or_else(|| error::lock::no_store(self.store_name))?;
        let layout = Layout {
            prefix: &lock.prefix,
            app_id: &components.app_id,
            store_name: self.store_name,
        };
        Ok(Lock {
            key: layout.lock(self.resource_id)?,
            store: Arc::clone(&lock.store),
        })
    }
}
