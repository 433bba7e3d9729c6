//! What can be asked, for tools: the admin API, and each service as the ingress has it, as OpenAPI 3.1.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json};
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::services::no_service;
use super::{Admin, Answered};
use crate::manifest::{Handler, Service, ServiceKind};

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/openapi", get(admin_api))
        .route("/services/{service}/openapi", get(service_api))
}

/// Path, method, what it does, and what it answers when that went well.
const ROUTES: &[(&str, &str, &str, &str)] = &[
    ("/cluster-health", "get", "Says that the one node is well", "200"),
    ("/deployments", "get", "Lists deployments", "200"),
    (
        "/deployments",
        "post",
        "Asks a deployment what it is, and registers it",
        "201",
    ),
    (
        "/deployments/{id}",
        "delete",
        "Removes a deployment; wants ?force=true",
        "202",
    ),
    ("/deployments/{id}", "get", "Shows a deployment", "200"),
    (
        "/deployments/{id}",
        "patch",
        "Changes a deployment where it is",
        "200",
    ),
    ("/deployments/{id}", "put", "The same, below /v2", "200"),
    (
        "/internal/invocations_batch_operations/{what}",
        "post",
        "Does the same to many invocations",
        "200",
    ),
    (
        "/invocations/{id}",
        "delete",
        "Ends an invocation: ?mode=cancel, kill or purge",
        "202",
    ),
    (
        "/invocations/{id}",
        "get",
        "Shows an invocation and its journal",
        "200",
    ),
    (
        "/invocations/{id}/{what}",
        "patch",
        "cancel, kill, pause, resume, purge, purge-journal or restart-as-new",
        "200",
    ),
    (
        "/kafka-clusters",
        "get",
        "Lists no Kafka clusters: Kafka is not built in",
        "200",
    ),
    ("/openapi", "get", "This document", "200"),
    ("/query", "post", "Answers a question in SQL", "200"),
    ("/services", "get", "Lists services", "200"),
    ("/services/{service}", "get", "Shows a service", "200"),
    (
        "/services/{service}",
        "patch",
        "Changes what holds for a service",
        "200",
    ),
    (
        "/services/{service}/handlers",
        "get",
        "Lists a service's handlers",
        "200",
    ),
    (
        "/services/{service}/handlers/{handler}",
        "get",
        "Shows a handler",
        "200",
    ),
    (
        "/services/{service}/openapi",
        "get",
        "Describes a service as the ingress has it",
        "200",
    ),
    (
        "/services/{service}/state",
        "post",
        "Replaces the state of a key",
        "202",
    ),
    (
        "/subscriptions",
        "get",
        "Lists no subscriptions: Kafka is not built in",
        "200",
    ),
];

async fn admin_api() -> Json<Value> {
    let mut paths = Map::new();
    for (path, method, summary, status) in ROUTES {
        let mut operation = json!({
            "summary": summary,
            "operationId": format!("{method} {path}"),
            "responses": {
                *status: { "description": "Done" },
                "default": { "$ref": "#/components/responses/Refused" },
            },
        });
        let parameters: Vec<_> = parameters(path).map(parameter).collect();
        if !parameters.is_empty() {
            operation["parameters"] = parameters.into();
        }
        if matches!(*method, "post" | "patch" | "put") && !path.starts_with("/invocations") {
            operation["requestBody"] = json!({ "content": { "application/json": {} } });
        }
        paths.entry(*path).or_insert_with(|| json!({}))[*method] = operation;
    }
    Json(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Belay's admin API for Restate's tools",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Bare, and the same below /v2, /v3 and /v4.",
        },
        "paths": paths,
        "components": { "responses": { "Refused": refused() } },
    }))
}

fn refused() -> Value {
    json!({
        "description": "What went wrong, with Restate's code where it has one",
        "content": { "application/json": { "schema": {
            "type": "object",
            "required": ["message"],
            "properties": {
                "message": { "type": "string" },
                "restate_code": { "type": ["string", "null"] },
            },
        } } },
    })
}

