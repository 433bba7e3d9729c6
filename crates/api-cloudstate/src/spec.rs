//! What a user function consists of, once it is found to be fit to be served.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::limits;
use wire::cloudstate::entity_passivation_strategy::Strategy;
use wire::cloudstate::{Entity, EntitySpec};

use crate::function::Function;
use crate::transcode::descriptors::{Descriptors, Method};
use crate::transcode::keys::Keys;
use crate::transcode::router::Routes;

/// Which generation of the protocol a function speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// 0.1, or no version at all.
    L,
    /// 0.2
    N,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    EventSourced,
    Value,
    Action,
}

pub(crate) const EVENT_SOURCED: &str = "cloudstate.eventsourced.EventSourced";
pub(crate) const VALUE: &str = "cloudstate.valueentity.ValueEntity";
pub(crate) const ACTION: &str = "cloudstate.action.ActionProtocol";
pub(crate) const FUNCTION: &str = "cloudstate.function.StatelessFunction";

/// What a proxy says it serves.
pub(crate) const SUPPORTED: [&str; 4] = [ACTION, EVENT_SOURCED, VALUE, FUNCTION];

/// A service of a user function.
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) function: Function,
    pub(crate) dialect: Dialect,
    pub(crate) kind: Kind,
    pub(crate) persistence_id: String,
    /// How long an entity that has nothing to do stays active.
    pub(crate) passivation: Duration,
    pub(crate) methods: BTreeMap<String, Arc<Command>>,
    /// Python's SDK takes snapshots and cannot load them: its entities are given all their events.
    pub(crate) loads_snapshots: bool,
}

/// A method of a service.
pub(crate) struct Command {
    pub(crate) method: Arc<Method>,
    /// Of entities.
    pub(crate) keys: Option<Keys>,
    /// What payloads of its requests are called.
    pub(crate) input_url: String,
    pub(crate) output_url: String,
}

/// All of a function.
pub(crate) struct Spec {
    pub(crate) services: Vec<Arc<Service>>,
    pub(crate) routes: Routes,
    pub(crate) descriptors: Descriptors,
    /// Which SDK it is, for people.
    pub(crate) library: String,
}

/// What holds for all functions.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How long an entity with nothing to do stays active where its function does not say.
    pub passivation: Duration,
    /// How long a function may take for a command.
    pub answer: Duration,
    /// Whether two services may keep their entities under one persistence id.
    pub shared_persistence_ids: bool,
    /// Origins that browsers may call from, besides those of this machine; `*` is all of them.
    pub cors_origins: Vec<String>,
}

impl Service {
    /// Whether its entities are kept under that persistence id.
    pub(crate) fn keeps(&self, persistence_id: &str) -> bool {
        self.kind != Kind::Action && self.persistence_id == persistence_id
    }
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            passivation: limits::ENTITY_PASSIVATION,
            answer: limits::ENTITY_ANSWER,
            shared_persistence_ids: false,
            cors_origins: vec![],
        }
    }
}

impl Spec {
    /// The error is what those who run the function are told.
    pub(crate) fn read(function: &Function, spec: &EntitySpec, rules: &Rules) -> Result<Spec, String> {
        let info = spec.service_info.clone().unwrap_or_default();
        let dialect = dialect(info.protocol_major_version, info.protocol_minor_version)?;
        let descriptors = Descriptors::build(&spec.proto)?;
        if spec.entities.is_empty() {
            return Err("it names no entity or action: there is nothing to serve".into());
        }
        let mut services: Vec<Arc<Service>> = vec![];
        let mut described = vec![];
        for entity in &spec.entities {
            let reader = Reader {
                function,
                library: &info.support_library_name,
                dialect,
                entity,
                rules,
            };
            let (service, methods) = reader.service(&descriptors)?;
            if services.iter().any(|other| other.name == service.name) {
                return Err(format!("service {} is named twice", service.name));
            }
            if let Some(other) = services.iter().find(|other| shares_state(other, &service))
                && !rules.shared_persistence_ids
            {
                return Err(shared(other, &service));
            }
            services.push(Arc::new(service));
            described.push(methods);
        }
        let routes = Routes::new(&described)?;
        Ok(Spec {
            services,
            routes,
            descriptors,
            library: library(&info.support_library_name, &info.support_library_version),
        })
    }
}

