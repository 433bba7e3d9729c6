//! Where connections come in, and which runtime serves them.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use super::echo::Strings;
use super::harness::{Client, Server, Setup, app, closes, listen};
use crate::admin::Readiness;
use crate::serve::{self, Apps, Endpoints, Limits, Plan, Shutdown};
use crate::telemetry::Metrics;

#[tokio::test]
async fn connections_are_spread_over_the_runtimes() {
    let server = Server::start();
    let mut clients = Vec::new();
    for number in 0..4 {
        let mut client = server.client().await;
        assert_eq!(
            client.call("runtime").await.expect("served"),
            (number % 2).to_string()
        );
        clients.push(client);
    }
}

#[tokio::test]
async fn a_connection_over_the_limit_is_refused_and_counted() {
    let setup = Setup {
        connections_max: 1,
        ..Setup::default()
    };
    let server = setup.start();
    let mut first = server.client().await;
    first.call("a").await.expect("served");
    // The refusal may come before the client calls the connection made, or with its first call, and then under the name
    // that the client library has for where it was; the words themselves are tested with the acceptor.
    if let Ok(mut second) = Client::connect(&server.address).await {
        second.call("b").await.expect_err("over the limit");
    }
    first.call("c").await.expect("the first is unharmed");
    let (_, page) = server.get("/metrics").await;
    let refusals = page
        .lines()
        .find_map(|line| line.strip_prefix(r#"connections_refused_total{listener="echo",reason="limit"} "#))
        .and_then(|count| count.parse::<u64>().ok());
    assert!(refusals >= Some(1), "{page}");
    assert!(
        page.contains("\nconnections_open{listener=\"echo\"} 1\n"),
        "{page}"
    );
}

#[tokio::test]
async fn a_socket_file_is_served_and_gone_after_a_clean_stop() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("belay.sock");
    let setup = Setup {
        address: format!("unix:{}", path.display()),
        ..Setup::default()
    };
    let server = setup.start();
    let mut client = server.client().await;
    assert_eq!(client.call("over a file").await.expect("served"), "over a file");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    server.shutdown.begin();
    server.stopped().await;
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 0);
}

#[tokio::test]
async fn the_endpoints_file_says_where_while_it_serves() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let setup = Setup {
        data_dir: Some(folder.path().to_owned()),
        ..Setup::default()
    };
    let server = setup.start();
    server.get("/health").await;
    let endpoints = Endpoints::read(folder.path()).expect("written before anything is served");
    assert_eq!(endpoints.addresses["echo"], server.address);
    assert_eq!(endpoints.addresses["admin"], server.admin);
    server.shutdown.begin();
    server.stopped().await;
    assert!(Endpoints::read(folder.path()).is_err());
}

#[tokio::test]
async fn a_listener_without_an_app_is_an_error_and_lets_go_of_its_port() {
    let plan = Plan {
        listeners: vec![listen("echo", "127.0.0.1:0"), listen("other", "127.0.0.1:0")],
        runtimes: 1,
        limits: Limits::default(),
        data_dir: None,
        metrics: Metrics::new(),
        readiness: Readiness::default(),
    };
    let bound = serve::bind(plan).expect("free ports");
    let addresses = bound.endpoints().addresses.clone();
    let apps = Apps::default().grpc("echo", app(Arc::<Strings>::default()));
    let error = bound
        .run(apps, Shutdown::default())
        .await
        .expect_err("nothing to serve");
    assert!(error.message().contains("other"), "{error}");
    for address in addresses.values() {
        closes(address).await;
    }
}
