//! Checks a tree against a JSON schema as `schemars` makes them, and says every finding in words.
//!
//! Not a general validator: it knows the keywords that our own structs lead to ([`KEYWORDS`]; a test holds the schemas of
//! all drivers against that list). The usual crate for it was measured first: 240 CPU seconds of build, 6 MB of binary, 3.5
//! ms at every start, and messages that name neither the closest option nor the line.

use ports::registry::Severity;
use schemars::Schema;
use serde_json::{Map, Value};

use super::document::{Content, Node, number};
use super::finding::{Finding, list, suggestion};
use super::options::format;

/// Keywords that are checked, or say nothing about a value.
#[cfg(test)]
pub(super) const KEYWORDS: &[&str] = &[
    "$defs",
    "$ref",
    "$schema",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "default",
    "deprecated",
    "description",
    "enum",
    "examples",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "oneOf",
    "properties",
    "required",
    "title",
    "type",
];

/// Checks `node`, turns lenient texts into the numbers and switches they stand for, and marks what is broken.
///
/// `unknown` is how bad an option is that the schema does not know: Layotto's files may have any.
pub(super) fn check(schema: &Schema, node: &mut Node, unknown: Severity) -> Vec<Finding> {
    let mut checker = Checker {
        root: schema.as_value(),
        unknown,
        findings: vec![],
    };
    checker.value(node, schema.as_value());
    checker.findings
}

struct Checker<'schema> {
    root: &'schema Value,
    unknown: Severity,
    findings: Vec<Finding>,
}

impl<'schema> Checker<'schema> {
    fn value(&mut self, node: &mut Node, schema: &'schema Value) {
        let Value::Object(schema) = schema else {
            if *schema == Value::Bool(false) {
                self.refuse(node, "nothing can stand here");
            }
            return;
        };
        if let Some(referred) = schema.get("$ref").and_then(|name| self.resolve(name)) {
            self.value(node, referred);
        }
        if !self.kind(node, schema) {
            return;
        }
        self.choice(node, schema);
        self.bounds(node, schema);
        match &node.content {
            Content::Map(_) => self.map(node, schema),
            Content::List(_) => self.list(node, schema),
            Content::Text(_) => self.format(node, schema),
            _ => {}
        }
        for part in array(schema, "allOf") {
            self.value(node, part);
        }
        for alternatives in ["anyOf", "oneOf"] {
            self.alternatives(node, array(schema, alternatives));
        }
    }

