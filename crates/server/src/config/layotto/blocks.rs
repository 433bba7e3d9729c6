//! Sections of component configurations: `state`, `lock`, `pub_subs` and so on become components.

use super::super::document::{Content, Member, Node};
use super::super::finding::{Finding, suggestion};
use super::super::references::SecretReference;
use super::go;
use super::kinds::{BLOCKS, Block, Standing};

pub(super) fn convert(config: &Node, findings: &mut Vec<Finding>) -> Vec<Node> {
    let mut components = vec![];
    for block in BLOCKS {
        let sections = [Some(block.section), block.also].into_iter().flatten();
        for section in sections
            .filter_map(|name| go::map(config, name, findings))
            .collect::<Vec<_>>()
        {
            components.extend(go::entries(section).filter_map(|entry| component(block, entry, findings)));
        }
    }
    components
}

fn component(block: &Block, entry: &Member, findings: &mut Vec<Finding>) -> Option<Node> {
    if !matches!(entry.value.content, Content::Map(_)) {
        findings.push(
            entry
                .value
                .error(format!("`{}` must be options with names", entry.key)),
        );
        return None;
    }
    let kind = go::text(&entry.value, "type", findings);
    // Early files have the type as the component's name.
    let (name, node) = match kind.filter(|kind| kind.text() != Some("")) {
        Some(kind) => (kind.text().unwrap_or_default(), kind),
        None => (entry.key.as_str(), &entry.value),
    };
    let driver = driver(block, name, node, &entry.key, findings)?;
    let mut component = Node::made(&entry.value, Content::Map(vec![]));
    component.set(
        &["name"],
        Node {
            at: entry.key_at,
            ..go::literal(&entry.value, &entry.key)
        },
    );
    component.set(&["driver"], Node::made(node, Content::Text(driver.to_owned())));
    let port = Node::made(&entry.value, Content::Text(block.port.name().to_owned()));
    component.set(&["ports"], Node::made(&entry.value, Content::List(vec![port])));
    options(block, entry, &mut component, findings);
    Some(component)
}

fn driver(
    block: &Block,
    kind: &str,
    node: &Node,
    name: &str,
    findings: &mut Vec<Finding>,
) -> Option<&'static str> {
    let section = block.section;
    match block.standing(kind) {
        Standing::Served(driver) => return Some(driver),
        Standing::KeptHere => {
            findings.push(node.warning(format!(
                "{section} `{name}` is NOT connected to {kind}: it is kept on Belay's own embedded engine, in the data directory, and does not see what {kind} holds"
            )));
            return Some("embedded");
        }
        Standing::Missing => {
            let served: Vec<&str> = block.served.iter().map(|(kind, _)| *kind).collect();
            findings.push(node.error(format!(
                "{section} `{name}`: {kind} cannot be connected to, and the embedded engine has no {section}; use {}",
                super::super::finding::list(&served)
            )));
        }
        Standing::Unknown => {
            let suggestion = suggestion(kind, block.kinds());
            findings.push(node.error(format!(
                "{section} `{name}`: no component type `{kind}` is known{suggestion}"
            )));
        }
    }
    None
}

/// Metadata: what Belay reads itself, and the driver's settings.
fn options(block: &Block, entry: &Member, component: &mut Node, findings: &mut Vec<Finding>) {
    let metadata = metadata(block, &entry.value, findings);
    let find = |name: &str| {
        metadata
            .iter()
            .rfind(|member| member.key == name)
            .map(|member| member.value.clone())
    };
    let moved: &[(&str, &str)] = match block.section {
        "state" => &[("keyPrefix", "key_prefix"), ("ttlInSeconds", "ttl_seconds")],
        "lock" | "sequencer" => &[("keyPrefix", "key_prefix")],
        "pub_subs" => &[("consumerID", "consumer_id")],
        _ => &[],
    };
    for (theirs, ours) in moved {
        let value = find(theirs).filter(|value| says_something(theirs, value.text().unwrap_or_default()));
        if let Some(value) = value {
            component.set(&[ours], value);
        }
    }
    if block.section == "sequencer"
        && let Some(bigger) = go::map(&entry.value, "biggerThan", findings)
    {
        component.set(&["bigger_than"], bigger.clone());
    }
    if block.has_settings {
        let settings = Node {
            lenient: true,
            ..Node::made(&entry.value, Content::Map(metadata))
        };
        component.set(&["settings"], settings);
    }
}

/// Blank is absent; a time to live of 0 or less is none.
fn says_something(name: &str, text: &str) -> bool {
    let none = name == "ttlInSeconds" && text.trim().parse::<i64>().is_ok_and(|seconds| seconds <= 0);
    !text.trim().is_empty() && !none
}

/// The metadata with the secrets of `secret_ref` in it, as references.
fn metadata(block: &Block, entry: &Node, findings: &mut Vec<Finding>) -> Vec<Member> {
    let mut metadata = vec![];
    // Of files it is free JSON, and the local ones take none.
    if block.section != "file"
        && let Some(node) = go::map(entry, "metadata", findings)
    {
        for member in go::entries(node) {
            match &member.value.content {
                Content::Text(_) => metadata.push(Member {
                    value: Node {
                        lenient: true,
                        ..member.value.clone()
                    },
                    ..member.clone()
                }),
                _ => findings.push(
                    member
                        .value
                        .error(format!("`{}` must be a text: put it in quotes", member.key)),
                ),
            }
        }
    }
    if block.has_secrets
        && let Some(references) = go::list(entry, "secret_ref", findings)
    {
        for reference in references.items() {
            if let Some(secret) = secret(reference, findings) {
                metadata.retain(|member| member.key != secret.key);
                metadata.push(secret);
            }
        }
    }
    metadata
}

/// `{store_name, key, sub_key, inject_as}`: the value `sub_key` of the secret `key`.
fn secret(node: &Node, findings: &mut Vec<Finding>) -> Option<Member> {
    let mut field = |name: &str| {
        let text = go::text(node, name, findings)
            .and_then(Node::text)
            .unwrap_or_default();
        text.replace("$${", "${")
    };
    let [store, key, value, inject_as] = ["store_name", "key", "sub_key", "inject_as"].map(&mut field);
    let missing = [("store_name", &store), ("key", &key), ("inject_as", &inject_as)]
        .into_iter()
        .find(|(_, text)| text.is_empty());
    if let Some((name, _)) = missing {
        findings.push(node.error(format!("`{name}` is missing from this `secret_ref`")));
        return None;
    }
    let value = (!value.is_empty() && value != key).then_some(value);
    let reference = SecretReference { store, key, value };
    let Some(written) = reference.written() else {
        findings.push(node.error("a secret whose name has a `}` or a `#` cannot be referred to"));
        return None;
    };
    let text = Node {
        lenient: true,
        ..Node::made(node, Content::Text(written))
    };
    Some(Member::new(&inject_as, text))
}
