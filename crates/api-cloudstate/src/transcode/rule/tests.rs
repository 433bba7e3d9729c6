//! What rules mean, and every reason to refuse one.

use super::*;
use crate::transcode::testing;

const MESSAGES: &str = r#"
    enum E { A = 0; }
    message In { string id = 1; int64 n = 2; repeated string list = 3; map<string, string> map = 4; E e = 5; In inner = 6; }
    message Out { In in = 1; repeated In all = 2; }"#;

fn rules_of(rule: &str) -> Result<Vec<Rule>, String> {
    let option = match rule {
        "" => String::new(),
        rule => format!("option (google.api.http) = {{ {rule} }};"),
    };
    rules(&testing::method(&format!(
        "{MESSAGES} service S {{ rpc Call(In) returns (Out) {{ {option} }} }}"
    )))
}

#[track_caller]
fn check(rule: &str, expected: &[(&str, &str)]) -> Vec<Rule> {
    let rules = rules_of(rule).expect("rules");
    let verb = |rule: &Rule| rule.verb.as_ref().map_or("*", Verb::as_str).to_owned();
    let verbs: Vec<_> = rules.iter().map(verb).collect();
    assert_eq!(verbs, expected.iter().map(|(verb, _)| *verb).collect::<Vec<_>>());
    for (rule, (_, path)) in rules.iter().zip(expected) {
        assert_eq!(Ok(&rule.template), Template::parse(path).as_ref());
    }
    rules
}

#[track_caller]
fn refused(rule: &str, expected: &str) {
    let error = rules_of(rule).expect_err("a rule that is refused");
    assert_eq!(error, format!("t.S.Call: HTTP rule: {expected}"));
}

#[test]
fn a_method_without_rule_is_posted_to_its_grpc_path() {
    let rules = check("", &[("POST", "/t.S/Call")]);
    assert_eq!(rules[0].body, Body::Message);
    assert_eq!(rules[0].response_body, None);
}

#[test]
fn every_verb_is_known() {
    check("get: \"/a\"", &[("GET", "/a")]);
    check("put: \"/a\"", &[("PUT", "/a")]);
    check("post: \"/a\"", &[("POST", "/a")]);
    check("delete: \"/a\"", &[("DELETE", "/a")]);
    check("patch: \"/a\"", &[("PATCH", "/a")]);
    check("custom: { kind: \"*\" path: \"/a\" }", &[("*", "/a")]);
}

#[test]
fn additional_bindings_follow() {
    check(
        "get: \"/a\" additional_bindings { post: \"/b\" body: \"*\" } additional_bindings { get: \"/c/{id}\" }",
        &[("GET", "/a"), ("POST", "/b"), ("GET", "/c/{id}")],
    );
}

#[test]
fn fields_are_resolved() {
    let rules = check(
        "post: \"/a/{id}/{n}\" body: \"inner\" response_body: \"all\" selector: \"t.S.Call\"",
        &[("POST", "/a/{id}/{n}")],
    );
    let names: Vec<_> = rules[0].variables.iter().map(|field| field.name()).collect();
    assert_eq!(names, ["id", "n"]);
    assert!(matches!(&rules[0].body, Body::Field(field) if field.name() == "inner"));
    let response = rules[0].response_body.as_ref().expect("a field");
    assert_eq!(response.name(), "all");
    assert_eq!(check("get: \"/a\"", &[("GET", "/a")])[0].body, Body::Ignored);
}

#[test]
fn rules_that_make_no_sense_are_refused() {
    refused(
        "selector: \"t.S.Other\" get: \"/a\"",
        "selector t.S.Other is not this method",
    );
    refused("body: \"*\"", "it names neither a verb nor a path");
    refused(
        "custom: { kind: \"HEAD\" path: \"/a\" }",
        "custom kind \"HEAD\": only * is known",
    );
    refused(
        "get: \"/a\" additional_bindings { get: \"/b\" additional_bindings { get: \"/c\" } }",
        "an additional binding has additional bindings",
    );
    refused("get: \"a\"", "path \"a\": it does not begin with /");
    refused(
        "get: \"/a\" additional_bindings { get: \"/**/b\" }",
        "path \"/**/b\": ** is only allowed at the end",
    );
}

#[test]
fn variables_are_single_scalars_of_the_input() {
    refused(
        "get: \"/{inner.id}\"",
        "variable inner.id is a nested field: only fields of the input itself can stand in a path",
    );
    refused("get: \"/{other}\"", "variable other is no field of t.In");
    refused("get: \"/{list}\"", "variable list is repeated");
    refused("get: \"/{map}\"", "variable map is a map");
    refused("get: \"/{e}\"", "variable e is an enum");
    refused("get: \"/{inner}\"", "variable inner is a message");
    refused("get: \"/{id}/{id}\"", "variable id stands in the path twice");
}

#[test]
fn bodies_are_single_fields() {
    refused("post: \"/a\" body: \"other\"", "body other is no field of t.In");
    refused(
        "post: \"/a\" body: \"inner.id\"",
        "body inner.id is no field of t.In",
    );
    refused("post: \"/a\" body: \"list\"", "body list is repeated");
    refused("post: \"/a\" body: \"map\"", "body map is repeated");
    refused(
        "get: \"/a\" response_body: \"id\"",
        "response_body id is no field of t.Out",
    );
}