    fn resolve(&self, name: &Value) -> Option<&'schema Value> {
        self.root.pointer(name.as_str()?.strip_prefix('#')?)
    }

    /// Whether the value is of a type that the schema takes; lenient texts become one.
    fn kind(&mut self, node: &mut Node, schema: &Map<String, Value>) -> bool {
        let kinds: Vec<&str> = match schema.get("type") {
            Some(Value::String(kind)) => vec![kind],
            Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
            _ => return true,
        };
        coerce(node, &kinds);
        let taken = kinds.iter().any(|kind| is(&node.content, kind));
        if !taken {
            let message = mismatch(node, &kinds, schema);
            self.refuse(node, message);
        }
        taken
    }

    fn choice(&mut self, node: &mut Node, schema: &Map<String, Value>) {
        let Some(choices) = choices(schema) else {
            return;
        };
        if !node.secret && !choices.contains(&node.to_value()) {
            let names: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
            self.refuse_choice(node, &names);
        }
    }

    fn refuse_choice(&mut self, node: &mut Node, names: &[&str]) {
        let message = match node.text() {
            Some(text) => format!(
                "`{text}` is none of the choices{}",
                suggestion(text, names.iter().copied())
            ),
            None => format!("expected one of {}, found {}", list(names), found(&node.content)),
        };
        self.refuse(node, message);
    }

    fn bounds(&mut self, node: &mut Node, schema: &Map<String, Value>) {
        let (size, unit, least, most) = match &node.content {
            Content::Number(number) => (number.as_f64().unwrap_or(f64::NAN), "", "minimum", "maximum"),
            Content::Text(_) if node.secret => return,
            Content::Text(text) => (
                length(text.chars().count()),
                " characters long",
                "minLength",
                "maxLength",
            ),
            Content::List(items) => (length(items.len()), " entries long", "minItems", "maxItems"),
            _ => return,
        };
        let bound = |name: &str| schema.get(name).filter(|bound| bound.is_number());
        let number = |bound: &Value| bound.as_f64().unwrap_or(f64::NAN);
        if let Some(least) = bound(least).filter(|least| size < number(least)) {
            let empty = node.text() == Some("");
            let message = if empty {
                "must not be empty".to_owned()
            } else {
                format!("must be at least {least}{unit}")
            };
            self.refuse(node, message);
        } else if let Some(most) = bound(most).filter(|most| size > number(most)) {
            self.refuse(node, format!("must be at most {most}{unit}"));
        }
    }

    fn format(&mut self, node: &mut Node, schema: &Map<String, Value>) {
        let (Some(text), Some(format)) = (node.text(), schema.get("format").and_then(Value::as_str)) else {
            return;
        };
        if node.secret {
            if format == format::ADDRESS {
                self.refuse(node, "an address cannot be a secret");
            }
        } else if let Err(message) = format::check(format, text) {
            self.refuse(node, message);
        }
    }

    fn map(&mut self, node: &mut Node, schema: &'schema Map<String, Value>) {
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        if let Content::Map(members) = &mut node.content {
            for member in members {
                match (known.and_then(|known| known.get(&member.key)), others) {
                    // A section whose lines are all commented out: its default.
                    (Some(_), _) if member.value.is_null() => member.value.broken = true,
                    (Some(schema), _) => self.value(&mut member.value, schema),
                    (None, None | Some(Value::Bool(true))) => {}
                    (None, Some(schema @ Value::Object(_))) => self.value(&mut member.value, schema),
                    (None, Some(_)) => {
                        let names = known.into_iter().flat_map(Map::keys).map(String::as_str);
                        let message = format!(
                            "unknown option `{}`{}",
                            member.key,
                            suggestion(&member.key, names)
                        );
                        member.value.broken = true;
                        self.findings.push(Finding {
                            severity: self.unknown,
                            ..member.error(message)
                        });
                    }
                }
            }
        }
        let missing: Vec<&str> = array(schema, "required")
            .iter()
            .filter_map(Value::as_str)
            .filter(|name| node.get(name).is_none_or(Node::is_null))
            .collect();
        if !missing.is_empty() {
            let verb = if missing.len() == 1 { "is" } else { "are" };
            self.refuse(node, format!("{} {verb} missing", list(&missing)));
        }
    }

    fn list(&mut self, node: &mut Node, schema: &'schema Map<String, Value>) {
        if let Some(schema) = schema.get("items") {
            for item in node.items_mut() {
                self.value(item, schema);
            }
        }
    }

    /// One of them must take the value. If none does: the choices when all are constants, else the findings of the one that
    /// comes closest, which is the one with findings furthest inside and then the fewest.
    fn alternatives(&mut self, node: &mut Node, schemas: &'schema [Value]) {
        let choices: Option<Vec<&[Value]>> = schemas
            .iter()
            .map(|schema| choices(schema.as_object()?))
            .collect();
        let mut closest: Option<(Node, Vec<Finding>)> = None;
        for schema in schemas {
            let mut tried = node.clone();
            let findings = self.attempt(&mut tried, schema);
            if !findings.iter().any(Finding::is_error) {
                *node = tried;
                self.findings.extend(findings);
                return;
            }
            if closest
                .as_ref()
                .is_none_or(|(_, best)| likeness(&findings) > likeness(best))
            {
                closest = Some((tried, findings));
            }
        }
        match (choices, closest) {
            (_, None) => {}
            (Some(choices), _) => {
                let names: Vec<&str> = choices.into_iter().flatten().filter_map(Value::as_str).collect();
                self.refuse_choice(node, &names);
            }
            (None, Some((tried, findings))) => {
                *node = tried;
                self.findings.extend(findings);
            }
        }
    }

    fn attempt(&self, node: &mut Node, schema: &'schema Value) -> Vec<Finding> {
        let mut checker = Checker {
            root: self.root,
            unknown: self.unknown,
            findings: vec![],
        };
        checker.value(node, schema);
        checker.findings
    }

    fn refuse(&mut self, node: &mut Node, message: impl Into<String>) {
        if !node.broken {
            node.broken = true;
            self.findings.push(node.error(message));
        }
    }
}

