//! Where user code is: registered, listed, changed, removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query as Parameters, State};
use axum::response::{IntoResponse, Json};
use axum::routing::{get, post};
use axum::{Extension, Router};
use base::limits;
use http::{HeaderValue, Method, Response, StatusCode, Uri, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::services::service_json;
use super::{Admin, Answered, Refused, Version, refused};
use crate::endpoint::{Ask, Http};
use crate::id;
use crate::manifest::{self, Manifest};
use crate::registry::{Book, Deployment, header_map};

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/deployments", post(register).get(deployments))
        .route(
            "/deployments/{id}",
            get(deployment).patch(update).put(put).delete(remove),
        )
}

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

/// Where a deployment tells what it has; `None`: that is not its address.
fn discovery(uri: &str) -> Option<Uri> {
    let uri: Uri = format!("{}/discover", uri.trim_end_matches('/')).parse().ok()?;
    let plain = uri.query().is_none() && !uri.authority()?.as_str().contains('@');
    (uri.scheme_str() == Some("http") && !uri.host()?.is_empty() && plain).then_some(uri)
}

fn no_address(uri: &str) -> String {
    let with_scheme = format!("http://{}", uri.rsplit("://").next().unwrap_or_default());
    let meant = if discovery(&with_scheme).is_some() {
        with_scheme
    } else {
        "http://localhost:9080".into()
    };
    format!(
        "{uri:?} is no address of a deployment: write scheme, host and port, and perhaps a path, as {meant} (https:// is not built in)"
    )
}

impl Admin {
    async fn discover(&self, register: &Register) -> Result<(Manifest, Option<String>), Refused> {
        let failed = |code, text: String| refused(StatusCode::INTERNAL_SERVER_ERROR, Some(code), text);
        let uri = discovery(&register.uri)
            .ok_or_else(|| refused(StatusCode::BAD_REQUEST, None, no_address(&register.uri)))?;
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
            path: "/discover".into(),
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
            let hint = match answer.status {
                StatusCode::NOT_FOUND => ": is it a Restate endpoint?",
                StatusCode::UNAUTHORIZED => {
                    ": does it know the key of restate.request_identity_private_key_pem_file?"
                }
                _ => "",
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
        return Ok(answer_deployment(&admin, StatusCode::OK, known));
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
        return Ok(answer_deployment(&admin, status, &deployment));
    }
    let deployment = admin.registry.change(change).await?;
    Ok(answer_deployment(&admin, status, &deployment))
}

fn answer_deployment(admin: &Admin, status: StatusCode, deployment: &Deployment) -> Response<Body> {
    let mut json = deployment_json(admin, deployment);
    json["info"] = json!([]);
    let mut response = (status, Json(json)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("deployments/{}", deployment.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

fn deployment_json(admin: &Admin, deployment: &Deployment) -> Value {
    let book = admin.registry.book();
    let services = deployment.manifest.services.iter();
    let services: Vec<_> = services
        .map(|service| service_json(admin.registry.defaults(), &book, deployment, service))
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

async fn deployments(State(admin): State<Admin>) -> Json<Value> {
    let book = admin.registry.book();
    let all: Vec<_> = book
        .deployments
        .values()
        .map(|deployment| deployment_json(&admin, deployment))
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
    Ok(Json(deployment_json(&admin, deployment)).into_response())
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

/// What is to be changed of a deployment where it is: what is not said stays.
#[derive(Debug, Default, Deserialize)]
struct Update {
    uri: Option<String>,
    additional_headers: Option<BTreeMap<String, String>>,
    use_http_11: Option<bool>,
    /// Whether what it says of itself may be another thing than before.
    #[serde(default)]
    overwrite: bool,
    #[serde(default)]
    dry_run: bool,
}

async fn put(
    admin: State<Admin>,
    version: Option<Extension<Version>>,
    id: Path<String>,
    body: String,
) -> Answered {
    if version.is_none_or(|Extension(Version(version))| version != "/v2") {
        let text = "deployments are changed with PATCH; PUT is of version 2";
        return Err(refused(StatusCode::METHOD_NOT_ALLOWED, None, text));
    }
    update(admin, id, body).await
}

/// It is asked again what it is, there. Invocations that are pinned to it go on with what it is now.
async fn update(State(admin): State<Admin>, Path(id): Path<String>, body: String) -> Answered {
    let update: Update = serde_json::from_str(&body).map_err(|error| {
        let text = format!("the body is no change of a deployment: {error}");
        refused(StatusCode::UNPROCESSABLE_ENTITY, None, text)
    })?;
    let before = admin.registry.book().deployments.get(&id).cloned();
    let before = before.ok_or_else(|| no_deployment(&id))?;
    let uri = update
        .uri
        .map_or(before.uri.clone(), |uri| uri.trim_end_matches('/').to_owned());
    let headers = update
        .additional_headers
        .unwrap_or_else(|| before.headers.clone());
    let register = Register {
        uri: uri.clone(),
        additional_headers: Some(headers.clone()),
        metadata: None,
        use_http_11: update.use_http_11.unwrap_or(before.http_1),
        force: None,
        breaking: false,
        dry_run: update.dry_run,
    };
    let (manifest, sdk) = admin.discover(&register).await?;
    if !update.overwrite {
        check_same(&before.manifest, &manifest).map_err(|why| {
            let text = format!("{uri} is not what deployment {id} was: {why}; say overwrite if it is meant");
            refused(StatusCode::CONFLICT, Some("META0016"), text)
        })?;
    }
    let change = |book: &mut Book| {
        let mut after = Deployment {
            uri,
            headers,
            http_1: register.use_http_11,
            sdk,
            ..(*before).clone()
        };
        // Services that it has had keep their revisions; what is new is the newest.
        let next = book.next_revisions(&manifest);
        let own = |(name, next): (String, u32)| {
            let revision = before.revisions.get(&name).copied().unwrap_or(next);
            (name, revision)
        };
        after.revisions = next.into_iter().map(own).collect();
        after.manifest = manifest;
        let after = Arc::new(after);
        book.deployments.insert(id.clone(), after.clone());
        Ok(after)
    };
    let after = if register.dry_run {
        change(&mut (*admin.registry.book()).clone())?
    } else {
        admin.registry.change(change).await?
    };
    Ok(answer_deployment(&admin, StatusCode::OK, &after))
}

/// What invocations that are under way rely on: the error says what is missing.
fn check_same(before: &Manifest, after: &Manifest) -> Result<(), String> {
    let ((min, max), seen) = (before.versions(), after.versions());
    if (min, max) != seen {
        let (seen_min, seen_max) = seen;
        return Err(format!(
            "it spoke protocol versions {min} to {max}, and speaks {seen_min} to {seen_max}"
        ));
    }
    for service in &before.services {
        let name = &service.name;
        let same = after.services.iter().find(|other| other.name == *name);
        let same = same.ok_or_else(|| format!("service {name} is gone"))?;
        if same.kind != service.kind {
            return Err(format!("service {name} has another type"));
        }
        let has = |name: &String| same.handlers.iter().any(|other| other.name == *name);
        if let Some(gone) = service.handlers.iter().find(|handler| !has(&handler.name)) {
            return Err(format!("handler {name}/{} is gone", gone.name));
        }
    }
    Ok(())
}
