//! Everything that is served now, of all functions.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::Method as Verb;
use parking_lot::Mutex;

use crate::spec::{self, Rules, Service, Spec};
use crate::transcode::router::Match;

/// A clone shares what it shows.
#[derive(Clone)]
pub(crate) struct Catalog(Arc<Shared>);

#[derive(Default)]
struct Shared {
    now: ArcSwap<Now>,
    /// One change at a time.
    changing: Mutex<()>,
}

/// Functions by their place in the configuration: services of earlier ones win over later ones.
#[derive(Default)]
pub(crate) struct Now {
    functions: BTreeMap<usize, Arc<Spec>>,
}

impl Catalog {
    pub(crate) fn new() -> Catalog {
        Catalog(Arc::default())
    }

    pub(crate) fn now(&self) -> Arc<Now> {
        self.0.now.load_full()
    }

    pub(crate) fn service(&self, name: &str) -> Option<Arc<Service>> {
        self.0.now.load().service(name)
    }

    /// The error is what those who run the function are told: it is served as before, if it was.
    pub(crate) fn put(&self, place: usize, spec: Spec, rules: &Rules) -> Result<(), String> {
        let _changing = self.0.changing.lock();
        let mut functions = self.now().functions.clone();
        functions.remove(&place);
        for other in functions.values().flat_map(|other| &other.services) {
            for service in &spec.services {
                clash(other, service, rules)?;
            }
        }
        functions.insert(place, Arc::new(spec));
        self.0.now.store(Arc::new(Now { functions }));
        Ok(())
    }
}

fn clash(other: &Service, service: &Service, rules: &Rules) -> Result<(), String> {
    if other.name == service.name {
        let (name, function) = (&service.name, other.function.authority());
        return Err(format!(
            "service {name} is served by the function at {function} already"
        ));
    }
    if spec::shares_state(other, service) && !rules.shared_persistence_ids {
        return Err(spec::shared(other, service));
    }
    Ok(())
}

impl Now {
    pub(crate) fn service(&self, name: &str) -> Option<Arc<Service>> {
        let mut services = self.services();
        services.find(|service| service.name == name).cloned()
    }

    pub(crate) fn services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.specs().flat_map(|spec| &spec.services)
    }

    pub(crate) fn specs(&self) -> impl Iterator<Item = &Arc<Spec>> {
        self.functions.values()
    }

    /// What a method and a path of HTTP lead to.
    pub(crate) fn route(&self, verb: &Verb, path: &str) -> Option<Match> {
        self.specs().find_map(|spec| spec.routes.find(verb, path))
    }

    pub(crate) fn allowed(&self, path: &str) -> Vec<Verb> {
        self.specs().flat_map(|spec| spec.routes.allowed(path)).collect()
    }
}