/// A value of a type that is not taken. What our own formats say is more to the point: `9070` lacks a host, not quotes.
fn mismatch(node: &Node, kinds: &[&str], schema: &Map<String, Value>) -> String {
    let text_wanted = kinds.contains(&"string");
    if let (true, Content::Number(number), Some(format)) = (
        text_wanted,
        &node.content,
        schema.get("format").and_then(Value::as_str),
    ) && let Err(message) = format::check(format, &number.to_string())
    {
        return message;
    }
    let hint = match &node.content {
        _ if node.secret => ", and a reference to a secret is a text",
        Content::Number(_) | Content::Bool(_) if text_wanted => ": put it in quotes",
        _ => "",
    };
    let wanted = kinds
        .iter()
        .filter(|kind| **kind != "null")
        .map(|kind| name_of(kind));
    let wanted: Vec<&str> = wanted.collect();
    format!(
        "expected {}, found {}{hint}",
        wanted.join(" or "),
        found(&node.content)
    )
}

fn array<'schema>(schema: &'schema Map<String, Value>, keyword: &str) -> &'schema [Value] {
    schema
        .get(keyword)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The values that a schema takes, if it lists them.
fn choices(schema: &Map<String, Value>) -> Option<&[Value]> {
    let one = schema.get("const").map(std::slice::from_ref);
    one.or_else(|| Some(schema.get("enum")?.as_array()?.as_slice()))
}

fn likeness(findings: &[Finding]) -> (usize, std::cmp::Reverse<usize>) {
    let depth = findings
        .iter()
        .map(|finding| finding.path.len())
        .max()
        .unwrap_or(0);
    (depth, std::cmp::Reverse(findings.len()))
}

#[allow(
    clippy::cast_precision_loss,
    reason = "no text of a configuration is that long"
)]
fn length(count: usize) -> f64 {
    count as f64
}

fn coerce(node: &mut Node, kinds: &[&str]) {
    let Content::Text(text) = &node.content else {
        return;
    };
    if !node.lenient || node.secret || kinds.contains(&"string") {
        return;
    }
    let content = match text.trim() {
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        text => number(text).map_or(Content::Null, Content::Number),
    };
    if content != Content::Null && kinds.iter().any(|kind| is(&content, kind)) {
        node.content = content;
    }
}

fn is(content: &Content, kind: &str) -> bool {
    match content {
        Content::Null => kind == "null",
        Content::Bool(_) => kind == "boolean",
        Content::Number(number) => kind == "number" || (kind == "integer" && !number.is_f64()),
        Content::Text(_) => kind == "string",
        Content::List(_) => kind == "array",
        Content::Map(_) => kind == "object",
    }
}

fn name_of(kind: &str) -> &'static str {
    match kind {
        "boolean" => "true or false",
        "number" => "a number",
        "integer" => "a whole number",
        "string" => "a text",
        "array" => "a list",
        "object" => "options with names",
        _ => "nothing",
    }
}

fn found(content: &Content) -> &'static str {
    match content {
        Content::Null => "nothing",
        Content::Bool(_) => "true or false",
        Content::Number(number) if number.is_f64() => "a number with a fraction",
        Content::Number(_) => "a number",
        Content::Text(_) => "a text",
        Content::List(_) => "a list",
        Content::Map(_) => "options with names",
    }
}

#[cfg(test)]
#[path = "schema/tests.rs"]
mod tests;