fn parameters(path: &str) -> impl Iterator<Item = &str> {
    let parts = path.split('/');
    parts.filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

fn parameter(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
}

async fn service_api(State(admin): State<Admin>, Path(name): Path<String>) -> Answered {
    let book = admin.registry.book();
    let (deployment, service) = book.newest(&name).ok_or_else(|| no_service(&name))?;
    let revision = deployment.revisions.get(&name).copied().unwrap_or(1);
    Ok(Json(describe(service, revision)).into_response())
}

fn describe(service: &Service, revision: u32) -> Value {
    let keyed = service.kind != ServiceKind::Service;
    let base = if keyed {
        format!("/{}/{{key}}", service.name)
    } else {
        format!("/{}", service.name)
    };
    let mut paths = Map::new();
    for handler in service
        .handlers
        .iter()
        .filter(|handler| handler.private != Some(true))
    {
        let path = format!("{base}/{}", handler.name);
        let call = |summary: &str, answer: Value| {
            let mut call = json!({
                "summary": summary,
                "description": handler.documentation,
                "parameters": headers(service, keyed),
                "responses": { "200": answer },
            });
            if let Some(body) = request(handler) {
                call["requestBody"] = body;
            }
            call
        };
        let answer = json!({ "description": "What it answers", "content": content(&handler.output.content_type, &handler.output.json_schema) });
        paths.insert(
            path.clone(),
            json!({ "post": call("Calls it, and waits", answer) }),
        );
        let mut send = call("Calls it, and does not wait", Value::Null);
        send["responses"] = json!({ "202": { "description": "Its invocation", "content": { "application/json": { "schema": {
            "type": "object",
            "properties": {
                "invocationId": { "type": "string" },
                "status": { "enum": ["Accepted", "PreviouslyAccepted"] },
                "executionTime": { "type": "string", "format": "date-time" },
            },
        } } } } });
        let delay =
            json!({ "name": "delay", "in": "query", "schema": { "type": "string", "format": "duration" } });
        if let Some(parameters) = send["parameters"].as_array_mut() {
            parameters.push(delay);
        }
        paths.insert(format!("{path}/send"), json!({ "post": send }));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": service.name,
            "version": revision.to_string(),
            "description": service.documentation,
        },
        "paths": paths,
    })
}

fn headers(service: &Service, keyed: bool) -> Vec<Value> {
    let mut all = vec![];
    if keyed {
        all.push(parameter("key"));
    }
    // A workflow is idempotent by its key.
    if service.kind != ServiceKind::Workflow {
        all.push(json!({ "name": "idempotency-key", "in": "header", "schema": { "type": "string" } }));
    }
    all
}

/// `None`: it takes nothing.
fn request(handler: &Handler) -> Option<Value> {
    handler.input.content_type.as_ref()?;
    Some(json!({
        "required": handler.input.required,
        "content": content(&handler.input.content_type, &handler.input.json_schema),
    }))
}

fn content(content_type: &Option<String>, schema: &Option<Value>) -> Value {
    let Some(content_type) = content_type else {
        return json!({});
    };
    let schema = schema
        .as_ref()
        .map_or_else(|| json!({}), |schema| json!({ "schema": schema }));
    json!({ content_type: schema })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// What the routers of this folder have; what only refuses is not told of.
    #[test]
    fn every_route_is_described_and_no_other() {
        let sources = [
            include_str!("../admin.rs"),
            include_str!("absent.rs"),
            include_str!("deployments.rs"),
            include_str!("invocations.rs"),
            include_str!("openapi.rs"),
            include_str!("services.rs"),
        ];
        let refuses = [
            "/kafka-clusters/{name}",
            "/subscriptions/{id}",
            "/v1/{*rest}",
            "/health",
        ];
        let mut routes = BTreeSet::new();
        for source in sources {
            let calls = source.split(".route(").skip(1);
            routes.extend(calls.filter_map(|call| call.trim_start().strip_prefix('"')?.split('"').next()));
        }
        routes.retain(|route| route.starts_with('/') && !refuses.contains(route));
        let described: BTreeSet<_> = ROUTES.iter().map(|(path, ..)| *path).collect();
        assert_eq!(described, routes);
    }
}
