use axum::body::Body;
use axum::http::{Method, Request};

use super::*;
use crate::admin;

fn actuator() -> Actuator {
    let about = About {
        version: "1.2.3",
        compiled: "2026-01-02T03:04:05Z".to_owned(),
    };
    Actuator::new(about, None)
}

/// The reference's sample with in-memory components.
fn running() -> Actuator {
    let actuator = actuator();
    let types = [
        ("file", "local"),
        ("sequencer", "in-memory"),
        ("lock", "in-memory"),
    ];
    for (section, kind) in types {
        actuator.component(name(section, kind).expect("listed")).up();
    }
    actuator.process().up();
    actuator
}

async fn ask(actuator: &Actuator, method: Method, path: &str, body: &str) -> (u16, String) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Body::from(body.to_owned()))
        .expect("a plain request");
    admin::tests::ask(actuator.router(), request).await
}

#[track_caller]
fn check(actuator: &Actuator, path: &str, body: &str, status: u16, answer: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without I/O");
    let answered = runtime.block_on(ask(actuator, Method::GET, path, body));
    assert_eq!(answered, (status, answer.to_owned()), "{path}");
}

const SAMPLE: &str = r#"{"components":{"file-local":{"status":"UP"},"in-memory":{"status":"UP"},"lock-memory":{"status":"UP"},"runtime_startup":{"status":"UP","details":{"reason":""}}},"status":"UP"}"#;

#[test]
fn the_reference_sample_is_answered_byte_for_byte() {
    check(&running(), "/actuator/health/liveness", "", 200, SAMPLE);
    check(&running(), "/actuator/health/readiness", "", 200, SAMPLE);
    check(&running(), "/actuator/health/liveness/extra", "", 200, SAMPLE);
}

#[test]
fn a_process_that_starts_is_init_with_status_500() {
    let answer = r#"{"components":{"runtime_startup":{"status":"INIT","details":{"reason":"starting"}}},"status":"INIT"}"#;
    check(&actuator(), "/actuator/health/readiness", "", 500, answer);
}

#[test]
fn a_process_that_stops_is_down_with_status_500() {
    let actuator = actuator();
    actuator.process().up();
    actuator.process().stopped("shutdown");
    let answer = r#"{"components":{"runtime_startup":{"status":"DOWN","details":{"reason":"shutdown"}}},"status":"DOWN"}"#;
    check(&actuator, "/actuator/health/liveness", "", 500, answer);
}

#[test]
fn one_component_of_a_type_that_is_up_outweighs_another_that_failed() {
    let actuator = actuator();
    actuator.process().up();
    actuator.component("lock-etcd").down("no route");
    let down = r#"{"components":{"lock-etcd":{"status":"DOWN","details":{"reason":"no route"}},"runtime_startup":{"status":"UP","details":{"reason":""}}},"status":"DOWN"}"#;
    check(&actuator, "/actuator/health/liveness", "", 500, down);
    actuator.component("lock-etcd").up();
    let up = r#"{"components":{"lock-etcd":{"status":"UP"},"runtime_startup":{"status":"UP","details":{"reason":""}}},"status":"UP"}"#;
    check(&actuator, "/actuator/health/liveness", "", 200, up);
}

#[test]
fn down_outweighs_init() {
    let actuator = actuator();
    actuator.component("lock-etcd").down("no route");
    assert!(actuator.health().status == Status::Down);
}

#[test]
fn other_kinds_of_health_are_500_with_an_empty_object() {
    check(&running(), "/actuator/health", "", 500, "{}");
    check(&running(), "/actuator/health/", "", 500, "{}");
    check(&running(), "/actuator/health/startup", "", 500, "{}");
}

#[test]
fn info_calls_us_layotto() {
    let answer = r#"{"app":{"name":"Layotto","version":"1.2.3","compiled":"2026-01-02T03:04:05Z"}}"#;
    check(&running(), "/actuator/info", "", 200, answer);
}

#[test]
fn the_logger_takes_any_object_and_nothing_else() {
    for body in [
        "{}",
        "null",
        r#"{"component":"nosuch","level":"loud"}"#,
        r#"{"Level":"debug"}"#,
    ] {
        check(&running(), "/actuator/logger", body, 200, "{}");
    }
    for body in ["", "{", "[1]", r#"{"level":5}"#] {
        check(&running(), "/actuator/logger", body, 500, "");
    }
}

#[test]
fn anything_else_is_404_and_empty() {
    for path in [
        "/actuator",
        "/actuator/",
        "/actuator/metrics",
        "/",
        "/health",
        "/actuator/Health/liveness",
    ] {
        check(&running(), path, "", 404, "");
    }
}

#[tokio::test]
async fn the_method_is_never_checked() {
    for method in [Method::POST, Method::DELETE, Method::HEAD] {
        let (status, _) = ask(&running(), method.clone(), "/actuator/health/liveness", "x").await;
        assert_eq!(status, 200, "{method}");
    }
}

#[test]
fn components_that_the_reference_never_lists_have_no_name() {
    assert_eq!(name("state", "redis"), None);
    assert_eq!(name("pub_subs", "in-memory"), None);
    assert_eq!(name("file", "minio"), Some("file-monio"));
}
