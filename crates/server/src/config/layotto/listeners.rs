//! MOSN's listeners: which one is the API, which the actuator, and what their filters ask for.

use serde_json::Number;

use super::super::document::{Content, Member, Node};
use super::super::finding::Finding;
use super::go;

#[derive(Default)]
pub(super) struct Listeners<'node> {
    pub(super) runtime: Option<Runtime<'node>>,
    actuator: Option<&'node Node>,
    others: Vec<&'node Node>,
}

/// The listener of the API, and its `grpc_config`.
#[derive(Clone, Copy)]
pub(super) struct Runtime<'node> {
    listener: &'node Node,
    pub(super) config: &'node Node,
}

pub(super) fn find<'node>(server: &'node Node, findings: &mut Vec<Finding>) -> Listeners<'node> {
    let mut found = Listeners::default();
    let listeners = go::list(server, "listeners", findings).map_or(&[][..], Node::items);
    for listener in listeners {
        let actuator = filters(listener, "stream_filters").any(|filter| kind(filter) == "actuator_filter");
        match grpc_config(listener) {
            Some(config) if found.runtime.is_none() => found.runtime = Some(Runtime { listener, config }),
            _ if actuator && found.actuator.is_none() => found.actuator = Some(listener),
            _ => found.others.push(listener),
        }
    }
    if found.runtime.is_none() {
        findings.push(server.error(
            "no listener has a filter of type `grpc` with a `grpc_config` in its first filter chain: there is nothing to serve",
        ));
    }
    found
}

fn grpc_config(listener: &Node) -> Option<&Node> {
    let chain = go::get(listener, "filter_chains")?.items().first()?;
    let filter = filters(chain, "filters").find(|filter| kind(filter) == "grpc")?;
    go::get(go::get(filter, "config")?, "grpc_config")
}

fn filters<'node>(node: &'node Node, field: &str) -> impl Iterator<Item = &'node Node> + use<'node> {
    go::get(node, field).map_or(&[][..], Node::items).iter()
}

fn kind(filter: &Node) -> &str {
    go::get(filter, "type").and_then(Node::text).unwrap_or_default()
}

pub(super) fn convert(listeners: &Listeners<'_>, converted: &mut Node, findings: &mut Vec<Finding>) {
    if let Some(runtime) = &listeners.runtime {
        if let Some(address) = address(runtime.listener, findings) {
            converted.set(&["listen", "layotto"], address);
        }
        stream_filters(runtime.listener, converted, findings);
    }
    if let Some(actuator) = listeners.actuator
        && let Some(address) = address(actuator, findings)
    {
        converted.set(&["listen", "actuator"], address);
    }
}

fn address(listener: &Node, findings: &mut Vec<Finding>) -> Option<Node> {
    let bind = go::get(listener, "bind_port");
    if let Some(bind) = bind.filter(|bind| bind.content == Content::Bool(false)) {
        findings.push(bind.warning("`bind_port` is false, so nothing listens here"));
        return Some(Node::made(bind, Content::Text("off".into())));
    }
    let Some(address) = go::text(listener, "address", findings) else {
        findings.push(listener.error("`address` is missing"));
        return None;
    };
    let text = address.text().unwrap_or_default();
    let network = go::text(listener, "network", findings)
        .and_then(Node::text)
        .unwrap_or_default();
    let text = match network.to_lowercase().as_str() {
        "unix" => format!("unix:{text}"),
        // As in Go, no host is every interface.
        _ if text.starts_with(':') => format!("0.0.0.0{text}"),
        _ => text.to_owned(),
    };
    Some(Node::made(address, Content::Text(text)))
}

fn stream_filters(listener: &Node, converted: &mut Node, findings: &mut Vec<Finding>) {
    for filter in filters(listener, "stream_filters") {
        match kind(filter) {
            // Calls are always counted.
            "grpc_metric" | "actuator_filter" => {}
            "flowControlFilter" => flow_control(filter, converted, findings),
            other => findings.push(filter.warning(format!("the stream filter `{other}` is not applied"))),
        }
    }
}

/// `flowControlFilter`: so many calls per second of a method.
fn flow_control(filter: &Node, converted: &mut Node, findings: &mut Vec<Finding>) {
    let Some(config) = go::map(filter, "config", findings) else {
        return;
    };
    if !go::is_on(config, "global_switch", findings) || go::is_on(config, "monitor", findings) {
        return;
    }
    let by = go::text(config, "limit_key_type", findings);
    if let Some(by) = by.filter(|by| !["PATH", ""].contains(&by.text().unwrap_or_default())) {
        findings.push(by.warning("calls are limited by PATH only; these rules are not applied"));
        return;
    }
    let rules = go::list(config, "rules", findings).map_or(&[][..], Node::items);
    let rules: Vec<Member> = rules
        .iter()
        .filter_map(|rule| flow_rule(rule, findings))
        .collect();
    converted.set(
        &["limits", "calls_per_second"],
        Node::made(config, Content::Map(rules)),
    );
}

fn flow_rule(rule: &Node, findings: &mut Vec<Finding>) -> Option<Member> {
    const CALLS_PER_SECOND: u64 = 1;
    let grade = go::number(rule, "grade", findings).map(|(_, grade)| grade);
    let resource = go::text(rule, "resource", findings).and_then(Node::text);
    let threshold = go::get(rule, "threshold").and_then(|threshold| match &threshold.content {
        Content::Number(number) => number.as_f64(),
        _ => None,
    });
    match (grade, resource, threshold) {
        (Some(CALLS_PER_SECOND), Some(resource), Some(threshold)) if threshold >= 0.0 => {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "saturates, and is not negative"
            )]
            let calls = threshold as u32;
            Some(Member::new(
                resource,
                Node::made(rule, Content::Number(Number::from(calls))),
            ))
        }
        _ => {
            findings.push(rule.warning(
                "this rule is not applied: it needs `resource`, `grade` 1 (calls per second) and `threshold`",
            ));
            None
        }
    }
}

/// Listeners that nothing here stands for, but those that services are called through.
pub(super) fn warn_of_others(listeners: &Listeners<'_>, called: &[&str], findings: &mut Vec<Finding>) {
    for listener in &listeners.others {
        let name = go::get(listener, "name").and_then(Node::text).unwrap_or_default();
        if !called.contains(&name) {
            findings.push(listener.warning(format!(
                "the listener `{name}` is not served: only one API and one actuator are"
            )));
        }
    }
}
