//! Which method a request reaches.

use super::*;
use crate::transcode::testing;

/// Case C65: paths that look alike.
const ITEMS: &str = r#"
    message M { string id = 1; string p = 2; }
    service S {
      rpc Get(M) returns (M) { option (google.api.http) = { get: "/v1/items/{id}" }; }
      rpc Restock(M) returns (M) { option (google.api.http) = { post: "/v1/items/{id}:restock" body: "*" }; }
      rpc Part(M) returns (M) { option (google.api.http) = { get: "/v1/items/{id}/parts/{p}" }; }
      rpc Add(M) returns (M) { option (google.api.http) = { post: "/v1/items" body: "*" }; }
      rpc Plain(M) returns (M);
    }"#;

/// `Method value value`, or none.
fn found(body: &str, verb: &str, path: &str) -> String {
    let verb = verb.parse().expect("a verb");
    match testing::routes(body).find(&verb, path) {
        Some(found) => {
            let mut words = vec![found.route.method.name.clone()];
            words.extend(found.values);
            words.join(" ")
        }
        None => "none".into(),
    }
}

#[track_caller]
fn check(verb: &str, path: &str, expected: &str) {
    assert_eq!(found(ITEMS, verb, path), expected, "{verb} {path}");
}

#[test]
fn each_path_reaches_its_method() {
    check("GET", "/v1/items/7", "Get 7");
    check("POST", "/v1/items/7:restock", "Restock 7");
    check("GET", "/v1/items/7/parts/8", "Part 7 8");
    check("POST", "/v1/items", "Add");
    check("POST", "/t.S/Plain", "Plain");
}

#[test]
fn a_wrong_verb_reaches_none() {
    check("POST", "/v1/items/7", "none");
    check("GET", "/v1/items/7:restock", "none");
    check("POST", "/v1/items/7/parts/8", "none");
    check("GET", "/v1/items", "none");
    check("GET", "/t.S/Plain", "none");
}

#[test]
fn slashes_and_empty_ids_count() {
    check("GET", "/v1/items/7/", "none");
    check("POST", "/v1/items/", "none");
    check("GET", "/v1/items/", "Get ");
    check("POST", "/v1/items/:restock", "Restock ");
    check("GET", "/v1/items//parts/8", "Part  8");
    check("GET", "/v1/items/a%2Fparts%2Fb", "Get a%2Fparts%2Fb");
    check("GET", "/v1/items/a%3Ab", "Get a%3Ab");
    check("GET", "/v1/items/a:b", "none");
}

#[test]
fn an_annotated_method_loses_its_default_path() {
    check("POST", "/t.S/Get", "none");
}

#[test]
fn the_verbs_of_a_path_are_told() {
    let routes = testing::routes(ITEMS);
    let allowed = |path| routes.allowed(path);
    assert_eq!(allowed("/v1/items/7"), [Verb::GET]);
    assert_eq!(allowed("/v1/items"), [Verb::POST]);
    assert_eq!(allowed("/v2"), [] as [Verb; 0]);
}

#[test]
fn what_was_added_later_wins() {
    let body = r#"
        message M { string id = 1; }
        service S {
          rpc First(M) returns (M) { option (google.api.http) = { get: "/a/{id}" additional_bindings { get: "/b/x" } }; }
          rpc Second(M) returns (M) { option (google.api.http) = { get: "/a/x" additional_bindings { get: "/b/{id}" } }; }
          rpc Third(M) returns (M) { option (google.api.http) = { custom: { kind: "*" path: "/c" } }; }
        }"#;
    assert_eq!(found(body, "GET", "/a/x"), "Second");
    assert_eq!(found(body, "GET", "/a/y"), "First y");
    assert_eq!(found(body, "GET", "/b/x"), "Second x");
    assert_eq!(found(body, "PURGE", "/c"), "Third");
}

#[test]
fn a_wrong_rule_names_its_method() {
    let service = testing::service(
        r#"message M {} service S { rpc Call(M) returns (M) { option (google.api.http) = { get: "/{x}" }; } }"#,
    );
    assert_eq!(
        Routes::new(&[service]).err().as_deref(),
        Some("t.S.Call: HTTP rule: variable x is no field of t.M")
    );
}
