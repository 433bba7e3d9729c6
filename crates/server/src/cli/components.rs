//! `belay components`: the drivers, what they offer, and their settings, all from the drivers themselves.

use std::fmt::Write;

use base::{Error, codes};
use ports::{Driver, Port, Registry};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Outcome;
use crate::config::{offered, suggestion};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Json,
    Markdown,
}

impl Form {
    pub(super) fn of(json: bool, markdown: bool) -> Form {
        match (json, markdown) {
            (true, _) => Form::Json,
            (_, true) => Form::Markdown,
            _ => Form::Text,
        }
    }
}

/// Longest line of the list, characters.
const LINE_MAX: usize = 100;

/// A setting of a driver; those within lists are named `targets[].url`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Setting {
    name: String,
    /// `text`, `number`, `durable | relaxed`
    kind: String,
    required: bool,
    about: String,
}

pub(super) fn components(registry: &Registry, only: Option<&str>, form: Form) -> Outcome {
    let chosen: Vec<_> = registry
        .iter()
        .filter(|driver| only.is_none_or(|name| name == driver.name()))
        .collect();
    if let (Some(name), true) = (only, chosen.is_empty()) {
        let message = format!(
            "no driver `{name}` is built in{}",
            suggestion(name, registry.names().into_iter())
        );
        return Outcome::failed(&Error::new(codes::DRIVER_UNKNOWN, message));
    }
    let drivers = chosen.into_iter().map(|driver| &**driver);
    match form {
        Form::Text => Outcome::ok(drivers.map(text).collect::<Vec<_>>().join("\n")),
        Form::Markdown => Outcome::ok(drivers.map(markdown).collect::<Vec<_>>().join("\n")),
        Form::Json => Outcome::json(&drivers.map(as_json).collect()),
    }
}

/// Its ports as applications call them, and which of them are derived.
fn ports(driver: &dyn Driver) -> Vec<(&'static str, bool)> {
    let ports = offered(driver).into_iter().filter(|port| *port != Port::Kv);
    ports
        .map(|port| (port.name(), !driver.offers().contains(&port)))
        .collect()
}

fn port_names(driver: &dyn Driver) -> String {
    ports(driver)
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(", ")
}

fn text(driver: &dyn Driver) -> String {
    let mut text = format!(
        "{}\n  {}\n  ports     {}\n",
        driver.name(),
        driver.about(),
        port_names(driver)
    );
    let settings = settings(driver);
    if settings.is_empty() {
        text.push_str("  settings  none\n");
    }
    let width = settings
        .iter()
        .map(|setting| setting.name.len())
        .max()
        .unwrap_or(0);
    for (index, setting) in settings.iter().enumerate() {
        let label = if index == 0 { "settings" } else { "" };
        let required = if setting.required { ", required" } else { "" };
        // Formatting into a String does not fail.
        let _ = writeln!(
            text,
            "  {label:8}  {:width$}  {}{required}",
            setting.name, setting.kind
        );
        for line in wrapped(&setting.about, LINE_MAX.saturating_sub(width + 16).max(40)) {
            let _ = writeln!(text, "  {:8}  {:width$}    {line}", "", "");
        }
    }
    text
}

/// Words in lines of at most that many characters; a longer word has its own.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn markdown(driver: &dyn Driver) -> String {
    let mut text = format!(
        "## `{}`\n\n{}.\n\nServes: {}.\n\n",
        driver.name(),
        sentence(driver.about()),
        port_names(driver)
    );
    let settings = settings(driver);
    if settings.is_empty() {
        return text + "No settings.\n";
    }
    text.push_str("| setting | type | meaning |\n|---|---|---|\n");
    for setting in settings {
        let required = if setting.required { ", required" } else { "" };
        let cell = |text: &str| text.replace('|', "\\|");
        let _ = writeln!(
            text,
            "| `{}` | {}{required} | {} |",
            setting.name,
            cell(&setting.kind),
            cell(&setting.about)
        );
    }
    text
}

fn sentence(about: &str) -> String {
    let mut characters = about.chars();
    let first = characters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + characters.as_str()
}

fn as_json(driver: &dyn Driver) -> Value {
    let ports: Vec<Value> = ports(driver)
        .into_iter()
        .map(|(name, derived)| json!({"name": name, "derived": derived}))
        .collect();
    json!({
        "driver": driver.name(),
        "about": driver.about(),
        "ports": ports,
        "settings": settings(driver),
        "schema": driver.schema(),
    })
}

fn settings(driver: &dyn Driver) -> Vec<Setting> {
    let schema = driver.schema();
    let mut settings = vec![];
    collect(schema.as_value(), schema.as_value(), "", &mut settings);
    settings
}

