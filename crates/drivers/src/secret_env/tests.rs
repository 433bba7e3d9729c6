use ports::conformance::secret::{self, Given, Unknown};
use ports::{Driver, Metadata, Settings};

use super::SecretEnvDriver;
use crate::testing;

/// The environment can't be changed safely in a process with threads, so the tests use what is there.
#[tokio::test]
async fn it_is_a_store_of_secrets() {
    let (name, value) = std::env::vars().next().expect("an environment");
    secret::all(Given {
        store: opened().await,
        known: (&name, &value),
        unknown: Unknown::Empty,
    })
    .await;
}

async fn opened() -> std::sync::Arc<dyn ports::secret::SecretStore> {
    let opened = SecretEnvDriver
        .open("env", &Settings::default(), &testing::context())
        .await;
    let component = opened.expect("nothing can fail");
    component.secret.expect("the driver offers it")
}

#[tokio::test]
async fn the_whole_environment_is_given() {
    let secrets = opened()
        .await
        .bulk(&Metadata::new())
        .await
        .expect("nothing can fail");
    assert_eq!(secrets.len(), std::env::vars_os().count());
}

#[tokio::test]
async fn names_that_no_variable_can_have_are_empty() {
    for name in ["", "a=b", "a\0b"] {
        let secret = opened().await.get(name, &Metadata::new()).await;
        assert_eq!(secret.expect("nothing can fail")[name], "", "{name:?}");
    }
}

#[test]
fn settings_are_refused() {
    let settings = Settings::from_texts([("file".into(), "x".into())]);
    assert_eq!(SecretEnvDriver.validate(&settings).len(), 1);
}
