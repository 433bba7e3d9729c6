//! All HTTP bindings of the services that are served. Those added later win (spec 2.4).

use std::sync::Arc;

use http::Method as Verb;

use super::descriptors::{Method, Service};
use super::rule::{self, Rule};

#[derive(Debug, Default)]
pub(crate) struct Routes(Vec<Arc<Route>>);

/// One binding.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) method: Arc<Method>,
    pub(crate) rule: Rule,
}

/// A request's binding, and what its path has for the rule's variables, still encoded.
#[derive(Clone, Debug)]
pub(crate) struct Match {
    pub(crate) route: Arc<Route>,
    pub(crate) values: Vec<String>,
}

impl Routes {
    /// The error is what people are told.
    pub(crate) fn new(services: &[Service]) -> Result<Self, String> {
        let mut routes = vec![];
        for method in services.iter().flat_map(|service| &service.methods) {
            for rule in rule::rules(method)? {
                let method = Arc::clone(method);
                routes.push(Arc::new(Route { method, rule }));
            }
        }
        Ok(Self(routes))
    }

    /// The path is as it was sent, without the query.
    pub(crate) fn find(&self, verb: &Verb, path: &str) -> Option<Match> {
        self.0.iter().rev().find_map(|route| {
            if !route.rule.takes(verb) {
                return None;
            }
            let values = route.rule.template.matched(path)?;
            Some(Match {
                route: Arc::clone(route),
                values: values.into_iter().map(str::to_owned).collect(),
            })
        })
    }

    /// The verbs that have a binding for a path: none is 404, others than the one that was asked for are 405 with `Allow`.
    pub(crate) fn allowed(&self, path: &str) -> Vec<Verb> {
        let mut verbs = vec![];
        for route in &self.0 {
            if let Some(verb) = &route.rule.verb
                && !verbs.contains(verb)
                && route.rule.template.matched(path).is_some()
            {
                verbs.push(verb.clone());
            }
        }
        verbs
    }
}

impl Rule {
    fn takes(&self, verb: &Verb) -> bool {
        self.verb.as_ref().is_none_or(|own| own == verb)
    }
}

#[cfg(test)]
mod tests;
