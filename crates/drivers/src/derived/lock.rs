//! Locks over a `Kv`: a held lock is a row that expires with its lease.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format 1 |
//! | 8 | token, little endian; 0: the row's own version is the token |
//! | rest | owner, UTF-8 |
//!
//! Taking a lock is one commit that asks for the row's absence, without a read. Its version is the token: versions grow over
//! everything, so a token is larger than all before it even though the row is gone in between. A commit cannot hold its own
//! version, hence the 0; extending writes the row anew and keeps the token in it.
//!
//! **When a lease ends.** Its end has to be in the commit, and the commit has yet to be written and synced. So that the lease
//! never ends before `granted + ttl`, its end is the time of asking, plus ttl, plus what commits have lately taken (at most
//! 1 s). A grant whose commit took longer still has its lease written again first. After
//! [`base::limits::LEASE_TRIES_MAX`] such commits, as under load, the lease counts from the last time of asking instead: it
//! is short of its ttl by what that commit took. A lease that is over before it is told fails with `DeadlineExceeded`. On a quiet disk the slack is 2 ms. A fixed second would be within the contract too, but people test leases
//! by waiting for their end.
//!
//! Grants and extensions are synced in every mode: a token that a crash takes back would be handed out twice, and a lease
//! would end early. A lost release only leaves the lock to its lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use base::{Error, Result, codes, limits};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use ports::kv::{Batch, Durability, Entry, Expect, Key, Kv, Outcome, Version, Write};
use ports::lock::{Extend, LockStore, Token, TryLock, Unlock};

use super::keys::{self, Prefix};
use super::{contended, expiry, unreadable};

const FORMAT: u8 = 1;
const HEADER: usize = 9;

/// Two times are cut down to the millisecond, the one before the commit and the one after it.
const ROUNDING: Duration = Duration::from_millis(2);

/// Locks of one component.
pub struct Lock {
    kv: Arc<dyn Kv>,
    rows: Prefix,
    slack: Slack,
}

impl Lock {
    pub fn over(kv: Arc<dyn Kv>, component: &str) -> Lock {
        let rows = Prefix::of(keys::LOCK, component);
        let slack = Slack::default();
        Lock { kv, rows, slack }
    }

    /// Writes a lease until one is sure to last, and answers its token. `None`: at the first attempt the row was not as
    /// expected.
    async fn hold(&self, key: &Key, mut lease: Lease<'_>, mut expect: Expect) -> Result<Option<Token>> {
        for attempt in 0..limits::LEASE_TRIES_MAX {
            let asked = self.kv.now();
            let ends = expiry(asked, lease.ttl + self.slack.now());
            let batch = Batch::of(vec![Write::Put {
                key: key.clone(),
                value: encode(lease.token, lease.owner),
                expires_at: Some(ends),
            }]);
            let batch = batch.expect(key.clone(), expect).durability(Durability::Synced);
            let version = match self.kv.commit(batch).await? {
                Outcome::Committed { version, .. } => version,
                Outcome::Conflict { .. } if attempt == 0 => return Ok(None),
                Outcome::Conflict { .. } => break,
            };
            let told = self.kv.now();
            self.slack.learn(told.since(asked));
            let token = lease.token.unwrap_or(Token(version.0));
            let whole = ends > expiry(told, lease.ttl);
            let last = attempt + 1 == limits::LEASE_TRIES_MAX;
            if whole || (last && ends > told) {
                return Ok(Some(token));
            }
            lease.token = Some(token);
            expect = Expect::Version(version);
        }
        let message =
            "the lease was over, or nearly, before its commit was acknowledged; ask for a longer one";
        Err(Error::new(codes::DEADLINE_EXCEEDED, message))
    }

    async fn held(&self, key: &Key) -> Result<Option<Held>> {
        self.kv.get(key).await?.map(Held::read).transpose()
    }
}

/// What [`Lock::hold`] writes.
#[derive(Clone, Copy)]
struct Lease<'o> {
    owner: &'o str,
    ttl: Duration,
    /// `None`: the version that the commit gets.
    token: Option<Token>,
}

