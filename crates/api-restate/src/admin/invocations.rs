//! What people do to invocations: one, or many at once.

use std::collections::BTreeMap;

use axum::extract::{Path, Query as Parameters, State};
use axum::response::{IntoResponse, Json};
use axum::routing::{get, patch, post};
use axum::{Router, http::Response};
use base::{Kind, limits};
use futures::StreamExt;
use http::StatusCode;
use machines::invocation::rows::{Head, Line, Origin, Pin, Source, Status, TargetKind};
use machines::invocation::{Change, Command, Control, Id, Known, Query, Reply, Start};
use machines::{Address, Call, Question};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Admin, Answered, Refused, another_answer, describe, refused};
use crate::registry::Book;
use crate::version::Version;
use crate::{conversation, id, prefix};

pub(super) fn router() -> Router<Admin> {
    Router::new()
        .route("/invocations/{id}", get(describe::describe).delete(end))
        .route("/invocations/{id}/{what}", patch(control))
        .route("/internal/invocations_batch_operations/{what}", post(batch))
}

type Wishes = BTreeMap<String, String>;

/// What is to be done to an invocation.
#[derive(Clone)]
enum Deed {
    Control(Control),
    Resume { on: On },
    Restart { from: Option<u32>, on: On },
}

/// With which deployment it goes on.
#[derive(Clone, Default)]
enum On {
    #[default]
    Unsaid,
    Keep,
    Latest,
    Named(String),
}

impl On {
    fn of(text: Option<&str>) -> On {
        match text {
            None => On::Unsaid,
            Some("keep") => On::Keep,
            Some("latest") => On::Latest,
            Some(name) => On::Named(name.into()),
        }
    }
}

impl Deed {
    fn of(what: &str, wishes: &Wishes) -> Result<Deed, Refused> {
        let on = || On::of(wishes.get("deployment").map(String::as_str));
        Ok(match what {
            "cancel" => Deed::Control(Control::Cancel),
            "kill" => Deed::Control(Control::Kill),
            "pause" => Deed::Control(Control::Pause),
            "purge" => Deed::Control(Control::Purge),
            "purge-journal" => Deed::Control(Control::PurgeJournal),
            "resume" => Deed::Resume { on: on() },
            "restart-as-new" => {
                let from = wishes.get("from").map(|from| from.parse()).transpose();
                let from = from.map_err(|_| {
                    let text = "from is the index of an entry of the journal: a number";
                    refused(StatusCode::BAD_REQUEST, None, text)
                })?;
                Deed::Restart { from, on: on() }
            }
            other => {
                let text = format!("invocations cannot be told to {other}");
                return Err(refused(StatusCode::NOT_FOUND, None, text));
            }
        })
    }
}

/// What came of it.
enum Done {
    Now,
    /// User code will hear of it.
    Asked,
    New(Id),
}

fn address(text: &str) -> Result<(Id, Address), Refused> {
    let id = id::decode(text).map_err(|why| {
        let text = format!("bad invocation id '{text}': {why}");
        refused(StatusCode::BAD_REQUEST, None, text)
    })?;
    Ok((id, Address::invocation(&id)))
}

fn conflict(text: &str, why: &str) -> Refused {
    refused(StatusCode::CONFLICT, None, format!("invocation {text} {why}"))
}

fn missing(text: &str) -> Refused {
    let text = format!("there is no invocation {text}");
    refused(StatusCode::NOT_FOUND, None, text)
}

fn too_early(text: &str) -> Refused {
    let text = format!("invocation {text} has not begun");
    refused(StatusCode::TOO_EARLY, None, text)
}

impl Admin {
    async fn tell(&self, address: &Address, control: Control) -> Result<Change, Refused> {
        match Command::Control(control).call(&*self.engine, address).await? {
            Reply::Changed(change) => Ok(change),
            other => Err(another_answer(&other)),
        }
    }

    pub(super) async fn look(&self, text: &str, address: &Address) -> Result<(Head, Origin), Refused> {
        match Query::Look.ask(&*self.engine, address).await {
            Ok(Reply::Look(look)) => Ok(*look),
            Ok(other) => Err(another_answer(&other)),
            Err(error) if error.kind() == Kind::NotFound => Err(missing(text)),
            Err(error) => Err(error.into()),
        }
    }

    async fn act(&self, text: &str, deed: Deed) -> Result<Done, Refused> {
        let (id, address) = address(text)?;
        let control = match deed {
            Deed::Control(control) => control,
            Deed::Resume { on } => self.resume(text, &address, on).await?,
            Deed::Restart { from, on } => return self.restart(text, &id, from, on).await,
        };
        let resumes = matches!(control, Control::Resume { .. });
        match self.tell(&address, control).await? {
            Change::Done => Ok(Done::Now),
            Change::Asked => Ok(Done::Asked),
            Change::NotFound => Err(missing(text)),
            Change::NotStarted if resumes => Err(too_early(text)),
            Change::NotStarted => Err(conflict(text, "has not begun")),
            Change::NotOver => Err(conflict(text, "is not completed")),
            Change::Over => Err(conflict(text, "is completed already")),
        }
    }

