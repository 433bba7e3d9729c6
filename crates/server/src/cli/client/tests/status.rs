//! `belay status`.

use serde_json::json;

use super::*;
use crate::admin::readiness::Weight;
use crate::admin::{About, Admin, Readiness};
use crate::telemetry::Metrics;

/// Serves the real administrative routes; says where.
async fn admin(readiness: &Readiness) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let router = Admin {
        about: About::this_binary(),
        readiness: readiness.clone(),
        metrics: Metrics::new(),
    };
    let serving = async move { axum::serve(listener, router.router()).await };
    drop(base::task::spawn("admin", serving));
    address
}

#[tokio::test]
async fn a_belay_that_is_ready_says_where_it_listens() {
    let server = Server::start().await;
    let admin = admin(&Readiness::default()).await;
    let ran = server.belay(&["status", "--admin", &admin]).await;
    let (width, layotto) = (admin.len().max(server.address.len()), &server.address);
    let expected = format!(
        "belay {} is ready\n  admin    {admin:width$}  healthy\n  layotto  {layotto:width$}  serving\n",
        env!("CARGO_PKG_VERSION")
    );
    ran.check(Exit::Ok, &expected, "");
}

#[tokio::test]
async fn a_belay_that_waits_for_something_says_for_what() {
    let server = Server::start().await;
    let readiness = Readiness::default();
    let part = readiness.part("subscription pub_subs_demo/orders", Weight::Supporting);
    part.not_ready("nobody listens on 127.0.0.1:9999");
    let admin = admin(&readiness).await;
    let ran = server.belay(&["status", "--admin", &admin, "--json"]).await;
    assert_eq!(ran.exit, Exit::Failed);
    let expected = json!({
        "version": env!("CARGO_PKG_VERSION"), "pid": null, "ready": false, "serving": true, "healthy": true,
        "waiting_for": [{"name": "subscription pub_subs_demo/orders", "reason": "nobody listens on 127.0.0.1:9999"}],
        "endpoints": {"admin": admin, "layotto": server.address},
    });
    assert_eq!(ran.json(), expected);
}

#[tokio::test]
async fn one_that_drains_is_not_ready() {
    let server = Server::start().await;
    let draining = tonic_health::ServingStatus::NotServing;
    server.health.set_service_status("", draining).await;
    let ran = server.belay(&["status"]).await;
    let expected = format!("belay is not ready\n  layotto  {}  not serving\n", server.address);
    ran.check(Exit::Failed, &expected, "");
}

#[tokio::test]
async fn none_at_all_is_another_exit_code() {
    let address = nobody().await;
    let mut out = vec![];
    let (exit, err) = at(
        &address,
        &["status", "--admin", &address],
        &mut io::empty(),
        &mut out,
    )
    .await;
    assert_eq!((exit, out.len()), (Exit::NotRunning, 0));
    assert!(err.starts_with("error BLY0023: no belay answers on"), "{err}");
}
