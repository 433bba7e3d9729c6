//! The ingress: HTTP calls to handlers, and to what belongs to invocations.

use std::sync::Arc;

use axum::body::Body;
use base::{Kind, limits};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use machines::invocation::rows::{Ended, Input, Origin, Outcome, Pair, Status, Target, TargetKind};
use machines::invocation::{self, Id, Over, Query, Reply, Start};
use machines::{Address, Call, Engine, Question};
use serde_json::json;

use crate::id;
use crate::registry::{Found, Registry};

pub(crate) mod delay;
pub(crate) mod route;

pub(crate) use delay::rfc3339;
use route::{BadPath, How, Of, Route};

/// Headers that belong to the connection or to the ingress, and not to the handler.
const NOT_FOR_HANDLERS: [&str; 4] = ["connection", "host", "idempotency-key", "idempotency-expires"];

/// Answers requests of the ingress. A clone shares everything with its original.
#[derive(Clone)]
pub struct Ingress {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) registry: Registry,
}

/// An answer that says what went wrong before any handler was asked.
struct Refused {
    status: u16,
    message: String,
    source: &'static str,
}

fn refused(status: u16, message: impl Into<String>) -> Refused {
    Refused {
        status,
        message: message.into(),
        source: "ingress",
    }
}

impl From<BadPath> for Refused {
    fn from(path: BadPath) -> Refused {
        refused(400, path.0)
    }
}

impl From<base::Error> for Refused {
    fn from(error: base::Error) -> Refused {
        refused(error.kind().http(), error.to_string())
    }
}

/// What an idempotent call is known by, and who it is for.
struct Named {
    id: Id,
    target: Target,
    found: Found,
}