    async fn resume(&self, text: &str, address: &Address, on: On) -> Result<Control, Refused> {
        if matches!(on, On::Unsaid | On::Keep) {
            return Ok(Control::Resume { on: None });
        }
        let (head, origin) = self.look(text, address).await?;
        // One that has not said anything goes to the newest deployment in any case.
        let Some(pin) = &head.pin else {
            return Ok(Control::Resume { on: None });
        };
        if head.status() == Status::Running {
            return Err(conflict(
                text,
                "is running: it keeps its deployment until it is paused",
            ));
        }
        let deployment = deployment(&self.registry.book(), &origin, &on, Some(pin.protocol))?;
        let protocol = pin.protocol;
        Ok(Control::Resume {
            on: Some(Pin { deployment, protocol }),
        })
    }

    async fn restart(&self, text: &str, id: &Id, from: Option<u32>, on: On) -> Result<Done, Refused> {
        let address = Address::invocation(id);
        let (head, origin) = self.look(text, &address).await?;
        match head.status() {
            Status::Completed => {}
            Status::Scheduled | Status::Inboxed => return Err(too_early(text)),
            _ => return Err(conflict(text, "is not completed")),
        }
        let unprocessable = |why| refused(StatusCode::UNPROCESSABLE_ENTITY, None, why);
        if origin.target.kind() == TargetKind::Workflow {
            return Err(unprocessable(
                "a workflow runs once for each key: purge it, and call it again",
            ));
        }
        let gone = || {
            let text = format!("the journal of invocation {text} is not kept any more");
            refused(StatusCode::GONE, None, text)
        };
        if head.journal_gone {
            return Err(gone());
        }
        let journal = conversation::journal(&*self.engine, &address).await;
        let journal =
            journal.map_err(|failure| refused(StatusCode::INTERNAL_SERVER_ERROR, None, failure.message))?;
        let known = Known {
            head,
            origin,
            journal,
            state: None,
        };
        let Some(Line::Input(input)) = known.journal.first().and_then(|entry| entry.line.clone()) else {
            return Err(gone());
        };
        let (copied, pin) = self.copied(&known, from, &on)?;
        let new = id::beside(id);
        let mut origin = known.origin;
        origin.due = 0;
        origin.idempotency_key = String::new();
        origin.source = Some(Source {
            restarted_from: id.bytes(),
            ..Source::default()
        });
        if copied.is_empty() {
            origin.random_seed = fastrand::u64(1..);
        }
        let start = Command::Start(Box::new(Start {
            fresh: true,
            origin,
            input,
            wait: false,
            copied,
            pin,
        }));
        match start.call(&*self.engine, &Address::invocation(&new)).await? {
            Reply::Accepted { .. } => Ok(Done::New(new)),
            other => Err(another_answer(&other)),
        }
    }

    /// What the new one begins with beyond its input, and where it goes on.
    fn copied(&self, known: &Known, from: Option<u32>, on: &On) -> Result<(Vec<Line>, Option<Pin>), Refused> {
        let book = self.registry.book();
        let pinned = known.head.pin.as_ref();
        let Some(from) = from.filter(|from| *from > 0) else {
            let pin = match (on, pinned) {
                (On::Unsaid | On::Latest, _) | (On::Keep, None) => None,
                (On::Keep | On::Named(_), _) => {
                    let deployment = deployment(&book, &known.origin, &keep(on, pinned), None)?;
                    let range = book.deployments[&deployment].manifest.versions();
                    let version = Version::highest(range, self.registry.most(&deployment));
                    version.map(|version| Pin {
                        deployment,
                        protocol: version.number(),
                    })
                }
            };
            return Ok((vec![], pin));
        };
        let Some(pin) = pinned.filter(|pin| pin.protocol >= Version::V6.number()) else {
            let text =
                "what was said in a protocol below version 6 cannot be copied: restart it from the beginning";
            return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, None, text));
        };
        let bad = |why: String| refused(StatusCode::BAD_REQUEST, None, why);
        let copied = prefix::of(&known.journal, from).map_err(bad)?;
        let on = match on {
            On::Unsaid => &On::Keep,
            on => on,
        };
        let pin = Pin {
            deployment: deployment(&book, &known.origin, &keep(on, pinned), Some(pin.protocol))?,
            protocol: pin.protocol,
        };
        Ok((copied, Some(pin)))
    }
}

