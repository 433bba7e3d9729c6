//! Layotto's actuator: the probes that its users have in their deployments already.
//!
//! | request | answer |
//! |---|---|
//! | `/actuator/health/liveness`, `/actuator/health/readiness` | 200 UP, 500 INIT or DOWN; `{"components":{...},"status":...}` |
//! | `/actuator/health`, any other kind of health | 500 `{}` |
//! | `/actuator/info` | `{"app":{"name":"Layotto",...}}` |
//! | `/actuator/logger` with a JSON object | 200 `{}`, whatever it says; else 500 and nothing |
//! | anything else | 404 and nothing |
//!
//! The method is never looked at and further path parts are ignored. Source: Layotto 7.2, and item 6 of its section 0.

mod names;
pub use names::name;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::About;
use crate::telemetry::log;

/// The component that stands for the process.
const STARTUP: &str = "runtime_startup";

/// The components' states. Cheap to clone; every clone is the same registry.
#[derive(Clone)]
pub struct Actuator(Arc<Inner>);

struct Inner {
    about: About,
    log: Option<log::Control>,
    components: Mutex<BTreeMap<String, Component>>,
}

/// A name stands for all components of one type: one that is up outweighs another that failed.
#[derive(Clone, Default)]
struct Component {
    is_up: bool,
    down: Option<String>,
}

/// Says how one component fares. It counts as starting until it does.
pub struct Indicator {
    actuator: Actuator,
    name: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Up,
    Init,
    Down,
}

#[derive(Serialize)]
struct Health {
    components: BTreeMap<String, Shown>,
    status: Status,
}

#[derive(Serialize)]
struct Shown {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Details>,
}

#[derive(Serialize)]
struct Details {
    reason: String,
}

/// Go matches keys in any case and takes `null` for nothing.
#[derive(Default, Deserialize)]
struct LoggerRequest {
    #[serde(alias = "Level", alias = "LEVEL")]
    level: Option<String>,
    #[serde(alias = "Component", alias = "COMPONENT")]
    #[expect(
        dead_code,
        reason = "all our parts share one log; it must be text all the same"
    )]
    component: Option<String>,
}

impl Actuator {
    /// Without a log, `/actuator/logger` changes nothing.
    pub fn new(about: About, log: Option<log::Control>) -> Actuator {
        let components = BTreeMap::from([(STARTUP.to_owned(), Component::default())]);
        Actuator(Arc::new(Inner {
            about,
            log,
            components: Mutex::new(components),
        }))
    }

    /// Adds a component under the reference's [`name`] for it.
    pub fn component(&self, name: &str) -> Indicator {
        self.0.components.lock().entry(name.to_owned()).or_default();
        Indicator {
            actuator: self.clone(),
            name: name.to_owned(),
        }
    }

    /// The process as a whole: up once it serves, down when it stops.
    pub fn process(&self) -> Indicator {
        self.component(STARTUP)
    }

    /// Mounted beside the administrative routes, or on a listener of its own.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/actuator/{*path}", any(answer))
            .with_state(self.clone())
    }

    fn health(&self) -> Health {
        let components: BTreeMap<String, Shown> = self
            .0
            .components
            .lock()
            .iter()
            .map(|(name, component)| (name.clone(), component.shown(name)))
            .collect();
        let status = components
            .values()
            .map(|shown| shown.status)
            .max()
            .unwrap_or(Status::Up);
        Health { components, status }
    }
}

impl Component {
    fn shown(&self, name: &str) -> Shown {
        let (status, reason) = match (&self.down, self.is_up) {
            (_, true) => (Status::Up, ""),
            (Some(reason), false) => (Status::Down, &**reason),
            (None, false) if name == STARTUP => (Status::Init, "starting"),
            (None, false) => (Status::Init, ""),
        };
        // The process always shows a reason, also an empty one.
        let details = (name == STARTUP || !reason.is_empty()).then(|| Details {
            reason: reason.to_owned(),
        });
        Shown { status, details }
    }
}

impl Indicator {
    pub fn up(&self) {
        self.set(|component| component.is_up = true);
    }

    pub fn down(&self, reason: impl Into<String>) {
        self.set(|component| component.down = Some(reason.into()));
    }

    /// Down, although it was up: only the process itself gets here.
    pub fn stopped(&self, reason: impl Into<String>) {
        self.set(|component| {
            component.is_up = false;
            component.down = Some(reason.into());
        });
    }

    fn set(&self, change: impl FnOnce(&mut Component)) {
        change(
            self.actuator
                .0
                .components
                .lock()
                .entry(self.name.clone())
                .or_default(),
        );
    }
}

async fn answer(State(actuator): State<Actuator>, Path(path): Path<String>, body: Bytes) -> Response {
    let mut parts = path.split('/');
    let mut response = match (parts.next(), parts.next()) {
        (Some("health"), Some("liveness" | "readiness")) => health(&actuator),
        (Some("health"), _) => (StatusCode::INTERNAL_SERVER_ERROR, "{}").into_response(),
        (Some("info"), _) => info(&actuator.0.about),
        (Some("logger"), _) => set_level(&actuator, &body),
        _ => StatusCode::NOT_FOUND.into_response(),
    };
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn health(actuator: &Actuator) -> Response {
    let health = actuator.health();
    let code = match health.status {
        Status::Up => StatusCode::OK,
        Status::Init | Status::Down => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let body = serde_json::to_string(&health).expect("names and texts always serialize");
    (code, body).into_response()
}

fn info(about: &About) -> Response {
    let info = serde_json::json!({
        "app": { "name": "Layotto", "version": about.version, "compiled": about.compiled }
    });
    info.to_string().into_response()
}

/// A level that is none is passed over, as the reference does.
fn set_level(actuator: &Actuator, body: &[u8]) -> Response {
    let request: LoggerRequest = match serde_json::from_slice::<Option<LoggerRequest>>(body) {
        Ok(request) => request.unwrap_or_default(),
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let level = request.level.as_deref().and_then(level);
    if let (Some(level), Some(log)) = (level, &actuator.0.log) {
        match log.set_levels(level) {
            Ok(()) => tracing::info!(level, "the log level was changed through the actuator"),
            Err(error) => tracing::warn!(%error, "the log level was not changed"),
        }
    }
    "{}".into_response()
}

/// Layotto's names of levels in ours.
fn level(name: &str) -> Option<&'static str> {
    match name.to_lowercase().as_str() {
        "trace" => Some("trace"),
        "debug" => Some("debug"),
        "info" => Some("info"),
        "warn" | "warning" => Some("warn"),
        "error" | "fatal" | "critical" => Some("error"),
        "off" => Some("off"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
