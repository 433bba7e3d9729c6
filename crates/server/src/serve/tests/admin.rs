//! Administration beside the calls.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::harness::Server;

#[tokio::test]
async fn administration_answers_while_every_core_is_busy_with_calls() {
    let server = Server::start();
    let mut spinning = Vec::new();
    for _ in 0..2 {
        let mut client = server.client().await;
        spinning.push(base::task::spawn(
            "spin",
            async move { client.call("spin").await },
        ));
        server.strings.begun.take().await;
    }
    for path in ["/health", "/ready", "/metrics", "/version"] {
        let asked = Instant::now();
        assert_eq!(server.get(path).await.0, 200, "{path}");
        assert!(
            asked.elapsed() < Duration::from_secs(1),
            "{path} took {:?}",
            asked.elapsed()
        );
    }
    server.strings.spun_enough.store(true, Ordering::Relaxed);
    for call in spinning {
        call.await.expect("no panic").expect("answered in the end");
    }
}

#[tokio::test]
async fn calls_show_up_under_our_names_and_layottos() {
    let server = Server::start();
    let mut client = server.client().await;
    client.call("a").await.expect("served");
    client.call("panic").await.expect_err("as asked");
    let (_, page) = server.get("/metrics").await;
    for line in [
        r#"grpc_requests_total{service="test.Echo",method="Call",code="OK"} 1"#,
        r#"grpc_requests_total{service="test.Echo",method="Call",code="INTERNAL"} 1"#,
        r#"grpc_request_total{service="/test.Echo/Call"} 2.0"#,
        r#"grpc_response_succ_total{service="/test.Echo/Call"} 1.0"#,
        r#"grpc_response_fail_total{service="/test.Echo/Call"} 1.0"#,
        r#"connections_total{listener="echo"} 1"#,
    ] {
        assert!(page.lines().any(|found| found == line), "no {line} in\n{page}");
    }
}

#[tokio::test]
async fn an_unknown_path_is_404() {
    assert_eq!(Server::start().get("/nothing").await.0, 404);
}