impl Ingress {
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let answered = self.route(request).await;
        answered.unwrap_or_else(Refused::into_response)
    }

    async fn route(&self, request: Request<Body>) -> Result<Response<Body>, Refused> {
        let route = route::route(request.uri().path())?;
        match route {
            Route::Health => Ok(json_response(
                200,
                &json!({ "services": self.registry.services() }),
            )),
            Route::Invoke { parts, send } => self.invoke(request, parts, send).await,
            Route::Awakeable { id, resolve } => self.awakeable(request, &id, resolve).await,
            Route::Result { of, how } => self.result(&self.named(of)?, how).await,
            Route::Named(how) => {
                let body = body(request).await?;
                let of = of_body(&body)?;
                let id = self.named(of)?;
                self.result(&id, how).await
            }
        }
    }

    async fn invoke(
        &self,
        request: Request<Body>,
        parts: Vec<String>,
        send: bool,
    ) -> Result<Response<Body>, Refused> {
        if !matches!(*request.method(), Method::GET | Method::POST) {
            return Err(refused(405, "method not allowed"));
        }
        let (service, key, handler) = split(&parts);
        let found = self.find(service, key, handler)?;
        let query = request.uri().query().unwrap_or_default().to_owned();
        let delay = delay::of_query(&query).map_err(|text| refused(400, text))?;
        if delay.is_some() && !send {
            let text =
                "cannot use the delay query parameter with calls. The delay is supported only with sends";
            return Err(refused(400, text));
        }
        let idempotency_key = header_text(request.headers(), "idempotency-key").filter(|key| !key.is_empty());
        if idempotency_key.is_some() && found.kind == TargetKind::Workflow {
            let text = "cannot use the idempotency key with workflow handlers. The handler is already idempotent by its key";
            return Err(refused(400, text));
        }
        let headers = headers_for_handler(request.headers(), request.uri().path());
        let content_type = header_text(request.headers(), header::CONTENT_TYPE.as_str());
        let body = body(request).await?;
        found
            .check_input(content_type.as_deref(), &body)
            .map_err(|text| refused(400, text))?;

        let target = target(service, key, handler, found.kind);
        let id = match (&idempotency_key, found.kind) {
            (_, TargetKind::Workflow) => id::of_workflow(service, &target.key),
            (Some(idempotency_key), _) => id::of_idempotent(service, key, handler, idempotency_key),
            (None, _) => id::fresh(service, key),
        };
        let now = self.engine.now().0;
        let due = delay.map_or(0, |delay| now.saturating_add(delay));
        let start = Start {
            fresh: idempotency_key.is_none() && found.kind != TargetKind::Workflow,
            origin: Origin {
                target,
                created_at: now,
                due,
                source: None,
                idempotency_key: idempotency_key.clone().unwrap_or_default(),
                random_seed: fastrand::u64(1..),
                rules: found.rules(idempotency_key.is_some()),
            },
            input: Input { headers, body },
            wait: !send,
            copied: vec![],
            pin: None,
        };
        let start = invocation::Command::Start(Box::new(start));
        let reply = start.call(&*self.engine, &Address::invocation(&id)).await?;
        Ok(match reply {
            Reply::Over(over) => ended(&id, *over, Some(&found)),
            Reply::Accepted { new, due } => accepted(&id, new, due),
            other => return Err(another_answer(&other)),
        })
    }

    fn find(&self, service: &str, key: Option<&str>, handler: &str) -> Result<Found, Refused> {
        let found = self
            .registry
            .find(service, handler)
            .map_err(|missing| refused(404, missing))?;
        if (found.kind == TargetKind::Service) != key.is_none() {
            let text =
                "bad path, expected either /:service-name/:handler or /:object-name/:object-key/:handler";
            return Err(refused(400, text));
        }
        if !found.public {
            return Err(refused(400, "the invoked service is not public"));
        }
        Ok(found)
    }

    async fn awakeable(
        &self,
        request: Request<Body>,
        text: &str,
        resolve: bool,
    ) -> Result<Response<Body>, Refused> {
        if *request.method() != Method::POST {
            return Err(refused(405, "method not allowed"));
        }
        let (id, name) =
            id::awakeable(text).map_err(|why| refused(400, format!("bad awakeable id '{text}': {why}")))?;
        let body = body(request).await?;
        let outcome = if resolve {
            Outcome::value(body)
        } else {
            Outcome::failure(500, String::from_utf8_lossy(&body))
        };
        let signal = invocation::Command::Signal {
            name,
            outcome: Some(outcome),
        };
        signal.call(&*self.engine, &Address::invocation(&id)).await?;
        Ok(response(202, Body::empty()))
    }

    fn named(&self, of: Of) -> Result<Named, Refused> {
        match of {
            Of::Invocation(text) => {
                let id = id::decode(&text)
                    .map_err(|why| refused(400, format!("bad invocation id '{text}': {why}")))?;
                Ok(Named {
                    id,
                    target: Target::default(),
                    found: Found::default(),
                })
            }
            Of::Workflow { name, key } => Ok(Named {
                id: id::of_workflow(&name, &key),
                target: target(&name, Some(&key), "run", TargetKind::Workflow),
                found: Found::default(),
            }),
            Of::Idempotent(parts) => {
                let Some((idempotency_key, parts)) = parts.split_last() else {
                    return Err(refused(400, "bad path"));
                };
                let (service, key, handler) = split(parts);
                let found = self
                    .registry
                    .find(service, handler)
                    .map_err(|missing| refused(404, missing))?;
                Ok(Named {
                    id: id::of_idempotent(service, key, handler, idempotency_key),
                    target: target(service, key, handler, found.kind),
                    found,
                })
            }
        }
    }

    async fn result(&self, named: &Named, how: How) -> Result<Response<Body>, Refused> {
        let address = Address::invocation(&named.id);
        match how {
            How::Lookup => Ok(json_response(
                200,
                &json!({ "invocationId": id::encode(&named.id) }),
            )),
            How::Attach => {
                let reply = invocation::Command::Attach.call(&*self.engine, &address).await;
                match reply {
                    Ok(Reply::Over(over)) => Ok(self.ended_of(named, *over).await),
                    Ok(other) => Err(another_answer(&other)),
                    Err(error) if error.kind() == Kind::NotFound => Err(Refused {
                        source: "invocation",
                        ..refused(404, "not found")
                    }),
                    Err(error) => Err(error.into()),
                }
            }
            How::Output => match Query::Look.ask(&*self.engine, &address).await {
                Ok(Reply::Look(look)) if look.0.status() == Status::Completed => {
                    let over = Over {
                        outcome: look.0.outcome.clone().unwrap_or_default(),
                        replayed: true,
                        kept_until: look
                            .0
                            .completed_at
                            .map(|at| at.saturating_add(look.1.rules.result_ms)),
                    };
                    Ok(self.ended_of(named, over).await)
                }
                Ok(Reply::Look(_)) => Err(refused(470, "the invocation exists but has not completed yet")),
                Ok(other) => Err(another_answer(&other)),
                Err(error) if error.kind() == Kind::NotFound => Err(refused(404, "invocation not found")),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// With the content type that its handler's newest version has.
    async fn ended_of(&self, named: &Named, over: Over) -> Response<Body> {
        let mut target = named.target.clone();
        if target.service.is_empty() {
            let look = Query::Look
                .ask(&*self.engine, &Address::invocation(&named.id))
                .await;
            if let Ok(Reply::Look(look)) = look {
                target = look.1.target;
            }
        }
        let found = self.registry.find(&target.service, &target.handler).ok();
        ended(&named.id, over, found.as_ref().or(Some(&named.found)))
    }
}

fn another_answer(reply: &Reply) -> Refused {
    refused(500, format!("the engine gave another answer: {reply:?}"))
}

fn split(parts: &[String]) -> (&str, Option<&str>, &str) {
    match parts {
        [service, key, handler] => (service, Some(key), handler),
        [service, handler] => (service, None, handler),
        _ => ("", None, ""),
    }
}

fn target(service: &str, key: Option<&str>, handler: &str, kind: TargetKind) -> Target {
    Target {
        service: service.into(),
        handler: handler.into(),
        key: key.unwrap_or_default().into(),
        kind: kind.into(),
    }
}

async fn body(request: Request<Body>) -> Result<Bytes, Refused> {
    let body = Limited::new(request.into_body(), limits::RESTATE_MESSAGE_BYTES_MAX)
        .collect()
        .await;
    match body {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let text = format!(
                "the body is larger than {} bytes",
                limits::RESTATE_MESSAGE_BYTES_MAX
            );
            Err(refused(413, text))
        }
        Err(error) => Err(refused(400, format!("the body cannot be read: {error}"))),
    }
}

fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn headers_for_handler(headers: &HeaderMap, path: &str) -> Vec<Pair> {
    let own = headers
        .iter()
        .filter(|(name, _)| !NOT_FOR_HANDLERS.contains(&name.as_str()));
    let pair = |key: &str, value: &str| Pair {
        key: key.into(),
        value: value.into(),
    };
    let own = own.filter_map(|(name, value)| Some(pair(name.as_str(), value.to_str().ok()?)));
    own.chain([pair("x-restate-ingress-path", path)]).collect()
}

/// Which result a body asks for.
fn of_body(body: &Bytes) -> Result<Of, Refused> {
    let bad = |why: &str| refused(400, format!("bad target: {why}"));
    let json: serde_json::Value = serde_json::from_slice(body).map_err(|error| bad(&error.to_string()))?;
    let text = |name: &str| json[name].as_str().map(str::to_owned);
    let required = |name: &'static str| text(name).ok_or_else(|| bad(&format!("{name} is missing")));
    match required("target")?.as_str() {
        "invocation" => Ok(Of::Invocation(required("invocationId")?)),
        "workflow" => Ok(Of::Workflow {
            name: required("workflowName")?,
            key: required("workflowKey")?,
        }),
        "idempotentInvocation" => {
            let mut parts = vec![required("service")?];
            parts.extend(text("key"));
            parts.extend([required("handler")?, required("idempotencyKey")?]);
            Ok(Of::Idempotent(parts))
        }
        other => Err(bad(&format!("{other} is none"))),
    }
}

fn response(status: u16, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn json_response(status: u16, json: &serde_json::Value) -> Response<Body> {
    let mut response = response(status, Body::from(json.to_string()));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn insert(response: &mut Response<Body>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

impl Refused {
    fn into_response(self) -> Response<Body> {
        let json = json!({ "code": self.status, "message": self.message, "source": self.source });
        let mut response = json_response(self.status, &json);
        insert(&mut response, "x-restate-error-source", self.source);
        response
    }
}

fn accepted(id: &Id, new: bool, due: u64) -> Response<Body> {
    let id = id::encode(id);
    let mut json = json!({ "invocationId": id });
    if due > 0 {
        json["executionTime"] = delay::rfc3339(due).into();
    }
    json["status"] = if new { "Accepted" } else { "PreviouslyAccepted" }.into();
    let mut response = json_response(202, &json);
    insert(&mut response, "x-restate-id", &id);
    response
}

fn ended(id: &Id, over: Over, found: Option<&Found>) -> Response<Body> {
    let mut response = match over.outcome.ended {
        Some(Ended::Value(value)) => {
            let content_type = found.and_then(|found| found.output_type(value.is_empty()));
            let mut response = response(200, Body::from(value));
            if let Some(content_type) = content_type {
                insert(&mut response, "content-type", &content_type);
            }
            response
        }
        Some(Ended::Failure(failure)) => {
            let mut json = json!({ "code": failure.code, "message": failure.message });
            if !failure.metadata.is_empty() {
                let pairs = failure
                    .metadata
                    .into_iter()
                    .map(|pair| (pair.key, pair.value.into()));
                json["metadata"] = serde_json::Value::Object(pairs.collect());
            }
            json["source"] = "invocation".into();
            // Codes that no status line can carry; the body keeps the one that was said.
            let status = u16::try_from(failure.code)
                .ok()
                .filter(|code| (100..1_000).contains(code));
            let mut response = json_response(status.unwrap_or(500), &json);
            insert(&mut response, "x-restate-error-source", "invocation");
            response
        }
        None => response(200, Body::empty()),
    };
    insert(&mut response, "x-restate-id", &id::encode(id));
    if let Some(until) = over.kept_until.filter(|_| over.replayed) {
        insert(&mut response, "idempotency-expires", &delay::rfc3339(until));
    }
    response
}
