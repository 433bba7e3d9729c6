//! The Atomix family, mounted.

use std::sync::Arc;
use std::time::Duration;

use api_atomix::stores::{Driver, Listed, Opener, StoreId};
use api_atomix::{Options, Service, names};
use async_trait::async_trait;
use axum::Router;
use axum::response::Json;
use axum::routing::get;
use base::{Error, Result, codes};
use bytes::Bytes;
use machines::Engine;
use ports::Settings;
use serde_json::{Value, json};
use tonic::service::{Routes, RoutesBuilder};

use super::hosts::Hosts;
use crate::config::{Config, Sessions, SetUnchanged};
use crate::serve::{Grpc, KeepAlive};
use crate::telemetry::flow::Rules;

/// What the reference calls drivers that keep everything in memory, in its latest and its first form. Their settings say where
/// its replicas are; there are none here.
const IN_MEMORY: [&str; 4] = [
    "atomix.io/pod-memory",
    "atomix.io/shared-memory",
    "PodMemory",
    "SharedMemory",
];

pub(super) async fn start(config: Config, hosts: Hosts) -> Result<Service> {
    let engine = Arc::new(hosts.main().await?);
    let options = Options {
        session_grace: Duration::from_millis(config.limits.session_grace_ms),
        message_bytes_max: config.limits.message_bytes,
        strict: config.primitives.strict,
        shared_session: (config.primitives.sessions == Sessions::Process)
            .then(|| machines::Session(uuid::Uuid::new_v4().as_u128())),
        set_answers_bools: config.primitives.set_unchanged == SetUnchanged::Bool,
        ..Options::new(engine, Arc::new(hosts))
    };
    Service::start(options).await
}

pub(super) fn primitives(config: &Config, service: &Service) -> Grpc {
    Grpc {
        keep_alive: Some(KeepAlive::of_sessions(&config.limits)),
        waiting: names::WAITING.to_vec(),
        ..grpc(service, names::PRIMITIVES, Service::mount_primitives)
    }
}

pub(super) fn control(service: &Service) -> Grpc {
    grpc(service, names::CONTROL, Service::mount_control)
}

fn grpc(service: &Service, names: &[&'static str], mount: fn(&Service, &mut RoutesBuilder)) -> Grpc {
    let service = service.clone();
    Grpc {
        routes: Arc::new(move |_| -> Routes {
            let mut routes = RoutesBuilder::default();
            mount(&service, &mut routes);
            routes.routes()
        }),
        descriptors: vec![wire::atomix::FILE_DESCRIPTOR_SET],
        services: names.to_vec(),
        waiting: vec![],
        flow_control: Rules::default(),
        keep_alive: None,
    }
}

/// `/stores` of the admin listener.
pub(super) fn admin(service: &Service) -> Router {
    let service = service.clone();
    let list = move || async move {
        let store = |store: Listed| {
            json!({
                "namespace": store.id.namespace, "name": store.id.name, "driver": store.driver.name,
                "version": store.driver.version, "open": store.open,
            })
        };
        let stores: Vec<Value> = service.stores().into_iter().map(store).collect();
        Json(json!({ "stores": stores }))
    };
    Router::new().route("/stores", get(list))
}

#[async_trait]
impl Opener for Hosts {
    async fn open(&self, id: &StoreId, driver: &Driver, settings: &Bytes) -> Result<Arc<dyn Engine>> {
        let of_reference = IN_MEMORY.contains(&driver.name.as_str());
        let name = if of_reference { "memory" } else { &driver.name };
        let settings = match of_reference {
            true => Settings::default(),
            false => parse(settings)?,
        };
        Ok(Arc::new(self.of_driver(name, &id.name, &settings).await?))
    }
}

/// Settings are a JSON object, or nothing.
fn parse(settings: &Bytes) -> Result<Settings> {
    if settings.is_empty() {
        return Ok(Settings::default());
    }
    let invalid =
        |why: String| Error::new(codes::CONFIG_INVALID, format!("the settings are not JSON: {why}"));
    match serde_json::from_slice(settings).map_err(|cause| invalid(cause.to_string()))? {
        Value::Null => Ok(Settings::default()),
        Value::Object(members) => Ok(Settings(members)),
        _ => Err(Error::new(
            codes::CONFIG_INVALID,
            "the settings are no JSON object",
        )),
    }
}
