//! Which service is where: the `targets` of invokers.

use std::collections::BTreeMap;

use base::{Error, Result, codes, limits};
use ports::Finding;
use schemars::JsonSchema;
use serde::Deserialize;

use super::Address;

/// One service and its address.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    /// The service's id, as callers name it; `*` is every service that isn't in the list.
    pub id: String,
    /// Where it listens: `http://host:port`, `host:port` or `unix:/path`. `https` is not possible yet.
    pub url: String,
}

/// What is wrong with a list of targets, all at once.
pub(crate) fn validate(targets: &[Target]) -> Vec<Finding> {
    let mut findings = vec![];
    if targets.is_empty() {
        findings.push(Finding::error(
            "targets",
            "no target is named: write the services' ids and addresses",
        ));
    }
    for (index, target) in targets.iter().enumerate() {
        if target.id.is_empty() {
            let message = "the id is empty: write the service's id, or * for every other service";
            findings.push(Finding::error(format!("targets.{index}.id"), message));
        }
        if targets[..index].iter().any(|before| before.id == target.id) {
            let message = format!("{} is named twice: leave one of them out", target.id);
            findings.push(Finding::error(format!("targets.{index}.id"), message));
        }
        if let Err(message) = Address::parse(&target.url) {
            findings.push(Finding::error(format!("targets.{index}.url"), message));
        }
    }
    findings
}

/// What is wrong with a limit on connections.
pub(crate) fn validate_connections(connections_max: u64) -> Option<Finding> {
    let ceiling = limits::OUTBOUND_CONNECTIONS_CEILING as u64;
    let message = format!("the number of connections must be 1 to {ceiling}");
    (!(1..=ceiling).contains(&connections_max)).then(|| Finding::error("connectionsMax", message))
}

/// The same limit for whoever opens without having validated.
pub(crate) fn connections(connections_max: u64) -> usize {
    let ceiling = limits::OUTBOUND_CONNECTIONS_CEILING;
    usize::try_from(connections_max)
        .unwrap_or(ceiling)
        .clamp(1, ceiling)
}

/// Services by id. Several ids with one address share what was made for it.
pub(crate) struct Services<T>(BTreeMap<String, T>);

impl<T: Clone> Services<T> {
    pub(crate) fn open(targets: &[Target], mut open: impl FnMut(Address) -> T) -> Result<Services<T>> {
        let (mut services, mut opened) = (BTreeMap::new(), BTreeMap::<Address, T>::new());
        for target in targets {
            let address = Address::parse(&target.url)
                .map_err(|message| Error::new(codes::CONFIG_INVALID, format!("{}: {message}", target.url)))?;
            let service = opened.entry(address.clone()).or_insert_with(|| open(address));
            services.insert(target.id.clone(), service.clone());
        }
        Ok(Services(services))
    }

    pub(crate) fn get(&self, id: &str) -> Result<&T> {
        let service = self.0.get(id).or_else(|| self.0.get("*"));
        service.ok_or_else(|| {
            Error::new(
                codes::INVOKE_FAILED,
                format!("no target is configured for service {id}"),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(pairs: &[(&str, &str)]) -> Vec<Target> {
        let target = |(id, url): &(&str, &str)| Target {
            id: (*id).to_owned(),
            url: (*url).to_owned(),
        };
        pairs.iter().map(target).collect()
    }

    #[track_caller]
    fn check(pairs: &[(&str, &str)], expected: &[&str]) {
        let findings = validate(&targets(pairs));
        let paths: Vec<_> = findings.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(paths, expected);
    }

    #[test]
    fn all_findings_are_told_at_once() {
        check(&[("a", "x:1"), ("*", "unix:/x")], &[]);
        check(&[], &["targets"]);
        check(
            &[("a", "x:1"), ("", "x"), ("a", "https://x:1")],
            &["targets.1.id", "targets.1.url", "targets.2.id", "targets.2.url"],
        );
    }

    #[test]
    fn a_service_is_found_by_id_or_by_the_star() {
        let services = Services::open(&targets(&[("a", "x:1"), ("*", "y:2")]), |address| {
            address.to_string()
        });
        let services = services.expect("the addresses are good");
        assert_eq!(services.get("a").expect("it is named"), "x:1");
        assert_eq!(services.get("b").expect("there is a star"), "y:2");
    }

    #[test]
    fn one_address_is_opened_once() {
        let mut count = 0;
        let pairs = targets(&[("a", "x:1"), ("b", "http://x:1"), ("c", "y:1")]);
        Services::open(&pairs, |_| count += 1)
            .map(drop)
            .expect("the addresses are good");
        assert_eq!(count, 2);
    }
}
