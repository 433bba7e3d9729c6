//! Who waits for rows appended to a log.

use std::collections::HashMap;

use bytes::Bytes;
use parking_lot::RwLock;
use ports::kv::{Keyspace, Version};
use tokio::sync::watch;

type Log = (Keyspace, Bytes);

/// Logs that nobody watches any more are forgotten when so many are known.
const FORGET_ABOVE: usize = 1_024;

#[derive(Default)]
pub(crate) struct Signals(RwLock<HashMap<Log, watch::Sender<Version>>>);

impl Signals {
    pub(crate) fn watch(&self, keyspace: Keyspace, prefix: &Bytes) -> watch::Receiver<Version> {
        let mut logs = self.0.write();
        if logs.len() > FORGET_ABOVE {
            logs.retain(|_, sender| sender.receiver_count() > 0);
        }
        let sender = logs
            .entry((keyspace, prefix.clone()))
            .or_insert_with(|| watch::Sender::new(Version(0)));
        sender.subscribe()
    }

    /// Tells the watchers of each log. Call it when the rows can be read.
    pub(crate) fn appended<'a>(&self, logs: impl IntoIterator<Item = &'a (Log, Version)>) {
        let known = self.0.read();
        if known.is_empty() {
            return;
        }
        for (log, version) in logs {
            if let Some(sender) = known.get(log) {
                sender.send_replace(*version);
            }
        }
    }
}
