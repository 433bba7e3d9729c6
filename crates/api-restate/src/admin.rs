//! The admin API: deployments, services and invocations.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query as Parameters, State};
use axum::response::{IntoResponse, Json};
use axum::routing::{get, patch, post};
use axum::{Extension, Router, http};
use base::limits;
use http::{HeaderValue, Method, Response, StatusCode, Uri, header};
use machines::invocation::{Change, Command, Control, Reply};
use machines::{Address, Call, Engine};
use ports::query::Sql;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::endpoint::{Ask, Http};
use crate::id;
use crate::manifest::{self, Manifest, Service as Described};
use crate::registry::{Book, Deployment, Registry, header_map};
use crate::talk::Talker;

mod absent;
mod describe;
mod query;

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

type Answered = Result<Response<Body>, Refused>;

/// The prefix of the version that was asked for; without one there is none.
#[derive(Clone, Copy)]
struct Version(&'static str);

#[derive(Debug, Deserialize)]
struct Register {
    uri: String,
    /// The official command line says null.
    additional_headers: Option<BTreeMap<String, String>>,
    metadata: Option<BTreeMap<String, String>>,
    #[serde(default)]
    use_http_11: bool,
    force: Option<bool>,
    #[serde(default)]
    breaking: bool,
    #[serde(default)]
    dry_run: bool,
}

impl Register {
    fn read(body: &str) -> Result<Register, Refused> {
        serde_json::from_str(body).map_err(|error| {
            let text = format!("the body is no registration: {error}");
            refused(StatusCode::UNPROCESSABLE_ENTITY, None, text)
        })
    }
}

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
                .route("/deployments", post(register).get(deployments))
                .route("/deployments/{id}", get(deployment).delete(remove))
                .route("/services", get(services))
                .route("/services/{service}", get(service))
                .route("/services/{service}/handlers", get(handlers))
                .route("/services/{service}/handlers/{handler}", get(handler))
                .route("/invocations/{id}", get(describe::describe).delete(end))
                .route("/invocations/{id}/{what}", patch(control))
                .route("/query", post(query::query))
                .route("/subscriptions", get(subscriptions))
                .with_state(self.clone())
        };
        let versions = ["/v2", "/v3", "/v4"];
        versions.into_iter().fold(routes(), |all, version| {
            // The bare one is the process's own.
            let below = routes().route("/health", get(|| async { StatusCode::OK }));
            all.nest(version, below.layer(Extension(Version(version))))
        })
    }

    async fn discover(&self, register: &Register) -> Result<(Manifest, Option<String>), Refused> {
        let failed = |code, text: String| refused(StatusCode::INTERNAL_SERVER_ERROR, Some(code), text);
        let base = register.uri.trim_end_matches('/');
        let uri: Uri = format!("{base}/discover")
            .parse()
            .map_err(|error: http::uri::InvalidUri| {
                refused(
                    StatusCode::BAD_REQUEST,
                    None,
                    format!("{} is no address: {error}", register.uri),
                )
            })?;
        if uri.scheme_str() != Some("http") {
            let text = format!("{} cannot be reached: only http:// is built in", register.uri);
            return Err(refused(StatusCode::BAD_REQUEST, None, text));
        }
        let mut headers = register
            .additional_headers
            .as_ref()
            .map(header_map)
            .unwrap_or_default();
        headers.insert(header::ACCEPT, HeaderValue::from_static(manifest::ACCEPT));
        let ask = Ask {
            method: Method::GET,
            uri,
            headers,
        };
        let http = if register.use_http_11 {
            Http::One
        } else {
            Http::Two
        };
        let unreachable =
            |error: crate::endpoint::Broken| failed("META0003", format!("discovery failed: {error}"));
        let discovery = async {
            let (mut out, waiting) = self.talker.connections().call(http, ask).await?;
            out.end();
            let mut answer = waiting.answer().await?;
            let body = answer
                .body(limits::RESTATE_MANIFEST_BYTES_MAX, limits::RESTATE_DISCOVERY)
                .await?;
            Ok((answer, body))
        };
        let answered = tokio::time::timeout(limits::RESTATE_DISCOVERY, discovery).await;
        let answered =
            answered.map_err(|_| failed("META0003", "discovery failed: no answer in time".into()))?;
        let (answer, body) = answered.map_err(unreachable)?;
        if answer.status != StatusCode::OK {
            let hint = if answer.status == StatusCode::NOT_FOUND {
                ": is it a Restate endpoint?"
            } else {
                ""
            };
            let text = format!(
                "discovery failed: {} answered {}{hint}",
                register.uri, answer.status
            );
            return Err(failed("META0003", text));
        }
        let text = |name: header::HeaderName| answer.headers.get(name).and_then(|value| value.to_str().ok());
        let sdk = text(header::HeaderName::from_static("x-restate-server")).map(str::to_owned);
        let content_type = text(header::CONTENT_TYPE).unwrap_or_default();
        let mut manifest = Manifest::read(content_type, &body).map_err(|why| failed("META0013", why))?;
        manifest.correct(sdk.as_deref());
        check_versions(&manifest).map_err(|text| failed("META0012", text))?;
        Ok((manifest, sdk))
    }
}

