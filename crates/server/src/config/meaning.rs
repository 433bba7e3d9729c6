//! What a schema cannot say: names, ports, addresses, and how the parts fit together.

use std::collections::{BTreeMap, HashMap, HashSet};

use ports::registry::Severity;
use ports::{Driver, Port, Registry, Settings};

use super::document::{Content, Node};
use super::finding::{Finding, list, suggestion};
use super::options::{Address, Component, Config, offered};
use super::references::SecretReference;
use super::{references, schema};

/// Checks each component's settings against its driver: that the driver exists, its schema, its own checks. Before typing,
/// because settings are free JSON for everybody but the driver.
pub(super) fn check_drivers(root: &mut Node, registry: &Registry, findings: &mut Vec<Finding>) {
    let Some(components) = root.get_mut("components") else {
        return;
    };
    for component in components.items_mut() {
        let Some(node) = component.get("driver").filter(|node| !node.broken) else {
            continue;
        };
        let name = node.text().unwrap_or_default();
        match registry.get(name) {
            Some(driver) => check_settings(component, &**driver, findings),
            None => {
                let names = suggestion(name, registry.names().into_iter());
                findings.push(node.error(format!("no driver `{name}` is built in{names}")));
                component.broken = true;
            }
        }
    }
}

fn check_settings(component: &mut Node, driver: &dyn Driver, findings: &mut Vec<Finding>) {
    let mut settings = match component.get("settings") {
        Some(settings) if settings.broken => return,
        Some(settings) if !settings.is_null() => settings.clone(),
        _ => Node::made(component, Content::Map(vec![])),
    };
    // Layotto ignores what it does not know; its settings are the lenient ones.
    let unknown = if settings.lenient {
        Severity::Warning
    } else {
        Severity::Error
    };
    let mut found = schema::check(&driver.schema(), &mut settings, unknown);
    if !found.iter().any(Finding::is_error) {
        found.extend(driver_findings(&settings, driver));
    }
    findings.extend(found);
    component.set(&["settings"], settings);
}

/// What the driver says itself. It sees references instead of secrets, so what it says of those is not passed on.
fn driver_findings(settings: &Node, driver: &dyn Driver) -> Vec<Finding> {
    let found = driver.validate(&Settings(settings.to_map()));
    let placed = found.into_iter().filter_map(|finding| {
        let node = settings.find(&finding.path);
        if node.is_some_and(|node| node.secret) {
            return None;
        }
        let placed = match node {
            Some(node) => node.error(finding.message),
            None => settings.error(format!("`{}`: {}", finding.path, finding.message)),
        };
        Some(Finding {
            severity: finding.severity,
            ..placed
        })
    });
    placed.collect()
}

/// Checks how the parts fit together.
pub(super) fn check(config: &Config, root: &Node, registry: &Registry, findings: &mut Vec<Finding>) {
    let mut check = Check {
        config,
        root,
        components: nodes(root, "components"),
        registry,
        findings,
    };
    check.component_names();
    check.component_ports();
    check.component_options();
    check.addresses();
    check.applications();
    check.subscriptions();
    check.secrets();
    check.identity();
}

struct Check<'all> {
    config: &'all Config,
    root: &'all Node,
    /// The nodes of `config.components`, in its order.
    components: Vec<&'all Node>,
    registry: &'all Registry,
    findings: &'all mut Vec<Finding>,
}

/// The nodes behind a typed list: those that are not broken.
fn nodes<'node>(root: &'node Node, list: &str) -> Vec<&'node Node> {
    let items = root
        .get(list)
        .filter(|list| !list.broken)
        .map_or(&[][..], Node::items);
    items.iter().filter(|item| !item.broken).collect()
}

/// The node of an option, or of what it belongs to.
fn option<'node>(node: &'node Node, name: &str) -> &'node Node {
    node.get(name).unwrap_or(node)
}

