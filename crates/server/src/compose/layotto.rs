//! The Layotto family, mounted.

use std::collections::HashMap;
use std::sync::Arc;

use api_layotto::callback::{self, Consumer};
use api_layotto::components::{Live, Reconfigure};
use base::{Error, Result, codes};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tonic::service::{Routes, RoutesBuilder};

use crate::admin::Readiness;
use crate::admin::readiness::{Part, Weight};
use crate::config::{self, Config};
use crate::serve::Grpc;
use crate::telemetry::flow::Rules;

const SERVICES: [&str; 2] = ["spec.proto.runtime.v1.Runtime", "spec.proto.runtime.v1.Lifecycle"];

/// What its listener serves, on every runtime the same.
pub(super) fn grpc(config: &Config, live: Arc<Live>, reconfigure: Arc<dyn Reconfigure>) -> Grpc {
    let service = api_layotto::services(live, reconfigure, config.limits.message_bytes);
    Grpc {
        routes: Arc::new(move |_| -> Routes {
            let mut routes = RoutesBuilder::default();
            service.mount(&mut routes);
            routes.routes()
        }),
        descriptors: vec![wire::layotto::FILE_DESCRIPTOR_SET],
        services: SERVICES.to_vec(),
        waiting: vec![],
        flow_control: Rules(config.limits.calls_per_second.clone().into_iter().collect()),
        keep_alive: None,
    }
}

/// Delivers events to the application. Without an application's address there is nothing to deliver to.
///
/// Readiness names what does not work yet. An application that is not there is no reason to serve nothing: it may be the
/// one that waits for Belay.
pub(super) fn consume(
    config: &Config,
    live: Arc<Live>,
    readiness: &Readiness,
    runtime: &Handle,
) -> Result<Option<Consumer>> {
    let Some(address) = config.apps.first().and_then(|app| app.callback.as_deref()) else {
        return Ok(None);
    };
    let app = callback::Address::parse(address).ok_or_else(|| {
        Error::new(
            codes::CONFIG_INVALID,
            format!("the application's callback '{address}' is no host:port"),
        )
    })?;
    let subscription = |configured: &config::Subscription| callback::Subscription {
        pubsub: configured.pubsub.clone(),
        topic: configured.topic.clone(),
        metadata: configured.metadata.clone(),
    };
    let subscriptions = config.subscriptions.iter().map(subscription).collect();
    let options = callback::Options {
        live,
        app,
        subscriptions,
        report: report(readiness.clone()),
    };
    let _inside = runtime.enter();
    Ok(Some(Consumer::start(options)))
}

/// One part of readiness per subscription, made when it is first heard of.
fn report(readiness: Readiness) -> callback::Report {
    let parts: Mutex<HashMap<String, Part>> = Mutex::default();
    Arc::new(move |name, result| {
        let mut parts = parts.lock();
        let part = parts
            .entry(name.to_owned())
            .or_insert_with(|| readiness.part(name, Weight::Supporting));
        match result {
            Ok(()) => part.ready(),
            Err(reason) => part.not_ready(reason),
        }
    })
}