#[async_trait]
impl LockStore for Lock {
    async fn try_lock(&self, key: &str, owner: &str, ttl: Duration) -> Result<TryLock> {
        let key = self.rows.row(key)?;
        check(owner, ttl)?;
        let lease = Lease {
            owner,
            ttl,
            token: None,
        };
        let granted = self.hold(&key, lease, Expect::Absent).await?;
        Ok(granted.map_or(TryLock::Held, TryLock::Granted))
    }

    async fn extend(&self, key: &str, owner: &str, ttl: Duration) -> Result<Extend> {
        let key = self.rows.row(key)?;
        check(owner, ttl)?;
        for _ in 0..limits::CONTENDED_TRIES_MAX {
            let Some(held) = self.held(&key).await? else {
                return Ok(Extend::NotLocked);
            };
            if held.owner != owner.as_bytes() {
                return Ok(Extend::HeldByAnother);
            }
            let token = Some(held.token);
            let lease = Lease { owner, ttl, token };
            let expect = Expect::Version(held.version);
            if let Some(token) = self.hold(&key, lease, expect).await? {
                return Ok(Extend::Extended(token));
            }
        }
        Err(contended("the lock"))
    }

    async fn unlock(&self, key: &str, owner: &str) -> Result<Unlock> {
        let key = self.rows.row(key)?;
        for _ in 0..limits::CONTENDED_TRIES_MAX {
            let Some(held) = self.held(&key).await? else {
                return Ok(Unlock::NotLocked);
            };
            if held.owner != owner.as_bytes() {
                return Ok(Unlock::HeldByAnother);
            }
            let expect = Expect::Version(held.version);
            let batch = Batch::default().delete(key.clone()).expect(key.clone(), expect);
            if let Outcome::Committed { .. } = self.kv.commit(batch).await? {
                return Ok(Unlock::Released);
            }
        }
        Err(contended("the lock"))
    }
}

fn check(owner: &str, ttl: Duration) -> Result<()> {
    if owner.len() > limits::KEY_BYTES_MAX {
        let message = format!(
            "a lock's owner has {} bytes, it may have {}",
            owner.len(),
            limits::KEY_BYTES_MAX
        );
        return Err(Error::new(codes::INVALID_ARGUMENT, message));
    }
    if ttl.is_zero() || ttl > limits::LEASE_MAX {
        let message = format!(
            "a lease of {ttl:?} is not possible; it may last from 1 ms to {} s",
            limits::LEASE_MAX.as_secs()
        );
        return Err(Error::new(codes::TTL_INVALID, message));
    }
    Ok(())
}

/// What commits have lately taken: their slowest, forgotten an eighth at a time.
#[derive(Default)]
struct Slack {
    millis: AtomicU64,
}

impl Slack {
    fn now(&self) -> Duration {
        let lately = Duration::from_millis(self.millis.load(Ordering::Relaxed));
        (lately + ROUNDING).min(limits::LEASE_SLACK_MAX)
    }

    /// Two at once may lose one measurement: it costs a second commit at worst.
    fn learn(&self, took: Duration) {
        let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let before = self.millis.load(Ordering::Relaxed);
        let faded = before - before.div_ceil(8);
        self.millis.store(took.max(faded), Ordering::Relaxed);
    }
}

/// A lock's row while its lease lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    version: Version,
    token: Token,
    owner: Bytes,
}

impl Held {
    fn read(entry: Entry) -> Result<Held> {
        let mut value = entry.value;
        if value.len() < HEADER {
            return Err(unreadable("lock", "it is cut short"));
        }
        let format = value.get_u8();
        if format != FORMAT {
            return Err(unreadable("lock", &format!("its format is {format}")));
        }
        let token = match value.get_u64_le() {
            0 => Token(entry.version.0),
            token => Token(token),
        };
        Ok(Held {
            version: entry.version,
            token,
            owner: value,
        })
    }
}

fn encode(token: Option<Token>, owner: &str) -> Bytes {
    let mut value = BytesMut::with_capacity(HEADER + owner.len());
    value.put_u8(FORMAT);
    value.put_u64_le(token.map_or(0, |token| token.0));
    value.put_slice(owner.as_bytes());
    value.freeze()
}

#[cfg(test)]
mod tests;
