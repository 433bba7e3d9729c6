//! A fake lock store.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use base::Result;
use parking_lot::Mutex;
use ports::lock::{Extend, LockStore, Token, TryLock, Unlock};

use super::Fault;

/// Locks whose leases end when a test says so.
#[derive(Default)]
pub(crate) struct Locks {
    pub fault: Fault,
    pub grants: Mutex<BTreeMap<String, Grant>>,
    tokens: Mutex<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub owner: String,
    pub token: Token,
    pub ttl: Duration,
}

#[async_trait]
impl LockStore for Locks {
    async fn try_lock(&self, key: &str, owner: &str, ttl: Duration) -> Result<TryLock> {
        self.fault.check()?;
        let mut grants = self.grants.lock();
        if grants.contains_key(key) {
            return Ok(TryLock::Held);
        }
        let mut tokens = self.tokens.lock();
        *tokens += 1;
        let token = Token(*tokens);
        let owner = owner.to_owned();
        grants.insert(key.to_owned(), Grant { owner, token, ttl });
        Ok(TryLock::Granted(token))
    }

    async fn extend(&self, key: &str, owner: &str, ttl: Duration) -> Result<Extend> {
        self.fault.check()?;
        Ok(match self.grants.lock().get_mut(key) {
            None => Extend::NotLocked,
            Some(grant) if grant.owner != owner => Extend::HeldByAnother,
            Some(grant) => {
                grant.ttl = ttl;
                Extend::Extended(grant.token)
            }
        })
    }

    async fn unlock(&self, key: &str, owner: &str) -> Result<Unlock> {
        self.fault.check()?;
        let mut grants = self.grants.lock();
        Ok(match grants.get(key) {
            None => Unlock::NotLocked,
            Some(grant) if grant.owner != owner => Unlock::HeldByAnother,
            Some(_) => {
                grants.remove(key);
                Unlock::Released
            }
        })
    }
}
