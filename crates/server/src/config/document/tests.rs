use serde_json::json;

use super::*;

#[track_caller]
fn check(text: &str, expected: &Value) {
    let node = parse(text).unwrap_or_else(|finding| panic!("{finding:?}"));
    assert_eq!(&node.to_value(), expected);
}

#[track_caller]
fn check_refused(text: &str, line: usize, column: usize, message: &str) {
    let finding = parse(text).expect_err("this text must be refused");
    assert_eq!((finding.line, finding.column), (line, column), "{finding:?}");
    assert!(finding.message.contains(message), "{finding:?}");
}

#[test]
fn scalars_are_what_yaml_says() {
    check(
        "[1, -2, 1.5, 0x10, true, ~, '1', off, 1.2.3, 1e3, .5, -x, 0777]",
        &json!([
            1, -2, 1.5, 16, true, null, "1", "off", "1.2.3", 1000.0, 0.5, "-x", 777
        ]),
    );
}

#[test]
fn json_with_tabs_and_escapes_is_read() {
    check(
        "{\n\t\"a\": {\n\t\t\"b\": [1,\t\"x\\/y\"]\n\t}\n}",
        &json!({"a": {"b": [1, "x/y"]}}),
    );
}

#[test]
fn surrogate_pairs_are_one_character() {
    check(
        r#"{"a": "\ud83d\ude00!", "b": "\\ud83d\\ude00"}"#,
        &json!({"a": "😀!", "b": "\\ud83d\\ude00"}),
    );
}

#[test]
fn an_empty_text_is_an_empty_configuration() {
    check("", &json!({}));
    check("# nothing yet\n", &json!({}));
}

#[test]
fn aliases_repeat_their_value() {
    check("a: &x {b: 1}\nc: *x", &json!({"a": {"b": 1}, "c": {"b": 1}}));
}

#[test]
fn values_know_where_they_are() {
    let node = parse("a:\n  - b: x\n    c.d: [1, yes]\n").expect("it is valid");
    let found = node.find("a.0.c.d.1").expect("it is there");
    assert_eq!((found.at.line, found.at.column, found.at.width), (3, 14, 3));
    assert_eq!(found.path, "a.0.c.d.1");
    assert!(node.find("a.1").is_none() && node.find("a.0.c").is_none());
}

#[test]
fn broken_yaml_is_refused_with_its_place() {
    check_refused("a: [1, 2\nb: 3", 2, 2, "cannot be read");
    check_refused("a: 1\n---\nb: 1", 2, 1, "second document");
    check_refused("? [a]\n: 1", 1, 3, "key must be a plain text");
    check_refused("a: *b", 1, 4, "unknown anchor");
}

#[test]
fn deep_and_wide_documents_are_refused() {
    check_refused(&"[".repeat(100_000), 1, 256, "recursion limit");
    let mut bomb = String::from("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    check_refused(&bomb, 5, 50, "more than 100000 values");
}

#[test]
fn a_value_is_set_under_a_path() {
    let mut node = parse("a: {b: 1}").expect("it is valid");
    node.set(
        &["a", "c", "d"],
        Node::made(&Node::default(), Content::Bool(true)),
    );
    assert_eq!(node.to_value(), json!({"a": {"b": 1, "c": {"d": true}}}));
}
