//! Which services there are, and what people change of them.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json};
use axum::routing::{get, post};
use http::StatusCode;
use machines::invocation::rows::{Edit, KeyValue};
use machines::invocation::{Command, Reply};
use machines::{Address, Call};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Answered, Refused, refused};
use crate::defaults::{Defaults, millis};
use crate::manifest::{self, Service, ServiceKind, Settings};
use crate::registry::{Book, Deployment};
use crate::{id, span};

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/services", get(services))
        .route("/services/{service}", get(service).patch(change))
        .route("/services/{service}/state", post(edit))
        .route("/services/{service}/handlers", get(handlers))
        .route("/services/{service}/handlers/{handler}", get(handler))
}

/// With what holds for it, and who says so does not matter: its manifest, people or the configuration.
pub(super) fn service_json(
    defaults: &Defaults,
    book: &Book,
    deployment: &Deployment,
    service: &Service,
) -> Value {
    let handlers: Vec<_> = service
        .handlers
        .iter()
        .map(|handler| handler_json(service, handler))
        .collect();
    let changed = book.changed.get(&service.name).cloned().unwrap_or_default();
    let settings = changed.settings.or(&service.settings);
    let or = |millis: Option<u64>, default| span::text(millis.unwrap_or(default));
    let retry = &defaults.retry;
    let kill = settings.retry_kill.unwrap_or(retry.kill);
    let mut json = json!({
        "name": service.name,
        "ty": service.kind.text(),
        "handlers": handlers,
        "documentation": service.documentation,
        "metadata": service.metadata,
        "deployment_id": deployment.id,
        "revision": deployment.revisions.get(&service.name),
        "public": changed.public.unwrap_or(!service.private.unwrap_or(false)),
        "idempotency_retention": or(settings.idempotency_ms, millis(defaults.idempotency_retention)),
        "journal_retention": or(settings.journal_ms, millis(defaults.journal_retention)),
        "inactivity_timeout": if deployment.manifest.is_bidirectional() {
            or(settings.inactivity_ms, millis(defaults.inactivity))
        } else {
            // Nothing can be said to it after the request.
            span::text(0)
        },
        "abort_timeout": or(settings.abort_ms, millis(defaults.abort)),
        "enable_lazy_state": settings.lazy_state.unwrap_or(false),
        "retry_policy": {
            "initial_interval": or(settings.retry_first_ms, millis(retry.first)),
            "exponentiation_factor": settings.retry_factor.unwrap_or(retry.factor),
            "max_attempts": settings.retry_attempts_max.or(retry.attempts_max),
            "max_interval": or(settings.retry_max_ms, millis(retry.max)),
            "on_max_attempts": if kill { "Kill" } else { "Pause" },
        },
        "info": [],
    });
    if service.kind == ServiceKind::Workflow {
        let kept = or(settings.workflow_ms, millis(defaults.workflow_retention));
        json["workflow_completion_retention"] = kept.into();
    }
    json
}

fn handler_json(service: &Service, handler: &manifest::Handler) -> Value {
    let mut json = json!({
        "name": handler.name,
        "documentation": handler.documentation,
        "metadata": handler.metadata,
        "public": !handler.private.unwrap_or(false),
        "input_description": handler.input.text(),
        "output_description": handler.output.text(),
        "input_json_schema": handler.input.json_schema,
        "output_json_schema": handler.output.json_schema,
    });
    if let Some(kind) = handler.kind_text(service.kind) {
        json["ty"] = kind.into();
    }
    json
}

async fn services(State(admin): State<Admin>) -> Json<Value> {
    let book = admin.registry.book();
    let all = book.newest.keys().filter_map(|name| book.newest(name));
    let all: Vec<_> = all
        .map(|(deployment, service)| service_json(admin.registry.defaults(), &book, deployment, service))
        .collect();
    Json(json!({ "services": all }))
}

pub(super) fn no_service(name: &str) -> Refused {
    refused(StatusCode::NOT_FOUND, None, format!("there is no service {name}"))
}

async fn service(State(admin): State<Admin>, Path(name): Path<String>) -> Answered {
    let book = admin.registry.book();
    let (deployment, service) = book.newest(&name).ok_or_else(|| no_service(&name))?;
    Ok(Json(service_json(
        admin.registry.defaults(),
        &book,
        deployment,
        service,
    ))
    .into_response())
}

async fn handlers(State(admin): State<Admin>, Path(name): Path<String>) -> Answered {
    let book = admin.registry.book();
    let (_, service) = book.newest(&name).ok_or_else(|| no_service(&name))?;
    let all: Vec<_> = service
        .handlers
        .iter()
        .map(|handler| handler_json(service, handler))
        .collect();
    Ok(Json(json!({ "handlers": all })).into_response())
}

