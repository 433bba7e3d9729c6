//! Reads a tree as Go's JSON decoder reads a struct: keys in any case, the last duplicate wins, `null` is absent, unknown
//! keys mean nothing, another type than expected is an error.

use super::super::document::{Content, Member, Node};
use super::super::finding::Finding;
use super::super::references::escape;

/// A struct's field.
pub(super) fn get<'node>(node: &'node Node, field: &str) -> Option<&'node Node> {
    let member = node
        .members()
        .iter()
        .rfind(|member| member.key.eq_ignore_ascii_case(field))?;
    Some(&member.value).filter(|value| !value.is_null())
}

/// A map's entries. Their keys are names, so case counts; the last duplicate wins here too.
pub(super) fn entries(map: &Node) -> impl Iterator<Item = &Member> {
    let members = map.members();
    members.iter().enumerate().filter_map(|(index, member)| {
        let later = members[index + 1..].iter().any(|later| later.key == member.key);
        (!later && !member.value.is_null()).then_some(member)
    })
}

pub(super) fn map<'node>(node: &'node Node, field: &str, findings: &mut Vec<Finding>) -> Option<&'node Node> {
    of_type(node, field, "options with names", findings, |content| {
        matches!(content, Content::Map(_))
    })
}

pub(super) fn list<'node>(
    node: &'node Node,
    field: &str,
    findings: &mut Vec<Finding>,
) -> Option<&'node Node> {
    of_type(node, field, "a list", findings, |content| {
        matches!(content, Content::List(_))
    })
}

pub(super) fn text<'node>(
    node: &'node Node,
    field: &str,
    findings: &mut Vec<Finding>,
) -> Option<&'node Node> {
    of_type(node, field, "a text", findings, |content| {
        matches!(content, Content::Text(_))
    })
}

/// A switch; absent is off.
pub(super) fn is_on(node: &Node, field: &str, findings: &mut Vec<Finding>) -> bool {
    let switch = of_type(node, field, "true or false", findings, |content| {
        matches!(content, Content::Bool(_))
    });
    switch.is_some_and(|switch| switch.content == Content::Bool(true))
}

/// A whole number that is not negative.
pub(super) fn number<'node>(
    node: &'node Node,
    field: &str,
    findings: &mut Vec<Finding>,
) -> Option<(&'node Node, u64)> {
    let value = get(node, field)?;
    match &value.content {
        Content::Number(number) if number.is_u64() => Some((value, number.as_u64()?)),
        _ => {
            findings.push(value.error(format!("`{field}` must be a whole number that is not negative")));
            None
        }
    }
}

fn of_type<'node>(
    node: &'node Node,
    field: &str,
    wanted: &str,
    findings: &mut Vec<Finding>,
    fits: fn(&Content) -> bool,
) -> Option<&'node Node> {
    let value = get(node, field)?;
    if fits(&value.content) {
        return Some(value);
    }
    findings.push(value.error(format!("`{field}` must be {wanted}")));
    None
}

/// A text that means its characters.
pub(super) fn literal(origin: &Node, text: &str) -> Node {
    Node::made(origin, Content::Text(escape(text)))
}
