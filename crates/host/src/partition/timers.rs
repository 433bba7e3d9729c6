//! What is due, and when: the nearest timers in memory, the others in the store only.

use std::collections::BTreeMap;

use base::{Result, Timestamp, limits};
use bytes::Bytes;
use machines::{Address, Key, Message, Stored, Table};
use ports::kv::{Keyspace, Kv, Scan};

use crate::keys;

#[derive(Default)]
pub(super) struct Timers {
    /// By key, and so by time.
    near: BTreeMap<Bytes, Bytes>,
    /// Timers behind this key may be in the store only. `None`: all are here.
    horizon: Option<Bytes>,
}

/// A timer that is due.
pub(super) struct Due {
    pub(super) key: Key,
    pub(super) address: Address,
    pub(super) message: Message,
}

impl Timers {
    /// Reads the next ones from the store. To be called when no commit is on its way: what was just set would be missed.
    pub(super) async fn load(&mut self, kv: &dyn Kv, partition: u16) -> Result<()> {
        let prefix = keys::table(partition, Table::Timer);
        loop {
            let mut scan = Scan::prefix(Keyspace::State, prefix.clone());
            if let Some(horizon) = &self.horizon {
                scan = scan.after(&[prefix.as_ref(), horizon.as_ref()].concat());
            }
            let page = kv.scan(scan).await?;
            let more = page.more;
            for (key, entry) in page.rows {
                let key = keys::machine_key(Table::Timer, &key).bytes;
                self.horizon = Some(key.clone());
                self.near.insert(key, entry.value);
            }
            if !more {
                self.horizon = None;
                return Ok(());
            }
            if self.near.len() >= limits::TIMERS_IN_MEMORY_MAX {
                return Ok(());
            }
        }
    }

    /// How many are in memory.
    pub(super) fn len(&self) -> usize {
        self.near.len()
    }

    /// Whether there may be timers in the store that have to be read before it can be said what is due.
    pub(super) fn wants_load(&self) -> bool {
        self.near.is_empty() && self.horizon.is_some()
    }

    /// A row of the timers' table has changed.
    pub(super) fn change(&mut self, key: &Bytes, row: Option<&Bytes>) {
        match row {
            None => drop(self.near.remove(key)),
            Some(_) if self.horizon.as_ref().is_some_and(|horizon| key > horizon) => {}
            Some(row) => {
                self.near.insert(key.clone(), row.clone());
                if self.near.len() > 2 * limits::TIMERS_IN_MEMORY_MAX {
                    let far = self.near.keys().nth(limits::TIMERS_IN_MEMORY_MAX).cloned();
                    if let Some(far) = far {
                        drop(self.near.split_off(&far));
                        self.horizon = self.near.keys().next_back().cloned();
                    }
                }
            }
        }
    }

    /// When the first one is due.
    pub(super) fn next(&self) -> Option<Timestamp> {
        let (key, _) = self.near.first_key_value()?;
        Some(Key::decode_timer(key).map_or(Timestamp(0), |(due, _)| Timestamp(due)))
    }

    /// Takes the first one, if it is due. A row that cannot be read comes as an error, once: it stays in the store.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Option<Result<Due>> {
        if self.next()? > now {
            return None;
        }
        let (bytes, row) = self.near.pop_first()?;
        let key = Key {
            table: Table::Timer,
            bytes,
        };
        let due = Message::from_row(&row).and_then(|message| {
            let (_, address) = Key::decode_timer(&key.bytes).ok_or_else(|| {
                base::Error::new(base::codes::STORED_ROW_UNREADABLE, "a timer's key cannot be read")
            })?;
            Ok(Due {
                key,
                address,
                message,
            })
        });
        Some(due)
    }
}
