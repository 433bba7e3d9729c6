use std::sync::Arc;

use ports::conformance::secret::{self, Given, Unknown};
use ports::secret::SecretStore;
use ports::{Driver, Metadata, Settings};
use serde_json::{Value, json};

use super::SecretFileDriver;
use super::settings::SecretFile;
use crate::testing;

async fn open(content: &str, more: Value) -> base::Result<Arc<dyn SecretStore>> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), content).expect("it is written");
    let mut settings = json!({ "secretsFile": file.path() });
    let all = settings.as_object_mut().expect("an object");
    all.extend(more.as_object().expect("an object").clone());
    let settings = Settings(all.clone());
    assert_eq!(SecretFileDriver.validate(&settings), vec![]);
    let component = SecretFileDriver
        .open("secrets", &settings, &testing::context())
        .await?;
    Ok(component.secret.expect("the driver offers it"))
}

/// All secrets of a file, as JSON.
async fn check(content: Value, more: Value, expected: Value) {
    let store = open(&content.to_string(), more).await.expect("the file is good");
    let secrets = store.bulk(&Metadata::new()).await.expect("it is in memory");
    assert_eq!(json!(secrets), expected);
}

async fn check_refused(content: &str, expected: &str) {
    let Err(error) = open(content, json!({})).await else {
        panic!("it was opened");
    };
    assert!(error.message().contains(expected), "{error}");
    assert!(!error.message().contains("hunter2"), "{error}");
}

#[tokio::test]
async fn it_is_a_store_of_secrets() {
    let store = open(r#"{"db": {"password": "x"}, "token": "y"}"#, json!({})).await;
    secret::all(Given {
        store: store.expect("the file is good"),
        known: ("db:password", "x"),
        unknown: Unknown::NotFound,
    })
    .await;
}

#[tokio::test]
async fn nested_secrets_are_flattened() {
    check(
        json!({ "a": "1", "b": { "c": "2", "d": [{ "e": "3" }, "4"] }, "empty": {} }),
        json!({}),
        json!({ "a": { "a": "1" }, "b:c": { "b:c": "2" }, "b:d:0:e": { "b:d:0:e": "3" }, "b:d:1": { "b:d:1": "4" } }),
    )
    .await;
}

#[tokio::test]
async fn the_separator_can_be_set() {
    check(
        json!({ "a": { "b": "1" } }),
        json!({ "nestedSeparator": "." }),
        json!({ "a.b": { "a.b": "1" } }),
    )
    .await;
}

#[tokio::test]
async fn several_values_stay_together() {
    let content = json!({ "a": "1", "b": { "c": "2", "d": { "e": "3" } } });
    let expected = json!({ "a": { "a": "1" }, "b": { "c": "2", "d:e": "3" } });
    for switch in [json!(true), json!("true")] {
        check(
            content.clone(),
            json!({ "multiValued": switch }),
            expected.clone(),
        )
        .await;
    }
}

#[tokio::test]
async fn values_that_are_no_texts_are_their_json() {
    let store = open(
        r#"{"n": 5, "big": 12345678901234567890123, "f": 1.50, "t": true, "z": null}"#,
        json!({}),
    )
    .await
    .expect("the file is good");
    let secrets = store.bulk(&Metadata::new()).await.expect("it is in memory");
    let value = |name: &str| secrets[name][name].clone();
    assert_eq!(value("n"), "5");
    assert_eq!(value("big"), "12345678901234567890123");
    assert_eq!(value("f"), "1.50");
    assert_eq!(value("t"), "true");
    assert_eq!(value("z"), "null");
}

#[tokio::test]
async fn an_unknown_secret_is_named() {
    let store = open("{}", json!({})).await.expect("the file is good");
    let error = store
        .get("nosuch", &Metadata::new())
        .await
        .expect_err("there is none");
    assert_eq!(error.message(), "secret nosuch not found");
}

#[tokio::test]
async fn files_that_hold_no_secrets_are_refused_without_quoting_them() {
    check_refused("[\"hunter2\"]", "must hold one JSON object").await;
    check_refused("{\"a\": hunter2}", "is no JSON").await;
    check_refused("", "is no JSON").await;
}

#[tokio::test]
async fn a_missing_file_is_named() {
    let settings = Settings::from_texts([("secretsFile".into(), "/nowhere/secrets.json".into())]);
    let opened = SecretFileDriver.open("x", &settings, &testing::context()).await;
    let Err(error) = opened else {
        panic!("it was opened");
    };
    assert!(error.message().starts_with("/nowhere/secrets.json: "), "{error}");
}

#[test]
fn the_file_is_required() {
    let findings = SecretFileDriver.validate(&Settings::default());
    assert_eq!(findings[0].path, "secretsFile");
    assert!(
        findings[0]
            .message
            .starts_with("missing local secrets file in metadata")
    );
}

#[test]
fn a_switch_that_is_none_is_a_finding() {
    let settings = Settings::from_texts([("multiValued".into(), "maybe".into())]);
    assert!(settings.parse::<SecretFile>().is_err());
    assert_eq!(SecretFileDriver.validate(&settings).len(), 1);
}
