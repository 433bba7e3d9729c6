use schemars::{JsonSchema, schema_for};
use serde::Deserialize;

use super::super::document;
use super::*;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read by the schema")]
struct Sample {
    name: String,
    #[serde(default)]
    #[schemars(range(min = 1, max = 10))]
    size: u32,
    #[serde(default)]
    ratio: f64,
    #[serde(default)]
    on: bool,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    plain: Option<Plain>,
    #[serde(default)]
    inner: Option<Inner>,
    #[serde(default)]
    #[schemars(length(max = 2))]
    list: Vec<Inner>,
    #[serde(default)]
    shape: Option<Shape>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// Documented, so its schema is a constant.
    #[default]
    Durable,
    /// Documented too.
    Relaxed,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Plain {
    One,
    Two,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read by the schema")]
struct Inner {
    port: u16,
}

#[derive(Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[allow(dead_code, reason = "read by the schema")]
enum Shape {
    Circle { radius: u32 },
    Square { side: u32 },
}

/// Each finding as `line:column message`, in the order in which they are found.
fn found(yaml: &str, lenient: bool) -> (Vec<String>, Node) {
    let mut node = document::parse(yaml).expect("it is valid YAML");
    if lenient {
        mark_lenient(&mut node);
    }
    let findings = check(&schema_for!(Sample), &mut node, Severity::Error);
    let lines = findings
        .iter()
        .map(|finding| format!("{}:{} {}", finding.line, finding.column, finding.message));
    (lines.collect(), node)
}

fn mark_lenient(node: &mut Node) {
    node.lenient = true;
    node.items_mut().iter_mut().for_each(mark_lenient);
    if let Content::Map(members) = &mut node.content {
        members
            .iter_mut()
            .for_each(|member| mark_lenient(&mut member.value));
    }
}

#[track_caller]
fn expect(yaml: &str, expected: &[&str]) {
    assert_eq!(found(yaml, false).0, expected);
}

#[test]
fn what_fits_has_no_findings() {
    expect(
        "name: x\nsize: 3\nratio: 1\non: true\nmode: relaxed\nplain: two\ninner: {port: 1}\nlist: [{port: 2}]\n",
        &[],
    );
    expect("name: x\nshape: {kind: circle, radius: 2}\n", &[]);
}

#[test]
fn a_missing_option_is_found_at_its_map() {
    expect("size: 1\n", &["1:1 `name` is missing"]);
    expect("name: x\nlist:\n  - {}\n", &["3:5 `port` is missing"]);
    expect("name:\n", &["1:1 `name` is missing"]);
}

#[test]
fn an_unknown_option_is_found_at_its_key() {
    expect(
        "name: x\nsise: 1\n",
        &["2:1 unknown option `sise`, did you mean `size`?"],
    );
    expect(
        "name: x\ninner: {port: 1, zzz: 2}\n",
        &["2:18 unknown option `zzz`; there is `port`"],
    );
}

#[test]
fn wrong_types_say_what_was_expected_and_found() {
    expect(
        "name: 5\n",
        &["1:7 expected a text, found a number: put it in quotes"],
    );
    expect(
        "name: x\nsize: big\n",
        &["2:7 expected a whole number, found a text"],
    );
    expect(
        "name: x\nsize: 1.5\n",
        &["2:7 expected a whole number, found a number with a fraction"],
    );
    expect(
        "name: x\non: [1]\n",
        &["2:5 expected true or false, found a list"],
    );
    expect(
        "name: x\nlist: {port: 1}\n",
        &["2:7 expected a list, found options with names"],
    );
    expect("[1]", &["1:1 expected options with names, found a list"]);
}

#[test]
fn bounds_are_kept() {
    expect("name: x\nsize: 0\n", &["2:7 must be at least 1"]);
    expect("name: x\nsize: 11\n", &["2:7 must be at most 10"]);
    expect("name: x\ninner: {port: 65536}\n", &["2:15 must be at most 65535"]);
    expect(
        "name: x\nlist: [{port: 1}, {port: 1}, {port: 1}]\n",
        &["2:7 must be at most 2 entries long"],
    );
}

#[test]
fn a_choice_that_is_none_is_met_by_the_closest() {
    expect(
        "name: x\nmode: durabel\n",
        &["2:7 `durabel` is none of the choices, did you mean `durable`?"],
    );
    expect(
        "name: x\nplain: six\n",
        &["2:8 `six` is none of the choices; there is `one` and `two`"],
    );
    expect(
        "name: x\nmode: 5\n",
        &["2:7 expected one of `durable` and `relaxed`, found a number"],
    );
}

#[test]
fn an_alternative_is_judged_by_the_one_that_comes_closest() {
    expect(
        "name: x\ninner: {port: x}\n",
        &["2:15 expected a whole number, found a text"],
    );
    expect(
        "name: x\nshape: {kind: square, side: x}\n",
        &["2:29 expected a whole number, found a text"],
    );
}

#[test]
fn an_empty_section_is_its_default() {
    let (findings, node) = found("name: x\nlist:\ninner:\n", false);
    assert_eq!(findings, [""; 0]);
    assert_eq!(node.to_value(), serde_json::json!({"name": "x"}));
}

#[test]
fn everything_is_found_at_once_and_the_rest_can_still_be_typed() {
    let (findings, node) = found("name: x\nsize: 0\nnope: 1\nlist: [{port: 1}, {port: x}]\n", false);
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert_eq!(
        node.to_value(),
        serde_json::json!({"name": "x", "list": [{"port": 1}, {}]})
    );
}

#[test]
fn lenient_texts_become_what_the_schema_wants() {
    let (findings, node) = found("name: '5'\nsize: '7'\nratio: '0.5'\non: 'true'\n", true);
    assert_eq!(findings, [""; 0]);
    assert_eq!(
        node.to_value(),
        serde_json::json!({"name": "5", "size": 7, "ratio": 0.5, "on": true})
    );
    let (findings, _) = found("name: x\nsize: 'seven'\n", true);
    assert_eq!(findings, ["2:7 expected a whole number, found a text"]);
}

#[test]
fn strict_texts_stay_texts() {
    expect(
        "name: x\nsize: '7'\n",
        &["2:7 expected a whole number, found a text"],
    );
}

fn unknown_keywords(schema: &Value, unknown: &mut Vec<String>) {
    let Value::Object(schema) = schema else {
        return;
    };
    for (keyword, value) in schema {
        match keyword.as_str() {
            "properties" | "$defs" => {
                value
                    .as_object()
                    .into_iter()
                    .flat_map(Map::values)
                    .for_each(|schema| unknown_keywords(schema, unknown));
            }
            "anyOf" | "oneOf" | "allOf" => value
                .as_array()
                .into_iter()
                .flatten()
                .for_each(|schema| unknown_keywords(schema, unknown)),
            "items" | "additionalProperties" => unknown_keywords(value, unknown),
            keyword if !KEYWORDS.contains(&keyword) => unknown.push(keyword.to_owned()),
            _ => {}
        }
    }
}

#[test]
fn every_keyword_of_our_schemas_is_checked() {
    let mut unknown = vec![];
    unknown_keywords(super::super::schema().as_value(), &mut unknown);
    for driver in drivers::all().iter() {
        unknown_keywords(driver.schema().as_value(), &mut unknown);
    }
    assert_eq!(
        unknown, [""; 0],
        "teach them to the schema check, or check them in the driver's `validate`"
    );
    unknown_keywords(
        &serde_json::json!({"properties": {"a": {"pattern": "x"}}}),
        &mut unknown,
    );
    assert_eq!(unknown, ["pattern"]);
}
