//! Sessions of clients, as a family keeps them: a session belongs to one process and one primitive, and what it holds is free
//! at some time after it was lost. When that may be at the earliest is known, and nothing may be free before.
//!
//! | a session | may be over |
//! |---|---|
//! | is lost | from the time on that its end names |
//! | is of a process that is over | from [`RESTART_GRACE`] on after that: so long the next one waits |

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::Timestamp;
use machines::{Command, Engine};
use parking_lot::Mutex;

use super::{Client, REFUSED_MAX, address};
use crate::world::{Process, RESTART_GRACE};

/// The longest that a lost session lives on.
const LIFE_MS_MAX: u64 = 150;
/// When all sessions that were lost before are over, with the steps that this takes.
pub(super) const OVER_MS: u64 = 1_500;

#[derive(Default)]
pub(super) struct Sessions(Mutex<State>);

#[derive(Default)]
struct State {
    last: u64,
    /// By client and primitive.
    current: BTreeMap<(u64, &'static str), Own>,
    /// Those that cannot be over by now.
    alive: Vec<Alive>,
}

/// A client's session with a primitive.
#[derive(Clone)]
pub(super) struct Own {
    pub(super) number: u64,
    pub(super) process: Arc<Process>,
}

struct Alive {
    name: &'static str,
    own: Own,
    over_at: Option<Timestamp>,
}

impl Own {
    pub(super) fn session(&self) -> machines::Session {
        machines::Session(u128::from(self.number))
    }
}

impl Sessions {
    /// The client's session; a new one if it has none, or its process is over. `None`: there is no process.
    pub(super) fn of(&self, client: &mut Client, name: &'static str) -> Option<Own> {
        let mut state = self.0.lock();
        let place = (client.number, name);
        if let Some(own) = state.current.get(&place).filter(|own| own.process.is_well()) {
            return Some(own.clone());
        }
        let process = client.process()?;
        state.last += 1;
        let number = state.last;
        let own = Own { number, process };
        state.current.insert(place, own.clone());
        state.alive.push(Alive {
            name,
            own: own.clone(),
            over_at: None,
        });
        Some(own)
    }

    /// The client's connection is lost, and its process is told.
    pub(super) async fn lose(&self, client: &mut Client, name: &'static str) {
        let life = Duration::from_millis(client.random.u64(0..LIFE_MS_MAX));
        let over_at = client.now().plus(life);
        let Some(own) = self.0.lock().current.remove(&(client.number, name)) else {
            return;
        };
        for alive in &mut self.0.lock().alive {
            if alive.own.number == own.number {
                alive.over_at = Some(over_at);
            }
        }
        let session = own.session();
        for _ in 0..=REFUSED_MAX {
            let lost = Command::SessionLost { session, over_at };
            let call = own.process.host.submit(&address(name), lost);
            match client.told(&own.process, call).await {
                Some(Err(error)) if error.kind() == base::Kind::ResourceExhausted => client.pause(10).await,
                _ => return,
            }
        }
    }

    /// The session is not used any more, and nobody says so.
    pub(super) fn forget(&self, client: &Client, name: &'static str) {
        self.0.lock().current.remove(&(client.number, name));
    }

    /// Those that may be over by now, each once.
    pub(super) fn over(&self, now: Timestamp) -> Vec<(&'static str, u64)> {
        let alive = &mut self.0.lock().alive;
        let over = alive.extract_if(.., |alive| {
            let process = alive.own.process.over_since();
            let restarted = process.map(|since| since.plus(RESTART_GRACE));
            let first = alive.over_at.into_iter().chain(restarted).min();
            first.is_some_and(|first| first <= now)
        });
        over.map(|alive| (alive.name, alive.own.number)).collect()
    }
}
