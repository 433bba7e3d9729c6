//! Layotto's own configuration, a MOSN file with the runtime's part deep inside, made into a tree like belay.yaml's.
//!
//! Values keep their place and their path in the file, so findings of later checks are still about what the user wrote.
//! What Belay cannot do is always a finding: an error where Layotto would refuse to start too, or where an application
//! would get something else than it asked for; a warning where the rest works as before.
//!
//! Sources: the MOSN file's shape, its sections and the sidecar's start-up checks (spec 2.4, 6, 9.1).

use super::document::{Content, Member, Node};
use super::finding::Finding;
use super::references::escape;

mod blocks;
mod go;
mod kinds;
mod listeners;
mod operation;
mod rpc;

/// Whether this is Layotto's: belay.yaml has no `servers`.
pub(super) fn detect(root: &Node) -> bool {
    go::get(root, "servers").is_some()
}

pub(super) fn convert(root: &Node, findings: &mut Vec<Finding>) -> Node {
    let mut root = root.clone();
    keep_literal(&mut root);
    let mut converted = Node::made(&root, Content::Map(vec![]));
    let Some(server) = server(&root, findings) else {
        return converted;
    };
    operation::convert(&root, server, &mut converted, findings);
    let listeners = listeners::find(server, findings);
    listeners::convert(&listeners, &mut converted, findings);
    if let Some(runtime) = listeners.runtime {
        runtime_config(runtime.config, &mut converted, findings);
        let rpc = rpc::Mosn {
            root: &root,
            server,
            config: runtime.config,
        };
        let components = [blocks::convert(runtime.config, findings), rpc.convert(findings)].concat();
        converted.set(
            &["components"],
            Node::made(runtime.config, Content::List(components)),
        );
        listeners::warn_of_others(&listeners, &rpc.listener_names(), findings);
    }
    converted
}

fn server<'node>(root: &'node Node, findings: &mut Vec<Finding>) -> Option<&'node Node> {
    let servers = go::list(root, "servers", findings)?;
    if let Some(second) = servers.items().get(1) {
        findings.push(second.warning("only the first server is read"));
    }
    let first = servers.items().first();
    if first.is_none() {
        findings.push(servers.error("`servers` is empty: the listeners belong into its first entry"));
    }
    first
}

/// `app` and `hellos`, and the sections that Belay has nothing for.
fn runtime_config(config: &Node, converted: &mut Node, findings: &mut Vec<Finding>) {
    const UNSUPPORTED: [&str; 6] = ["oss", "cryption", "email", "phone", "sms", "custom_component"];
    if let Some(app) = go::map(config, "app", findings) {
        let app = application(app, findings);
        converted.set(&["apps"], Node::made(&app, Content::List(vec![app.clone()])));
    }
    if let Some(hellos) = go::map(config, "hellos", findings) {
        let greetings = go::entries(hellos)
            .filter_map(|hello| greeting(hello, findings))
            .collect();
        converted.set(&["hellos"], Node::made(hellos, Content::Map(greetings)));
    }
    for section in UNSUPPORTED {
        let node = go::get(config, section).filter(|node| !node.members().is_empty());
        if let Some(node) = node {
            findings.push(node.warning(format!(
                "`{section}` is not supported: calls to it answer Unimplemented"
            )));
        }
    }
}

fn application(app: &Node, findings: &mut Vec<Finding>) -> Node {
    let id = go::text(app, "app_id", findings);
    let mut converted = Node::made(app, Content::Map(vec![]));
    converted.set(&["id"], id.cloned().unwrap_or_else(|| go::literal(app, "")));
    let host = go::text(app, "grpc_callback_host", findings)
        .and_then(Node::text)
        .unwrap_or_default();
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    if let Some((node, port)) = go::number(app, "grpc_callback_port", findings)
        && port != 0
    {
        converted.set(
            &["callback"],
            Node::made(node, Content::Text(format!("{host}:{port}"))),
        );
    }
    converted
}

/// Early files have no `type`; there is only one.
fn greeting(hello: &Member, findings: &mut Vec<Finding>) -> Option<Member> {
    let kind = go::text(&hello.value, "type", findings);
    if let Some(kind) = kind.filter(|kind| !["helloworld", ""].contains(&kind.text().unwrap_or_default())) {
        let name = kind.text().unwrap_or_default();
        findings.push(kind.error(format!(
            "service component {name} is not known; hellos have the type `helloworld`"
        )));
        return None;
    }
    let greeting = go::text(&hello.value, "hello", findings).cloned();
    let mut converted = Node::made(&hello.value, Content::Map(vec![]));
    converted.set(
        &["greeting"],
        greeting.unwrap_or_else(|| go::literal(&hello.value, "")),
    );
    Some(Member {
        value: converted,
        ..hello.clone()
    })
}

/// Layotto has no references: `${x}` means these characters, in every text.
fn keep_literal(node: &mut Node) {
    match &mut node.content {
        Content::Text(text) if text.contains("${") => *text = escape(text),
        Content::List(items) => items.iter_mut().for_each(keep_literal),
        Content::Map(members) => members
            .iter_mut()
            .for_each(|member| keep_literal(&mut member.value)),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
