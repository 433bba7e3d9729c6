//! The admin API: deployments, services and invocations.

use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse, Json};
use axum::routing::{get, post};
use axum::{Extension, Router, http};
use http::{Response, StatusCode};
use machines::Engine;
use machines::invocation::Reply;
use ports::query::Sql;
use serde_json::json;

use crate::registry::Registry;
use crate::talk::Talker;

mod absent;
mod deployments;
mod describe;
mod invocations;
mod openapi;
mod query;
mod services;

pub(crate) use describe::status;

/// A clone shares everything with its original.
#[derive(Clone)]
pub struct Admin {
    engine: Arc<dyn Engine>,
    registry: Registry,
    talker: Talker,
    /// Who answers questions in SQL, if that is built in.
    sql: Option<Arc<dyn Sql>>,
}

/// What went wrong, with the documented code where there is one.
struct Refused {
    status: StatusCode,
    code: Option<&'static str>,
    message: String,
}

fn refused(status: StatusCode, code: Option<&'static str>, message: impl Into<String>) -> Refused {
    Refused {
        status,
        code,
        message: message.into(),
    }
}

impl From<base::Error> for Refused {
    fn from(error: base::Error) -> Refused {
        let status = StatusCode::from_u16(error.kind().http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        refused(status, None, error.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response<Body> {
        let json = json!({ "message": self.message, "restate_code": self.code });
        (self.status, Json(json)).into_response()
    }
}

fn another_answer(reply: &Reply) -> Refused {
    let text = format!("the engine gave another answer: {reply:?}");
    refused(StatusCode::INTERNAL_SERVER_ERROR, None, text)
}

type Answered = Result<Response<Body>, Refused>;

/// The prefix of the version that was asked for; without one there is none.
#[derive(Clone, Copy)]
struct Version(&'static str);

impl Admin {
    pub(crate) fn new(engine: Arc<dyn Engine>, registry: Registry, talker: Talker) -> Admin {
        Admin {
            engine,
            registry,
            talker,
            sql: None,
        }
    }

    /// Questions in SQL are answered by it.
    pub fn with_sql(mut self, sql: Arc<dyn Sql>) -> Admin {
        self.sql = Some(sql);
        self
    }

    /// Bare, and below each version's prefix.
    pub fn router(&self) -> Router {
        let routes = || {
            absent::router()
                .merge(deployments::router())
                .merge(services::router())
                .merge(invocations::router())
                .merge(openapi::router())
                .route("/query", post(query::query))
                .with_state(self.clone())
        };
        let versions = ["/v2", "/v3", "/v4"];
        versions.into_iter().fold(routes(), |all, version| {
            // The bare one is the process's own.
            let below = routes().route("/health", get(|| async { StatusCode::OK }));
            all.nest(version, below.layer(Extension(Version(version))))
        })
    }
}