fn keep(on: &On, pinned: Option<&Pin>) -> On {
    match (on, pinned) {
        (On::Keep, Some(pin)) => On::Named(pin.deployment.clone()),
        (on, _) => on.clone(),
    }
}

/// Its id, if it has the service and speaks that version.
fn deployment(book: &Book, origin: &Origin, on: &On, protocol: Option<u32>) -> Result<String, Refused> {
    let service = &origin.target.service;
    let bad = |why: String| refused(StatusCode::BAD_REQUEST, None, why);
    let found = match on {
        On::Named(name) => book.deployments.get(name),
        On::Unsaid | On::Keep | On::Latest => book.newest(service).map(|(deployment, _)| deployment),
    };
    let found = found.ok_or_else(|| match on {
        On::Named(name) => bad(format!("there is no deployment {name}")),
        _ => bad(format!("no deployment has the service {service}")),
    })?;
    if !found.manifest.services.iter().any(|own| own.name == *service) {
        return Err(bad(format!("deployment {} has no service {service}", found.id)));
    }
    let (min, max) = found.manifest.versions();
    match protocol {
        Some(protocol) if !(min..=max).contains(&protocol) => Err(bad(format!(
            "the invocation speaks protocol version {protocol}, deployment {} speaks {min} to {max}",
            found.id
        ))),
        _ => Ok(found.id.clone()),
    }
}

/// The older way to cancel, kill and purge: what came of it is not told.
async fn end(
    State(admin): State<Admin>,
    Path(text): Path<String>,
    Parameters(wishes): Parameters<Wishes>,
) -> Answered {
    let (_, address) = address(&text)?;
    let mode = wishes.get("mode").map(|mode| mode.to_ascii_lowercase());
    let control = match mode.as_deref() {
        None | Some("cancel") => Control::Cancel,
        Some("kill") => Control::Kill,
        Some("purge") => Control::Purge,
        Some(other) => {
            let text = format!("there is no mode {other}: say cancel, kill or purge");
            return Err(refused(StatusCode::BAD_REQUEST, None, text));
        }
    };
    admin.tell(&address, control).await?;
    Ok(StatusCode::ACCEPTED.into_response())
}

async fn control(
    State(admin): State<Admin>,
    Path((text, what)): Path<(String, String)>,
    Parameters(wishes): Parameters<Wishes>,
) -> Answered {
    let deed = Deed::of(&what, &wishes)?;
    Ok(match admin.act(&text, deed).await? {
        Done::Now => StatusCode::OK.into_response(),
        Done::Asked => StatusCode::ACCEPTED.into_response(),
        Done::New(id) => Json(json!({ "new_invocation_id": id::encode(&id) })).into_response(),
    })
}

#[derive(Debug, Deserialize)]
struct Batch {
    invocation_ids: Vec<String>,
    deployment: Option<String>,
}

/// The same to many: what came of each is in the answer.
async fn batch(State(admin): State<Admin>, Path(what): Path<String>, body: String) -> Answered {
    let batch: Batch = serde_json::from_str(&body).map_err(|error| {
        let text = format!("the body is no batch of invocations: {error}");
        refused(StatusCode::UNPROCESSABLE_ENTITY, None, text)
    })?;
    let many = batch.invocation_ids.len();
    if many > limits::RESTATE_BATCH_MAX {
        let text = format!(
            "{many} invocations are too many at once: {} are the most",
            limits::RESTATE_BATCH_MAX
        );
        return Err(refused(StatusCode::PAYLOAD_TOO_LARGE, None, text));
    }
    let wishes = batch
        .deployment
        .map(|deployment| ("deployment".into(), deployment));
    let deed = Deed::of(&what, &wishes.into_iter().collect())?;
    let acts = batch.invocation_ids.into_iter().map(|text| {
        let (admin, deed) = (&admin, deed.clone());
        async move { (admin.act(&text, deed).await, text) }
    });
    let mut acts = futures::stream::iter(acts).buffered(limits::RESTATE_BATCH_AT_ONCE);
    let (mut successful, mut failed) = (vec![], vec![]);
    while let Some((done, text)) = acts.next().await {
        match done {
            Ok(Done::New(id)) => {
                successful.push(json!({ "old_invocation_id": text, "new_invocation_id": id::encode(&id) }))
            }
            Ok(Done::Now | Done::Asked) => successful.push(Value::String(text)),
            Err(refused) => failed.push(json!({ "invocation_id": text, "error": refused.message })),
        }
    }
    Ok(answer(&json!({ "successful": successful, "failed": failed })))
}

fn answer(json: &Value) -> Response<axum::body::Body> {
    Json(json).into_response()
}
