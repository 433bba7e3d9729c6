use super::super::document;
use super::*;

fn secret(store: &str, key: &str, value: Option<&str>) -> Part {
    Part::Secret(SecretReference {
        store: store.into(),
        key: key.into(),
        value: value.map(str::to_owned),
    })
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let mut node = document::parse(&format!("'{text}'")).expect("it is valid");
    let env = |name: &str| match name {
        "HOME_DIR" => Some("/srv".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    let mut findings = vec![];
    read_environment(&mut node, &env, &mut findings);
    assert_eq!((node.text(), findings.len()), (Some(expected), 0), "{findings:?}");
}

#[test]
fn variables_are_put_in() {
    check("${HOME_DIR}/data", "/srv/data");
    check("a${EMPTY}b", "ab");
}

#[test]
fn a_default_stands_in_for_what_is_unset_or_empty() {
    check("${NOPE:-x y}", "x y");
    check("${EMPTY:-z}${NOPE:-}", "z");
    check("${HOME_DIR:-z}", "/srv");
}

#[test]
fn escaped_references_are_characters() {
    check("$${HOME_DIR} $5 $ {x}", "${HOME_DIR} $5 $ {x}");
}

#[test]
fn a_text_with_a_secret_stays_a_reference() {
    check("$${x}${HOME_DIR}${secret:s/a/b#c}", "$${x}/srv${secret:s/a/b#c}");
}

#[test]
fn secrets_have_a_store_a_key_and_perhaps_a_value() {
    assert_eq!(parse("${secret:s/db:pw}"), Ok(vec![secret("s", "db:pw", None)]));
    assert_eq!(
        parse("${secret:s/a/b#c}"),
        Ok(vec![secret("s", "a/b", Some("c"))])
    );
    for broken in [
        "${secret:s}",
        "${secret:/k}",
        "${secret:s/}",
        "${secret:s/k#}",
        "${a-b}",
        "${}",
        "${X",
        "${other:x}",
    ] {
        assert!(parse(broken).is_err(), "{broken}");
    }
}

#[test]
fn a_missing_variable_is_a_finding_at_its_place() {
    let mut node = document::parse("a: 1\nb:\n  - ${NOPE_1}${NOPE_2}\n").expect("it is valid");
    let mut findings = vec![];
    read_environment(&mut node, &|_| None, &mut findings);
    let places: Vec<_> = findings
        .iter()
        .map(|finding| (finding.line, finding.path.as_str()))
        .collect();
    assert_eq!(places, [(3, "b.0"), (3, "b.0")]);
    assert!(findings[1].message.contains("NOPE_2"));
}

#[test]
fn a_secret_is_picked_by_value_then_by_name_then_as_the_only_one() {
    let of = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect()
    };
    let reference = |value: Option<&str>| SecretReference {
        store: "s".into(),
        key: "k".into(),
        value: value.map(str::to_owned),
    };
    assert_eq!(reference(None).pick(&of(&[("k", "1"), ("x", "2")])), Some("1"));
    assert_eq!(reference(None).pick(&of(&[("x", "2")])), Some("2"));
    assert_eq!(reference(None).pick(&of(&[("x", "2"), ("y", "3")])), None);
    assert_eq!(
        reference(Some("x")).pick(&of(&[("k", "1"), ("x", "2")])),
        Some("2")
    );
}

#[test]
fn references_that_cannot_be_written_are_noticed() {
    let reference = |key: &str| SecretReference {
        store: "s".into(),
        key: key.into(),
        value: None,
    };
    assert_eq!(reference("db:pw").written().as_deref(), Some("${secret:s/db:pw}"));
    assert_eq!(reference("a}b").written(), None);
    assert_eq!(reference("a#b").written(), None);
}
