//! Values that end by themselves, each written by one client: not too early, and in the end all of them, from the store too.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use base::{Result, Timestamp, codes};
use bytes::Bytes;
use machines::primitive::value::{Command, Query, Reply};
use parking_lot::Mutex;

use super::{Client, Subject};
use crate::world::World;

const LEASE_MS_MAX: u64 = 300;
/// What an owner that was just opened needs to fire all that is due, at most.
const LATE_MS: u64 = 3_000;

pub(super) struct Leases {
    world: World,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answered: usize,
    /// By client. None: what its value is, is not known.
    held: BTreeMap<u64, Option<Held>>,
}

/// The step that wrote it has read the clock between the call and the answer.
#[derive(Clone, Debug)]
struct Held {
    value: String,
    ends_at_least: Timestamp,
    ends_at_most: Timestamp,
}

impl Leases {
    pub(super) fn new(world: World) -> Leases {
        let state = Mutex::default();
        Leases { world, state }
    }

    async fn write(&self, client: &mut Client) {
        let value = client.random.u32(..).to_string();
        let ttl = Duration::from_millis(client.random.u64(0..LEASE_MS_MAX));
        let command = Command::Set {
            value: Bytes::from(value.clone()),
            ttl: Some(ttl),
        };
        self.state.lock().held.insert(client.number, None);
        let called = client.now();
        let answer = client.call(&name(client.number), command).await;
        if let Some(Ok(_)) = answer {
            let held = Held {
                value,
                ends_at_least: called.plus(ttl),
                ends_at_most: client.now().plus(ttl),
            };
            let mut state = self.state.lock();
            state.held.insert(client.number, Some(held));
            state.answered += 1;
        }
    }

    async fn read(&self, client: &mut Client, number: u64) {
        let called = client.now();
        let answer = client.ask(&name(number), Query::Get).await;
        let Some(Some(held)) = self.state.lock().held.get(&number).cloned() else {
            return;
        };
        let found = match answer {
            Some(Ok(Reply::Found(found))) => Some(found),
            Some(Err(error)) if error.code() == codes::ENTRY_NOT_FOUND => None,
            _ => return,
        };
        let now = client.now();
        match found {
            Some(found) if called >= held.ends_at_most => {
                let fault = format!("{found:?} is there at {called:?}: {held:?}");
                self.world.fault(fault);
            }
            Some(found) if found.value != held.value => {
                self.world.fault(format!("{found:?} is there, and not {held:?}"));
            }
            None if now < held.ends_at_least => {
                self.world.fault(format!("gone at {now:?} already: {held:?}"));
            }
            _ => {}
        }
    }
}

#[async_trait]
impl Subject for Leases {
    async fn act(&self, client: &mut Client) {
        match client.random.u32(..2) {
            0 => self.write(client).await,
            _ => self.read(client, client.number).await,
        }
    }

    async fn end(&self, client: &mut Client) {
        client.pause(LEASE_MS_MAX + LATE_MS).await;
        let written: Vec<u64> = self.state.lock().held.keys().copied().collect();
        for number in written {
            match client.ask(&name(number), Query::Get).await {
                Some(Err(error)) if error.code() == codes::ENTRY_NOT_FOUND => {}
                other => self.world.fault(format!("a lease of long ago: {other:?}")),
            }
        }
        let timers = self.world.timers().await;
        if timers > 0 {
            self.world.fault(format!("{timers} timers have not fired"));
        }
    }

    fn answered(&self) -> usize {
        self.state.lock().answered
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

pub(super) fn name(client: u64) -> String {
    format!("lease {client}")
}
