//! Options and their manual say the same.

use serde_json::Value;

use super::Config;
use crate::config::tests::{load_text, nothing_set};
use crate::config::{Overrides, schema};

const SAMPLE: &str = include_str!("../../../../../configs/belay.yaml");

#[test]
fn every_option_is_described() {
    fn check(path: &str, schema: &Value) {
        for (name, option) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            assert!(
                option.get("description").is_some(),
                "{path}.{name} has no doc comment"
            );
            check(&format!("{path}.{name}"), option);
        }
    }
    let schema = schema();
    check("", schema.as_value());
    for (name, definition) in schema.as_value()["$defs"].as_object().into_iter().flatten() {
        check(name, definition);
    }
}

/// Calls `visit` with every option's name, its description and its default, where it has one.
fn each_option(schema: &Value, default: &Value, visit: &mut dyn FnMut(&str, &str, &Value)) {
    let root = schema;
    fn walk(root: &Value, schema: &Value, default: &Value, visit: &mut dyn FnMut(&str, &str, &Value)) {
        for (name, option) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let about = option
                .get("description")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let default = default.get(name).unwrap_or(&Value::Null);
            visit(name, about, default);
            let mut inner = vec![option];
            inner.extend(option.get("items"));
            inner.extend(option.get("additionalProperties"));
            inner.extend(
                option
                    .get("anyOf")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten(),
            );
            for inner in inner {
                let target = inner
                    .get("$ref")
                    .and_then(Value::as_str)
                    .and_then(|name| root.pointer(&name[1..]));
                walk(root, target.unwrap_or(&Value::Null), default, visit);
            }
        }
    }
    walk(root, schema, default, visit);
}

#[test]
fn descriptions_name_the_defaults_that_hold() {
    let default = serde_json::to_value(Config::default()).expect("it is plain data");
    let mut seen = 0;
    each_option(schema().as_value(), &default, &mut |name, about, default| {
        let text = match default {
            Value::String(text) => format!("`{text}`"),
            Value::Number(_) | Value::Bool(_) => default.to_string(),
            _ => return,
        };
        seen += 1;
        assert!(
            about.contains(&format!("Default: {text}")),
            "{name} is {text} by default: {about}"
        );
    });
    assert!(seen > 20, "{seen}");
}

#[test]
fn the_sample_has_every_option() {
    let mut missing = vec![];
    each_option(schema().as_value(), &Value::Null, &mut |name, _, _| {
        if !SAMPLE.contains(&format!("{name}:")) {
            missing.push(name.to_owned());
        }
    });
    assert_eq!(missing, [""; 0]);
}

#[test]
fn the_sample_has_no_findings_and_shows_the_defaults() {
    let loaded = load_text(SAMPLE, &Overrides::default(), &nothing_set)
        .unwrap_or_else(|rejected| panic!("{:#?}", rejected.findings));
    assert_eq!(loaded.findings, []);
    let (config, default) = (loaded.config, Config::default());
    assert_eq!(
        (config.listen, config.data_dir, config.engine),
        (default.listen, default.data_dir, default.engine)
    );
    assert_eq!(
        (config.security, config.limits),
        (default.security, default.limits)
    );
    assert_eq!(config.telemetry, default.telemetry);
}