async fn handler(State(admin): State<Admin>, Path((name, handler)): Path<(String, String)>) -> Answered {
    let book = admin.registry.book();
    let (_, service) = book.newest(&name).ok_or_else(|| no_service(&name))?;
    let found = service.handlers.iter().find(|other| other.name == handler);
    let found = found.ok_or_else(|| {
        refused(
            StatusCode::NOT_FOUND,
            None,
            format!("{name} has no handler {handler}"),
        )
    })?;
    Ok(Json(handler_json(service, found)).into_response())
}

/// What people say of a service. Of what is not said or null, nothing changes.
#[derive(Debug, Default, Deserialize)]
struct Change {
    public: Option<bool>,
    idempotency_retention: Option<String>,
    workflow_completion_retention: Option<String>,
    journal_retention: Option<String>,
    inactivity_timeout: Option<String>,
    abort_timeout: Option<String>,
}

impl Change {
    fn settings(&self) -> Result<Settings, Refused> {
        let millis = |name: &str, text: &Option<String>| {
            let read = text.as_deref().map(span::millis).transpose();
            read.map_err(|why| {
                let text = format!("{name}: {why}");
                refused(StatusCode::BAD_REQUEST, None, text)
            })
        };
        Ok(Settings {
            idempotency_ms: millis("idempotency_retention", &self.idempotency_retention)?,
            workflow_ms: millis(
                "workflow_completion_retention",
                &self.workflow_completion_retention,
            )?,
            journal_ms: millis("journal_retention", &self.journal_retention)?,
            inactivity_ms: millis("inactivity_timeout", &self.inactivity_timeout)?,
            abort_ms: millis("abort_timeout", &self.abort_timeout)?,
            ..Settings::default()
        })
    }
}

/// It holds for every revision of the service, until it is changed again.
async fn change(State(admin): State<Admin>, Path(name): Path<String>, body: String) -> Answered {
    let change: Change = read(&body, "the body is no change of a service")?;
    let settings = change.settings()?;
    if admin.registry.book().newest(&name).is_none() {
        return Err(no_service(&name));
    }
    let write = |book: &mut Book| {
        let changed = book.changed.entry(name.clone()).or_default();
        changed.public = change.public.or(changed.public);
        changed.settings = settings.or(&changed.settings);
        Ok(())
    };
    admin.registry.change(write).await?;
    service(State(admin), Path(name)).await
}

fn read<'a, T: Deserialize<'a>>(body: &'a str, what: &str) -> Result<T, Refused> {
    serde_json::from_str(body).map_err(|error| {
        let text = format!("{what}: {error}");
        refused(StatusCode::UNPROCESSABLE_ENTITY, None, text)
    })
}

/// What the state of one key is to be: all of it.
#[derive(Debug, Deserialize)]
struct NewState {
    /// What it has to be before, if that matters.
    version: Option<String>,
    object_key: String,
    scope: Option<String>,
    /// Bytes as numbers.
    new_state: BTreeMap<String, Vec<u8>>,
}

/// It is done when the key's turn has come, behind what waits for it already. If the state is another than `version` says then,
/// nothing is: nobody is told.
async fn edit(State(admin): State<Admin>, Path(name): Path<String>, body: String) -> Answered {
    let new: NewState = read(&body, "the body is no state")?;
    let bad = |text: String| refused(StatusCode::BAD_REQUEST, None, text);
    let kind = admin
        .registry
        .book()
        .newest(&name)
        .map(|(_, service)| service.kind);
    match kind {
        // What a service that is gone has left can be cleared.
        None if !new.new_state.is_empty() => return Err(no_service(&name)),
        Some(ServiceKind::Service) => return Err(bad(format!("{name} is a plain service: it has no state"))),
        None | Some(ServiceKind::VirtualObject | ServiceKind::Workflow) => {}
    }
    if new.scope.is_some() {
        return Err(bad("scopes are not built in: leave scope out".into()));
    }
    let pair = |(key, value): (String, Vec<u8>)| KeyValue {
        key: key.into(),
        value: value.into(),
    };
    let edit = Command::Edit(Edit {
        version: new.version.unwrap_or_default(),
        state: new.new_state.into_iter().map(pair).collect(),
    });
    let object = Address::object(id::partition_key(&new.object_key), &name, &new.object_key);
    match edit.call(&*admin.engine, &object).await? {
        Reply::Edited => Ok(StatusCode::ACCEPTED.into_response()),
        other => Err(super::another_answer(&other)),
    }
}