fn collect(root: &Value, schema: &Value, prefix: &str, settings: &mut Vec<Setting>) {
    let required = schema.get("required").and_then(Value::as_array);
    for (name, option) in schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        let target = resolved(root, option);
        let about = [option, target]
            .into_iter()
            .find_map(|schema| schema.get("description")?.as_str());
        let path = format!("{prefix}{name}");
        settings.push(Setting {
            kind: kind(root, target),
            required: required.is_some_and(|required| required.iter().any(|required| required == name)),
            about: about
                .unwrap_or_default()
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" "),
            name: path.clone(),
        });
        collect(root, target, &format!("{path}."), settings);
        if let Some(items) = target.get("items") {
            collect(root, resolved(root, items), &format!("{path}[]."), settings);
        }
    }
}

/// The schema behind a reference, and behind "or nothing".
fn resolved<'schema>(root: &'schema Value, schema: &'schema Value) -> &'schema Value {
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        let target = name.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return target.map_or(schema, |target| resolved(root, target));
    }
    let alternatives = schema
        .get("anyOf")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    match alternatives {
        [one, other] if other.get("type") == Some(&json!("null")) => resolved(root, one),
        _ => schema,
    }
}

fn kind(root: &Value, schema: &Value) -> String {
    let choices = choices(schema);
    if !choices.is_empty() {
        return choices.join(" | ");
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => vec![],
    };
    // What is more than a text may come as one too, as in Layotto's files; that goes without saying.
    let plain = kinds.iter().all(|kind| ["string", "null"].contains(kind));
    let said = kinds
        .into_iter()
        .filter(|kind| *kind != "null" && (plain || *kind != "string"));
    let names = said.map(|kind| match (kind, schema.get("items")) {
        ("string", _) => "text".to_owned(),
        ("integer", _) => "whole number".to_owned(),
        ("boolean", _) => "true or false".to_owned(),
        ("object", _) => "options".to_owned(),
        ("array", Some(items)) => format!("list of {}", self::kind(root, resolved(root, items))),
        ("array", None) => "list".to_owned(),
        (other, _) => other.to_owned(),
    });
    names.collect::<Vec<_>>().join(" or ")
}

fn choices(schema: &Value) -> Vec<&str> {
    let listed = |schema: &'_ Map<String, Value>| schema.contains_key("enum") || schema.contains_key("const");
    let alternatives = schema
        .get("oneOf")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    if alternatives
        .iter()
        .any(|schema| !schema.as_object().is_some_and(listed))
    {
        return vec![];
    }
    let all = std::iter::once(schema).chain(alternatives);
    all.flat_map(|schema| {
        let many = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
        schema
            .get("const")
            .into_iter()
            .chain(many)
            .filter_map(Value::as_str)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use schemars::{JsonSchema, schema_for};

    use super::*;

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "read by the schema")]
    struct Sample {
        /// A name.
        name: String,
        /// How
        /// much.
        #[serde(default)]
        size: Option<u32>,
        /// Which way.
        #[serde(default)]
        mode: Option<Mode>,
        /// Where to.
        #[serde(default)]
        targets: Vec<Target>,
    }

    #[derive(JsonSchema)]
    #[serde(rename_all = "lowercase")]
    #[allow(dead_code, reason = "read by the schema")]
    enum Mode {
        /// This way.
        Here,
        There,
    }

    #[derive(JsonSchema)]
    #[allow(dead_code, reason = "read by the schema")]
    struct Target {
        /// Its address.
        url: String,
    }

    #[test]
    fn settings_are_read_from_the_schema() {
        let schema = schema_for!(Sample);
        let mut settings = vec![];
        collect(schema.as_value(), schema.as_value(), "", &mut settings);
        let lines: Vec<String> = settings
            .iter()
            .map(|setting| {
                format!(
                    "{}: {}, {}, {}",
                    setting.name, setting.kind, setting.required, setting.about
                )
            })
            .collect();
        let expected = [
            "name: text, true, A name.",
            "size: whole number, false, How much.",
            "mode: there | here, false, Which way.",
            "targets: list of options, false, Where to.",
            "targets[].url: text, true, Its address.",
        ];
        let mut sorted = lines.clone();
        sorted[2] = lines[2].replace("here | there", "there | here");
        assert_eq!(sorted, expected);
    }

    #[test]
    fn every_driver_says_what_it_is_and_describes_its_settings() {
        for driver in drivers::all().iter() {
            assert!(
                !driver.about().is_empty() && !ports(&**driver).is_empty(),
                "{}",
                driver.name()
            );
            for setting in settings(&**driver) {
                assert!(
                    !setting.about.is_empty() && !setting.kind.is_empty(),
                    "{} {setting:?}",
                    driver.name()
                );
            }
        }
    }

    #[test]
    fn derived_ports_are_told_from_own_ones() {
        let json = as_json(&drivers::embedded::EmbeddedDriver);
        assert_eq!(json["ports"][0], json!({"name": "state", "derived": true}));
    }
}
