//! Partition hosts: one over the process's engine, one over each further store that machines are kept in.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Error, Result, codes, limits};
use drivers::derived::Ownership;
use host::{Counts, Host, Options};
use machines::Callee;
use parking_lot::Mutex;
use ports::Settings;
use ports::kv::Kv;
use tokio::runtime::Handle;

use super::components::Opener;
use crate::config::Config;

#[derive(Clone)]
pub(super) struct Hosts(Arc<Shared>);

struct Shared {
    opener: Opener,
    runtimes: Vec<Handle>,
    restart_grace: Duration,
    callee: Arc<dyn Callee>,
    /// By where the store is in memory: its number is its place in the order of opening.
    open: Mutex<BTreeMap<usize, (usize, Host)>>,
    /// One at a time: a second host over the same store would fence the first.
    opening: tokio::sync::Mutex<()>,
}

impl Hosts {
    pub(super) fn new(
        opener: Opener,
        runtimes: Vec<Handle>,
        config: &Config,
        callee: Arc<dyn Callee>,
    ) -> Hosts {
        Hosts(Arc::new(Shared {
            opener,
            runtimes,
            restart_grace: Duration::from_millis(config.limits.session_restart_grace_ms),
            callee,
            open: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
        }))
    }

    /// The host over the process's own engine.
    pub(super) async fn main(&self) -> Result<Host> {
        self.over(self.0.opener.context.engine.clone()).await
    }

    /// The host over a driver's store. Stores that are the same one share a host.
    ///
    /// Errors: `DRIVER_UNKNOWN`, `CONFIG_INVALID`, what the driver says; `UNIMPLEMENTED` when it keeps no machines.
    pub(super) async fn of_driver(&self, driver: &str, name: &str, settings: &Settings) -> Result<Host> {
        let opener = &self.0.opener;
        let driver = opener.driver(driver)?;
        if let Some(finding) = driver.validate(settings).first() {
            let message = format!("setting {} of {name}: {}", finding.path, finding.message);
            return Err(Error::new(codes::CONFIG_INVALID, message));
        }
        let component = driver.open(name, settings, &opener.context).await?;
        let kv = component.kv.ok_or_else(|| {
            let message = format!("driver {} keeps no machines: it offers no kv", driver.name());
            Error::new(codes::UNIMPLEMENTED, message)
        })?;
        self.over(kv).await
    }

    async fn over(&self, kv: Arc<dyn Kv>) -> Result<Host> {
        let _opening = self.0.opening.lock().await;
        let place = Arc::as_ptr(&kv).cast::<()>() as usize;
        if let Some((_, host)) = self.0.open.lock().get(&place) {
            return Ok(host.clone());
        }
        let ownership = Arc::new(Ownership::over(kv.clone()));
        let options = Options {
            partitions: partitions(self.0.runtimes.len()),
            restart_grace: self.0.restart_grace,
            callee: Some(self.0.callee.clone()),
            ..Options::default()
        };
        let host = Host::open(kv, ownership, options, &self.0.runtimes).await?;
        let mut open = self.0.open.lock();
        let number = open.len();
        open.insert(place, (number, host.clone()));
        Ok(host)
    }

    /// What the partitions of each host do, hosts in the order of opening: the process's own engine has the first.
    pub(super) fn counts(&self) -> Vec<Vec<Counts>> {
        let open = self.0.open.lock();
        let mut hosts: Vec<_> = open.values().collect();
        hosts.sort_by_key(|(number, _)| *number);
        hosts.into_iter().map(|(_, host)| host.counts()).collect()
    }

    /// What is applied is committed; what waits is refused.
    pub(super) fn close(&self) {
        for (_, host) in self.0.open.lock().values() {
            host.close();
        }
    }
}

/// One for each runtime that a loop can have for itself.
fn partitions(runtimes: usize) -> u16 {
    let (min, max) = (limits::PARTITIONS_MIN, limits::PARTITIONS_MAX);
    u16::try_from(runtimes).unwrap_or(max).clamp(min, max)
}
