//! The Cloudstate family, mounted.

use std::sync::Arc;
use std::time::Duration;

use api_cloudstate::{Rules, Service, Watcher};
use base::Result;

use super::hosts::Hosts;
use crate::admin::Readiness;
use crate::admin::readiness::{Part, Weight};
use crate::config::{Address, Config};
use crate::serve::Web;

pub(super) async fn start(config: Config, hosts: Hosts, readiness: Readiness) -> Result<Service> {
    let engine = Arc::new(hosts.main().await?);
    let functions = config.functions.iter().map(|function| {
        let authority = function.authority();
        let part = readiness.part(format!("user function {authority}"), Weight::Supporting);
        let watcher: Arc<dyn Watcher> = Arc::new(Watched(part));
        (authority, watcher)
    });
    Ok(Service::start(engine, rules(&config), functions.collect()))
}

fn rules(config: &Config) -> Rules {
    let entities = &config.entities;
    Rules {
        passivation: Duration::from_millis(entities.passivation_timeout_ms),
        answer: Duration::from_millis(entities.answer_timeout_ms),
        shared_persistence_ids: entities.shared_persistence_ids,
        cors_origins: entities.cors_origins.clone(),
    }
}

/// Where there is nothing to serve, nothing listens.
pub(super) fn address(config: &Config) -> &Address {
    match config.functions.is_empty() {
        true => &Address::Off,
        false => &config.listen.functions,
    }
}

/// A function as a part of readiness.
struct Watched(Part);

impl Watcher for Watched {
    fn served(&self, _services: &[String], _library: &str) {
        self.0.ready();
    }

    fn waits(&self, why: &str) {
        self.0.not_ready(why);
    }
}

pub(super) fn front_door(service: &Service) -> Web {
    let front = service.front.clone();
    Web(Arc::new(move |request| {
        let front = front.clone();
        Box::pin(async move { front.answer(request).await })
    }))
}
