//! What operators and their probes ask over HTTP.
//!
//! | path | answers |
//! |---|---|
//! | `/health` | 200, or 503 when only a restart helps |
//! | `/ready` | 200, or 503 with the names and reasons of what is not ready |
//! | `/metrics` | Prometheus' text format |
//! | `/version` | name, version, build time |
//! | `/stores` | the stores of distributed primitives; mounted by their family |
//! | `/actuator/...` | Layotto's probes, see [`actuator`] |
//!
//! Served on a thread of its own (`serve::Runtimes`), so that it answers when every other core is busy.

pub mod actuator;
pub mod readiness;

pub use actuator::Actuator;
pub use readiness::Readiness;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use base::codes;
use serde_json::json;

use crate::telemetry::{Metrics, metrics};

/// What this binary is.
#[derive(Clone, Debug)]
pub struct About {
    pub version: &'static str,
    /// When it was built, RFC 3339, as far as that is known.
    pub compiled: String,
}

impl About {
    /// The version is cargo's; the time is that of the binary's file, so that builds stay reproducible.
    pub fn this_binary() -> About {
        let modified = std::env::current_exe()
            .and_then(std::fs::metadata)
            .and_then(|file| file.modified())
            .ok()
            .and_then(|time| jiff::Timestamp::try_from(time).ok())
            .and_then(|time| time.round(jiff::Unit::Second).ok());
        About {
            version: env!("CARGO_PKG_VERSION"),
            compiled: modified.map(|time| time.to_string()).unwrap_or_default(),
        }
    }
}

/// What the administrative router shows.
#[derive(Clone)]
pub struct Admin {
    pub about: About,
    pub readiness: Readiness,
    pub metrics: Metrics,
}

impl Admin {
    /// Other routes are merged into it by whoever mounts it: [`Actuator::router`], later the families' own.
    pub fn router(self) -> Router {
        Router::new()
            .route("/health", get(health))
            .route("/ready", get(ready))
            .route("/metrics", get(page))
            .route("/version", get(version))
            .with_state(self)
    }
}

/// The metrics alone, for a listener that only a collector reaches.
pub fn metrics_router(path: &str, metrics: Metrics) -> Router {
    Router::new().route(path, get(move || async move { metrics_page(&metrics) }))
}

async fn health(State(admin): State<Admin>) -> Response {
    let failed = admin.readiness.failed();
    if failed.is_empty() {
        return Json(json!({ "status": "ok" })).into_response();
    }
    let body = json!({ "status": "failed", "failed": failed });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn ready(State(admin): State<Admin>) -> Response {
    let missing = admin.readiness.missing();
    if missing.is_empty() {
        return Json(json!({ "status": "ready" })).into_response();
    }
    let body = json!({ "status": "not ready", "waiting_for": missing });
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn page(State(admin): State<Admin>) -> Response {
    metrics_page(&admin.metrics)
}

fn metrics_page(metrics: &Metrics) -> Response {
    match metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(code = codes::INTERNAL.id, %error, "the metrics cannot be shown");
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        }
    }
}

/// What Restate's tools ask first: with which versions of its admin API they can go on. Belay's own are in `api_restate`.
const RESTATE_ADMIN_API: (u32, u32) = (2, 4);

async fn version(State(admin): State<Admin>) -> Response {
    let about = json!({
        "name": "belay",
        "version": admin.about.version,
        "compiled": admin.about.compiled,
        "min_admin_api_version": RESTATE_ADMIN_API.0,
        "max_admin_api_version": RESTATE_ADMIN_API.1,
        "features": {},
    });
    Json(about).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::readiness::Weight;
    use super::*;

    fn admin() -> Admin {
        Admin {
            about: About::this_binary(),
            readiness: Readiness::default(),
            metrics: Metrics::new(),
        }
    }

    /// Status and body of the answer.
    pub(super) async fn ask(router: Router, request: Request<Body>) -> (u16, String) {
        let response = router.oneshot(request).await.expect("routers do not fail");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a whole body");
        (status, String::from_utf8(body.to_bytes().to_vec()).expect("text"))
    }

    async fn get(admin: &Admin, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).expect("a plain request");
        ask(admin.clone().router(), request).await
    }

    #[tokio::test]
    async fn readiness_names_what_is_missing() {
        let admin = admin();
        let part = admin
            .readiness
            .part("subscription bus/orders", Weight::Supporting);
        part.not_ready("broker refused the topic");
        let (status, body) = get(&admin, "/ready").await;
        assert_eq!(status, 503);
        assert_eq!(
            body,
            r#"{"status":"not ready","waiting_for":[{"name":"subscription bus/orders","reason":"broker refused the topic"}]}"#
        );
        assert_eq!(get(&admin, "/health").await.0, 200);
        part.ready();
        assert_eq!(get(&admin, "/ready").await.0, 200);
    }

    #[tokio::test]
    async fn an_engine_that_stopped_for_good_fails_the_liveness_probe() {
        let admin = admin();
        let engine = admin.readiness.part("engine", Weight::Essential);
        assert_eq!(get(&admin, "/health").await.0, 200);
        engine.failed("a write failed");
        assert_eq!(get(&admin, "/health").await.0, 503);
    }

    #[tokio::test]
    async fn the_version_and_the_metrics_are_shown() {
        let admin = admin();
        let (status, body) = get(&admin, "/version").await;
        assert_eq!(status, 200);
        assert!(body.contains(env!("CARGO_PKG_VERSION")), "{body}");
        let (status, body) = get(&admin, "/metrics").await;
        assert_eq!(status, 200);
        assert!(body.contains("process_uptime_seconds"), "{body}");
    }

    #[tokio::test]
    async fn a_build_time_is_a_timestamp() {
        let compiled = About::this_binary().compiled;
        assert!(compiled.parse::<jiff::Timestamp>().is_ok(), "{compiled}");
    }
}
