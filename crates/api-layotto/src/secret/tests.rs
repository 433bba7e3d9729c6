use base::codes;
use tonic::Code;
use wire::layotto as pb;

use crate::components::{Components, Policy};
use crate::testing::{Fakes, STORE, assert_refused, run, texts};

fn secret(store: &str, key: &str) -> pb::GetSecretRequest {
    pb::GetSecretRequest {
        store_name: store.into(),
        key: key.into(),
        ..Default::default()
    }
}

fn bulk(store: &str) -> pb::GetBulkSecretRequest {
    pb::GetBulkSecretRequest {
        store_name: store.into(),
        ..Default::default()
    }
}

fn with_secrets() -> Fakes {
    let fakes = Fakes::default();
    let names = ["secret1", "secret2"];
    let all = names.map(|name| (name.to_owned(), format!("value of {name}")));
    *fakes.secrets.texts.lock() = all.into();
    fakes
}

#[tokio::test]
async fn secrets_are_read_alone_and_together() {
    let mut client = with_secrets().run().await.client;
    let one = client
        .get_secret(secret(STORE, "secret1"))
        .await
        .expect("it is there");
    assert_eq!(one.into_inner().data, texts([("secret1", "value of secret1")]));
    let all = client.get_bulk_secret(bulk(STORE)).await.expect("they are there");
    let all = all.into_inner().data;
    assert_eq!(all.len(), 2);
    assert_eq!(all["secret2"].secrets, texts([("secret2", "value of secret2")]));
}

#[tokio::test]
async fn stores_that_are_not_there_are_told_apart_from_no_stores() {
    let mut client = with_secrets().run().await.client;
    let message = "error when get secret but not find : other";
    assert_refused(
        client.get_secret(secret("other", "k")).await,
        Code::InvalidArgument,
        message,
    );
    assert_refused(
        client.get_bulk_secret(bulk("other")).await,
        Code::InvalidArgument,
        message,
    );
    let mut client = run(Components::default()).await.client;
    let message = "error when get secret but not find configured";
    assert_refused(
        client.get_secret(secret(STORE, "k")).await,
        Code::FailedPrecondition,
        message,
    );
    assert_refused(
        client.get_bulk_secret(bulk(STORE)).await,
        Code::FailedPrecondition,
        message,
    );
}

#[tokio::test]
async fn a_stores_failure_is_internal_and_an_unknown_name_is_one() {
    let fakes = with_secrets();
    let mut client = fakes.run().await.client;
    assert_refused(
        client.get_secret(secret(STORE, "nosuch")).await,
        Code::Internal,
        "error when get secret : secret name => nosuch,store name =>demo,error => secret nosuch not found",
    );
    fakes
        .secrets
        .fault
        .set(codes::COMPONENT_NOT_OPENED, "no connection");
    assert_refused(
        client.get_bulk_secret(bulk(STORE)).await,
        Code::Internal,
        "error when bulk get secret demo: no connection",
    );
}

/// Case C49.
#[tokio::test]
async fn a_policy_hides_what_it_denies_even_whether_it_exists() {
    let mut components = with_secrets().components();
    let secrets = components.secrets.get_mut(STORE).expect("the store is there");
    secrets.policy = Policy {
        deny_by_default: true,
        allowed: vec!["secret2".into()],
        denied: vec![],
    };
    let mut client = run(components).await.client;
    let all = client.get_bulk_secret(bulk(STORE)).await.expect("one is allowed");
    let names: Vec<String> = all.into_inner().data.into_keys().collect();
    assert_eq!(names, ["secret2"]);
    client
        .get_secret(secret(STORE, "secret2"))
        .await
        .expect("it is allowed");
    for name in ["secret1", "nosuch"] {
        let message = format!("access denied by policy to get {name} from demo");
        let answer = client.get_secret(secret(STORE, name)).await;
        assert_refused(answer, Code::PermissionDenied, &message);
    }
}
