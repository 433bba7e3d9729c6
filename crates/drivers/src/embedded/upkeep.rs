//! What has to happen by the clock: expiry, the syncs of relaxed mode, the watermark's sync, a look at the disk.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::committer::Handle;
use super::reclaim::Reclaim;
use super::settings::{Mode, Options};
use super::store::Store;

const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Ends with its drop.
pub(super) struct Upkeep {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    pub(super) fn start(path: &Path, options: &Options, committer: Handle, store: Store) -> Upkeep {
        let sync_interval = match options.mode {
            Mode::Durable => SWEEP_INTERVAL,
            Mode::Relaxed => Duration::from_millis(options.sync_interval_ms),
        };
        let tick = sync_interval.min(SWEEP_INTERVAL);
        let (path, reserve) = (path.to_owned(), options.reserve_mib << 20);
        look(&path, reserve, &committer, &store);
        let (end, ended) = channel();
        let mut reclaim = Reclaim::new(store.clone());
        let work = move || {
            let (mut swept, mut synced) = (Instant::now(), Instant::now());
            while ended.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
                if synced.elapsed() >= sync_interval {
                    synced = Instant::now();
                    committer.sync();
                }
                if swept.elapsed() >= SWEEP_INTERVAL {
                    swept = Instant::now();
                    if let Some(free) = look(&path, reserve, &committer, &store) {
                        reclaim.step(free);
                    }
                    committer.sweep();
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("upkeep".into())
            .spawn(work)
            .expect("a thread can be started");
        Upkeep {
            end: Some(end),
            thread: Some(thread),
        }
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// The free bytes, if they are fewer than have to be kept free. Without a reserve nobody looks.
fn look(path: &PathBuf, reserve: u64, committer: &Handle, store: &Store) -> Option<u64> {
    if reserve == 0 {
        return None;
    }
    match rustix::fs::statvfs(path) {
        Ok(disk) => {
            let free = disk.f_bavail * disk.f_frsize;
            let kept = reserve + store.merge_bytes();
            committer.room(Some(free.saturating_sub(kept)));
            (free <= kept).then_some(free)
        }
        Err(cause) => {
            tracing::warn!(error = %cause, "the disk's free space cannot be read");
            committer.room(None);
            None
        }
    }
}