/// Whether there is a version that both speak. The error is what people are told.
fn check_versions(manifest: &Manifest) -> Result<(), String> {
    let (min, max) = (manifest.min_version, manifest.max_version);
    match crate::Version::highest((min, max), crate::Version::V7) {
        Some(_) => Ok(()),
        None => Err(format!(
            "the deployment speaks protocol versions {min} to {max}, Belay speaks {}",
            crate::Version::list()
        )),
    }
}

async fn register(State(admin): State<Admin>, version: Option<Extension<Version>>, body: String) -> Answered {
    let register = Register::read(&body)?;
    // Version 2 overwrites what is known unless it is told not to, and answers as if it were new.
    let is_version_2 = version.is_some_and(|Extension(Version(version))| version == "/v2");
    let force = register.force.unwrap_or(is_version_2);
    let uri = register.uri.trim_end_matches('/').to_owned();
    let book = admin.registry.book();
    let known = book
        .deployments
        .values()
        .find(|deployment| deployment.uri == uri)
        .cloned();
    if let Some(known) = known.as_ref().filter(|_| !force) {
        if is_version_2 {
            let text = format!(
                "{uri} is registered already, as {}; say force to ask it again",
                known.id
            );
            return Err(refused(StatusCode::CONFLICT, Some("META0004"), text));
        }
        return Ok(answer_deployment(StatusCode::OK, &book, known));
    }
    let (manifest, sdk) = admin.discover(&register).await?;
    let deployment = Deployment {
        id: known
            .as_ref()
            .map_or_else(id::deployment, |known| known.id.clone()),
        uri,
        created_at: admin.engine.now().0,
        headers: register.additional_headers.unwrap_or_default(),
        metadata: register.metadata.unwrap_or_default(),
        http_1: register.use_http_11,
        sdk,
        revisions: book.next_revisions(&manifest),
        manifest,
    };
    let change = |book: &mut Book| {
        let mut deployment = deployment.clone();
        deployment.revisions = book.next_revisions(&deployment.manifest);
        let deployment = Arc::new(deployment);
        book.deployments.insert(deployment.id.clone(), deployment.clone());
        Ok(deployment)
    };
    let known = known.filter(|_| !is_version_2);
    for service in &deployment.manifest.services {
        let before = book.newest(&service.name).map(|(_, before)| before.kind);
        if !register.breaking && before.is_some_and(|before| before != service.kind) {
            let text = format!(
                "service '{}' had another type; say breaking to change it",
                service.name
            );
            return Err(refused(StatusCode::CONFLICT, Some("META0006"), text));
        }
    }
    let status = if known.is_some() {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    if register.dry_run {
        return Ok(answer_deployment(status, &book, &deployment));
    }
    let deployment = admin.registry.change(change).await?;
    Ok(answer_deployment(status, &admin.registry.book(), &deployment))
}

fn answer_deployment(status: StatusCode, book: &Book, deployment: &Deployment) -> Response<Body> {
    let mut json = deployment_json(book, deployment);
    json["info"] = json!([]);
    let mut response = (status, Json(json)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("deployments/{}", deployment.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn deployment_json(book: &Book, deployment: &Deployment) -> Value {
    let services = deployment.manifest.services.iter();
    let services: Vec<_> = services
        .map(|service| service_json(book, deployment, service))
        .collect();
    json!({
        "id": deployment.id,
        "uri": deployment.uri,
        "protocol_type": if deployment.manifest.is_bidirectional() { "BidiStream" } else { "RequestResponse" },
        "http_version": if deployment.http_1 { "HTTP/1.1" } else { "HTTP/2.0" },
        "additional_headers": deployment.headers,
        "metadata": deployment.metadata,
        "created_at": crate::ingress::rfc3339(deployment.created_at),
        "min_protocol_version": deployment.manifest.min_version,
        "max_protocol_version": deployment.manifest.max_version,
        "sdk_version": deployment.sdk,
        "services": services,
    })
}

fn service_json(book: &Book, deployment: &Deployment, service: &Described) -> Value {
    let handlers: Vec<_> = service
        .handlers
        .iter()
        .map(|handler| handler_json(service, handler))
        .collect();
    let changed = book.changed.get(&service.name).cloned().unwrap_or_default();
    json!({
        "name": service.name,
        "ty": service.kind.text(),
        "handlers": handlers,
        "documentation": service.documentation,
        "metadata": service.metadata,
        "deployment_id": deployment.id,
        "revision": deployment.revisions.get(&service.name),
        "public": changed.public.unwrap_or(!service.private.unwrap_or(false)),
    })
}

fn handler_json(service: &Described, handler: &manifest::Handler) -> Value {
    let mut json = json!({
        "name": handler.name,
        "documentation": handler.documentation,
        "metadata": handler.metadata,
        "public": !handler.private.unwrap_or(false),
        "input_description": handler.input.text(),
        "output_description": handler.output.text(),
    });
    if let Some(kind) = handler.kind_text(service.kind) {
        json["ty"] = kind.into();
    }
    json
}

async fn deployments(State(admin): State<Admin>) -> Json<Value> {
    let book = admin.registry.book();
    let all: Vec<_> = book
        .deployments
        .values()
        .map(|deployment| deployment_json(&book, deployment))
        .collect();
    Json(json!({ "deployments": all }))
}

fn no_deployment(id: &str) -> Refused {
    refused(
        StatusCode::NOT_FOUND,
        None,
        format!("there is no deployment {id}"),
    )
}

async fn deployment(State(admin): State<Admin>, Path(id): Path<String>) -> Answered {
    let book = admin.registry.book();
    let deployment = book.deployments.get(&id).ok_or_else(|| no_deployment(&id))?;
    Ok(Json(deployment_json(&book, deployment)).into_response())
}

async fn remove(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    Parameters(parameters): Parameters<BTreeMap<String, String>>,
) -> Answered {
    if parameters.get("force").is_none_or(|force| force != "true") {
        let text =
            "a deployment is removed by force only: invocations that are pinned to it cannot go on then";
        return Err(refused(StatusCode::NOT_IMPLEMENTED, None, text));
    }
    if !admin.registry.book().deployments.contains_key(&id) {
        return Err(no_deployment(&id));
    }
    admin
        .registry
        .change(|book| Ok(book.deployments.remove(&id)))
        .await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn services(State(admin): State<Admin>) -> Json<Value> {
    let book = admin.registry.book();
    let all = book.newest.keys().filter_map(|name| book.newest(name));
    let all: Vec<_> = all
        .map(|(deployment, service)| service_json(&book, deployment, service))
        .collect();
    Json(json!({ "services": all }))
}

/// There is nothing to subscribe to: no Kafka.
async fn subscriptions() -> Json<Value> {
    Json(json!({ "subscriptions": [] }))
}

fn no_service(name: &str) -> Refused {
    refused(StatusCode::NOT_FOUND, None, format!("there is no service {name}"))
}

async fn service(State(admin): State<Admin>, Path(name): Path<String>) -> Answered {
    let book = admin.registry.book();
    let (deployment, service) = book.newest(&name).ok_or_else(|| no_service(&name))?;
    Ok(Json(service_json(&book, deployment, service)).into_response())
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

fn invocation(text: &str) -> Result<Address, Refused> {
    let id = id::decode(text).map_err(|why| {
        let text = format!("bad invocation id '{text}': {why}");
        refused(StatusCode::BAD_REQUEST, None, text)
    })?;
    Ok(Address::invocation(&id))
}

async fn tell(admin: &Admin, address: &Address, control: Control) -> Result<Change, Refused> {
    let reply = Command::Control(control).call(&*admin.engine, address).await?;
    match reply {
        Reply::Changed(change) => Ok(change),
        _ => Err(refused(
            StatusCode::INTERNAL_SERVER_ERROR,
            None,
            "the engine gave another answer",
        )),
    }
}

/// The older way to cancel, kill and purge: what came of it is not told.
async fn end(
    State(admin): State<Admin>,
    Path(text): Path<String>,
    Parameters(parameters): Parameters<BTreeMap<String, String>>,
) -> Answered {
    let address = invocation(&text)?;
    let mode = parameters.get("mode").map(|mode| mode.to_ascii_lowercase());
    let control = match mode.as_deref() {
        None | Some("cancel") => Control::Cancel,
        Some("kill") => Control::Kill,
        Some("purge") => Control::Purge,
        Some(other) => {
            let text = format!("there is no mode {other}: say cancel, kill or purge");
            return Err(refused(StatusCode::BAD_REQUEST, None, text));
        }
    };
    tell(&admin, &address, control).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn control(State(admin): State<Admin>, Path((text, what)): Path<(String, String)>) -> Answered {
    let address = invocation(&text)?;
    let control = match what.as_str() {
        "cancel" => Control::Cancel,
        "kill" => Control::Kill,
        "pause" => Control::Pause,
        "resume" => Control::Resume { on: None },
        "purge" => Control::Purge,
        "purge-journal" => Control::PurgeJournal,
        other => {
            return Err(refused(
                StatusCode::NOT_FOUND,
                None,
                format!("invocations cannot be told to {other}"),
            ));
        }
    };
    let resumes = matches!(control, Control::Resume { .. });
    let change = tell(&admin, &address, control).await?;
    let conflict = |why: &str| {
        Err(refused(
            StatusCode::CONFLICT,
            None,
            format!("invocation {text} {why}"),
        ))
    };
    match change {
        Change::Done => Ok(StatusCode::OK.into_response()),
        Change::Asked => Ok(StatusCode::ACCEPTED.into_response()),
        Change::NotFound => Err(refused(
            StatusCode::NOT_FOUND,
            None,
            format!("there is no invocation {text}"),
        )),
        Change::NotStarted if resumes => Err(refused(
            StatusCode::TOO_EARLY,
            None,
            format!("invocation {text} has not begun"),
        )),
        Change::NotStarted => conflict("has not begun"),
        Change::NotOver => conflict("is not completed"),
        Change::Over => conflict("is completed already"),
    }
}