fn library(name: &str, version: &str) -> String {
    match name {
        "" => "an unknown SDK".into(),
        name => format!("{name} {version}").trim_end().to_owned(),
    }
}

fn dialect(major: i32, minor: i32) -> Result<Dialect, String> {
    match (major, minor) {
        (0, 0 | 1) => Ok(Dialect::L),
        (0, 2) => Ok(Dialect::N),
        _ => Err(format!(
            "it speaks version {major}.{minor} of the protocol; 0.1 (or none) and 0.2 are served: use an SDK of one of these"
        )),
    }
}

/// Whether what one keeps would be found by the other.
pub(crate) fn shares_state(one: &Service, other: &Service) -> bool {
    let keeps = |service: &Service| service.kind != Kind::Action;
    keeps(one) && keeps(other) && one.name != other.name && one.persistence_id == other.persistence_id
}

pub(crate) fn shared(one: &Service, other: &Service) -> String {
    format!(
        "services {} and {} both keep their entities under the persistence id {:?}: entities of the same id would share their state; \
         give one of them another persistence id, or allow it with entities.shared_persistence_ids",
        one.name, other.name, one.persistence_id
    )
}

struct Reader<'a> {
    function: &'a Function,
    library: &'a str,
    dialect: Dialect,
    entity: &'a Entity,
    rules: &'a Rules,
}

impl Reader<'_> {
    fn service(
        &self,
        descriptors: &Descriptors,
    ) -> Result<(Service, crate::transcode::descriptors::Service), String> {
        let name = &self.entity.service_name;
        let described = descriptors.service(name).ok_or_else(|| {
            format!("service {name} is not in the descriptors: both its package and its name have to match")
        })?;
        let kind = self.kind()?;
        let mut methods = BTreeMap::new();
        for method in &described.methods {
            methods.insert(method.name.clone(), Arc::new(self.command(kind, method)?));
        }
        let service = Service {
            name: described.full_name.clone(),
            function: self.function.clone(),
            dialect: self.dialect,
            kind,
            persistence_id: self.persistence_id(kind)?,
            passivation: self.passivation(),
            methods,
            loads_snapshots: self.library != "cloudstate-python-support",
        };
        Ok((service, described))
    }

    fn kind(&self) -> Result<Kind, String> {
        match self.entity.entity_type.as_str() {
            EVENT_SOURCED => Ok(Kind::EventSourced),
            VALUE => Ok(Kind::Value),
            ACTION | FUNCTION => Ok(Kind::Action),
            other => Err(format!(
                "service {} is of type {other:?}, which is not served; served are {}",
                self.entity.service_name,
                SUPPORTED.join(", ")
            )),
        }
    }

    fn persistence_id(&self, kind: Kind) -> Result<String, String> {
        let given = &self.entity.persistence_id;
        let name = &self.entity.service_name;
        if given.len() > limits::PERSISTENCE_ID_BYTES_MAX {
            let max = limits::PERSISTENCE_ID_BYTES_MAX;
            return Err(format!(
                "the persistence id of service {name} is longer than {max} bytes"
            ));
        }
        if given.is_empty() && kind != Kind::Action {
            return Ok(name.clone());
        }
        Ok(given.clone())
    }

    fn passivation(&self) -> Duration {
        let strategy = self.entity.passivation_strategy.as_ref();
        match strategy.and_then(|strategy| strategy.strategy.as_ref()) {
            Some(Strategy::Timeout(given)) if given.timeout > 0 => {
                Duration::from_millis(given.timeout.unsigned_abs())
            }
            _ => self.rules.passivation,
        }
    }

    fn command(&self, kind: Kind, method: &Arc<Method>) -> Result<Command, String> {
        let keys = match kind {
            Kind::Action => None,
            Kind::EventSourced | Kind::Value => {
                if method.client_streaming || method.server_streaming {
                    return Err(format!(
                        "{}.{}: an entity's method has one request and one answer; streams are for actions",
                        method.service, method.name
                    ));
                }
                Some(Keys::of(method)?)
            }
        };
        Ok(Command {
            method: method.clone(),
            keys,
            input_url: url(method.input.full_name()),
            output_url: url(method.output.full_name()),
        })
    }
}

fn url(message: &str) -> String {
    format!("type.googleapis.com/{message}")
}