impl<'all> Check<'all> {
    fn components(&self) -> impl Iterator<Item = (&'all Component, &'all Node, Vec<Port>)> + use<'all> {
        let registry = self.registry;
        let components = self.config.components.iter().zip(self.components.clone());
        components.filter_map(move |(component, node)| {
            let driver = registry.get(&component.driver)?;
            Some((component, node, component.serves(&**driver)))
        })
    }

    /// Names of the components that serve a port.
    fn names(&self, port: Port) -> Vec<&'all str> {
        self.components()
            .filter(|(_, _, ports)| ports.contains(&port))
            .map(|(component, ..)| component.name.as_str())
            .collect()
    }

    /// Whether a component of that name has a finding of its own, so that nobody knows what it would serve.
    fn is_broken(&self, name: &str) -> bool {
        let components = self.root.get("components").map_or(&[][..], Node::items);
        let mut broken = components.iter().filter(|component| component.broken);
        broken.any(|component| component.get("name").and_then(Node::text) == Some(name))
    }

    fn component_names(&mut self) {
        let mut taken: HashMap<(&str, Port), &Node> = HashMap::new();
        for (component, node, ports) in self.components() {
            let twice = ports
                .iter()
                .find_map(|port| Some((port, taken.get(&(component.name.as_str(), *port))?)));
            if let Some((port, first)) = twice {
                let message = format!(
                    "another component `{}` serves {} already, in line {}; give this one another name, or other ports",
                    component.name,
                    port.name(),
                    first.at.line
                );
                self.findings.push(option(node, "name").error(message));
            }
            for port in ports {
                taken.entry((&component.name, port)).or_insert(node);
            }
        }
        let invokers: Vec<&Node> = self
            .components()
            .filter(|(_, _, ports)| ports.contains(&Port::Invoke))
            .map(|(_, node, _)| node)
            .collect();
        for node in invokers.iter().skip(1) {
            self.findings
                .push(node.error("another component serves invoke already; services are called through one"));
        }
    }

    fn component_ports(&mut self) {
        for (component, node, _) in self.components() {
            let Some(driver) = self.registry.get(&component.driver) else {
                continue;
            };
            let offers = offered(&**driver);
            for (index, serves) in component.ports.iter().flatten().enumerate() {
                if !offers.contains(&serves.port()) {
                    let names: Vec<&str> = offers
                        .iter()
                        .filter(|port| **port != Port::Kv)
                        .map(|port| port.name())
                        .collect();
                    let message = format!(
                        "driver `{}` does not offer {}; it offers {}",
                        component.driver,
                        serves.port().name(),
                        list(&names)
                    );
                    let node = node.find(&format!("ports.{index}")).unwrap_or(node);
                    self.findings.push(node.error(message));
                }
            }
        }
    }

    /// Options of a port that the component does not serve would be silently without effect.
    fn component_options(&mut self) {
        const OPTIONS: &[(&str, &[Port])] = &[
            ("key_prefix", &[Port::State, Port::Lock, Port::Sequencer]),
            ("ttl_seconds", &[Port::State]),
            ("bigger_than", &[Port::Sequencer]),
            ("consumer_id", &[Port::PubSub]),
            ("in_flight_max", &[Port::PubSub]),
            ("deliveries_max", &[Port::PubSub]),
            ("dead_letter_topic", &[Port::PubSub]),
            ("delivery_deadline_ms", &[Port::PubSub]),
            ("secrets", &[Port::Secret]),
        ];
        for (component, node, ports) in self.components() {
            for (name, wants) in OPTIONS {
                let Some(option) = node.get(name).filter(|option| !option.broken) else {
                    continue;
                };
                if !wants.iter().any(|port| ports.contains(port)) {
                    let names: Vec<&str> = wants.iter().map(|port| port.name()).collect();
                    let message = format!(
                        "`{name}` is for {}, which `{}` does not serve",
                        list(&names),
                        component.name
                    );
                    self.findings.push(option.error(message));
                }
            }
        }
    }

    fn addresses(&mut self) {
        let listen = self
            .config
            .listen
            .all()
            .map(|(name, address)| (format!("listen.{name}"), address));
        let metrics = (
            "telemetry.metrics.listen".to_owned(),
            &self.config.telemetry.metrics.listen,
        );
        let all: Vec<(String, &Address)> = listen.into_iter().chain([metrics]).collect();
        for (index, (path, address)) in all.iter().enumerate() {
            let node = self.root.find(path).unwrap_or(self.root);
            if let Some((first, taken)) = all[..index].iter().find(|(_, taken)| taken.overlaps(address)) {
                let message =
                    format!("{path} ({address}) and {first} ({taken}) cannot both listen there; move one");
                self.findings.push(node.error(message));
            }
            if address.is_remote() && !self.config.security.allow_remote {
                let message = format!(
                    "{path}: other machines can reach {address}, and it asks them for nothing; use 127.0.0.1, or say that the network around it is closed: --allow-remote, or `security: {{allow_remote: true}}` in a belay.yaml"
                );
                self.findings.push(node.warning(message));
            }
        }
    }

    fn applications(&mut self) {
        let nodes = nodes(self.root, "apps");
        let mut ids = HashSet::new();
        for (application, node) in self.config.apps.iter().zip(&nodes) {
            if !ids.insert(&application.id) {
                self.findings
                    .push(option(node, "id").error("another application has this id already"));
            }
        }
        if let Some(second) = nodes.get(1) {
            self.findings
                .push(second.warning("only the first application is called back"));
        }
    }

    fn subscriptions(&mut self) {
        let names = self.names(Port::PubSub);
        let mut seen = HashSet::new();
        let callback = self
            .config
            .apps
            .first()
            .is_some_and(|application| application.callback.is_some());
        for (subscription, node) in self
            .config
            .subscriptions
            .iter()
            .zip(nodes(self.root, "subscriptions"))
        {
            if !names.contains(&subscription.pubsub.as_str()) && !self.is_broken(&subscription.pubsub) {
                let suggestion = suggestion(&subscription.pubsub, names.iter().copied());
                let message = format!("no component `{}` serves pubsub{suggestion}", subscription.pubsub);
                self.findings.push(option(node, "pubsub").error(message));
            }
            if !seen.insert((&subscription.pubsub, &subscription.topic)) {
                self.findings
                    .push(node.error("this topic of this component is subscribed to above already"));
            }
            if !callback {
                self.findings
                    .push(node.warning("nobody to deliver to: the first of `apps` needs a `callback`"));
            }
        }
    }

    /// The data directory, listeners and telemetry are up before any secret can be read.
    fn refuse_early_secrets(&mut self) {
        let mut texts = vec![];
        for section in self.root.members() {
            let options = section.value.items().iter().flat_map(Node::members);
            match section.key.as_str() {
                "hellos" | "subscriptions" => {}
                "components" => options
                    .filter(|option| {
                        !["settings", "key_prefix", "consumer_id"].contains(&option.key.as_str())
                    })
                    .for_each(|option| secret_texts(&option.value, &mut texts)),
                _ => secret_texts(&section.value, &mut texts),
            }
        }
        for (node, _) in texts {
            self.findings.push(
                node.error("this is needed before secret stores are open; take it from the environment"),
            );
        }
    }

    /// The file is read: a start that stops for it would come too late.
    fn identity(&mut self) {
        let name = "request_identity_private_key_pem_file";
        let path = self
            .config
            .restate
            .request_identity_private_key_pem_file
            .as_deref();
        if let Some(Err(error)) = path.map(api_restate::Identity::read) {
            let node = option(option(self.root, "restate"), name);
            self.findings.push(node.error(error.message()));
        }
    }

    fn secrets(&mut self) {
        let stores: BTreeMap<&str, &Node> = self
            .components()
            .filter(|(_, _, ports)| ports.contains(&Port::Secret))
            .map(|(component, node, _)| (component.name.as_str(), node))
            .collect();
        self.refuse_early_secrets();
        let mut texts = vec![];
        secret_texts(self.root, &mut texts);
        for (node, reference) in texts {
            if !stores.contains_key(reference.store.as_str()) && !self.is_broken(&reference.store) {
                let suggestion = suggestion(&reference.store, stores.keys().copied());
                let message = format!("no component `{}` serves secret{suggestion}", reference.store);
                self.findings.push(node.error(message));
            }
        }
        for (name, store) in stores {
            let mut texts = vec![];
            secret_texts(store, &mut texts);
            for (node, _) in texts {
                let message =
                    format!("secret stores are opened first: `{name}` cannot take a secret from one");
                self.findings.push(node.error(message));
            }
        }
    }
}

fn secret_texts<'node>(node: &'node Node, found: &mut Vec<(&'node Node, SecretReference)>) {
    if node.broken {
        return;
    }
    if let (true, Some(text)) = (node.secret, node.text()) {
        let parts = references::parse(text).unwrap_or_default();
        found.extend(parts.into_iter().filter_map(|part| match part {
            references::Part::Secret(reference) => Some((node, reference)),
            _ => None,
        }));
    }
    node.items().iter().for_each(|item| secret_texts(item, found));
    node.members()
        .iter()
        .for_each(|member| secret_texts(&member.value, found));
}
