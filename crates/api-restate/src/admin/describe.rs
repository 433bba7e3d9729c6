//! One invocation, with its journal, as JSON.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Json};
use base::Kind;
use http::StatusCode;
use machines::engine::PartScan;
use machines::invocation::rows::{
    self, Came, Ended, Entry, Head, Line, Name, Notification, Origin, Outcome, Status,
};
use machines::invocation::{Query, Reply};
use machines::{Address, Question, Stored};
use serde_json::{Value, json};

use super::{Admin, Answered, refused};
use crate::ingress::rfc3339;
use crate::{appended, filled, id, target_text};

/// Entries of a journal that are shown: the first ones.
const ENTRIES_MAX: usize = 1_000;

/// What commands of every protocol have in common: a name for people.
#[derive(Clone, PartialEq, prost::Message)]
struct Named {
    #[prost(string, tag = "12")]
    name: String,
}

pub(super) async fn describe(State(admin): State<Admin>, Path(text): Path<String>) -> Answered {
    let id = id::decode(&text).map_err(|why| {
        refused(
            StatusCode::BAD_REQUEST,
            None,
            format!("bad invocation id '{text}': {why}"),
        )
    })?;
    let address = Address::invocation(&id);
    let look = match Query::Look.ask(&*admin.engine, &address).await {
        Ok(Reply::Look(look)) => look,
        Ok(_) => {
            return Err(refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                None,
                "the engine gave another answer",
            ));
        }
        Err(error) if error.kind() == Kind::NotFound => {
            return Err(refused(
                StatusCode::NOT_FOUND,
                None,
                format!("there is no invocation {text}"),
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let (head, origin) = *look;
    let mut json = of(&text, &head, &origin);
    let snapshot = admin.engine.snapshot(&address)?;
    let page = snapshot.scan(PartScan {
        part: rows::JOURNAL,
        prefix: bytes::Bytes::new(),
        after: None,
        limit: ENTRIES_MAX,
        descending: false,
    });
    let entries = page.await?.rows.into_iter().enumerate();
    let entries = entries.map(|(index, (_, row))| Ok(entry(index, &Entry::from_row(&row)?)));
    json["journal"] = entries.collect::<base::Result<Value>>()?;
    Ok(Json(json).into_response())
}

fn of(text: &str, head: &Head, origin: &Origin) -> Value {
    let time = |millis: u64| (millis > 0).then(|| rfc3339(millis));
    let retry = head.retry.clone().unwrap_or_default();
    let last = retry.last.map(|last| {
        json!({ "code": last.code, "message": last.message, "restate_code": last.family_code, "at": time(last.at) })
    });
    json!({
        "id": text,
        "target": target_text(&origin.target),
        "status": status(head),
        "created_at": time(origin.created_at),
        "scheduled_at": time(origin.due),
        "modified_at": time(head.modified_at),
        "completed_at": head.completed_at.and_then(time),
        "deployment_id": head.pin.as_ref().map(|pin| pin.deployment.clone()),
        "protocol_version": head.pin.as_ref().map(|pin| pin.protocol),
        "invoked_by": origin.source.as_ref().map(|source| source.target.clone()),
        "idempotency_key": (!origin.idempotency_key.is_empty()).then_some(&origin.idempotency_key),
        "failures": retry.failures,
        "next_retry_at": time(retry.next_at),
        "last_failure": last,
        "result": head.outcome.as_ref().map(outcome),
    })
}

pub(crate) fn status(head: &Head) -> &'static str {
    match head.status() {
        Status::Unknown => "unknown",
        Status::Scheduled => "scheduled",
        Status::Inboxed => "pending",
        Status::Running if head.retry.as_ref().is_some_and(|retry| retry.next_at > 0) => "backing-off",
        Status::Running => "running",
        Status::Suspended => "suspended",
        Status::Paused => "paused",
        Status::Completed => "completed",
    }
}

fn outcome(outcome: &Outcome) -> Value {
    match &outcome.ended {
        Some(Ended::Value(value)) => json!({ "value": shown(value) }),
        Some(Ended::Failure(failure)) => {
            json!({ "failure": { "code": failure.code, "message": failure.message } })
        }
        None => Value::Null,
    }
}

/// As text where it is one.
fn shown(value: &[u8]) -> Value {
    match std::str::from_utf8(value) {
        Ok(text) => text.into(),
        Err(_) => format!("{} bytes", value.len()).into(),
    }
}

fn entry(index: usize, entry: &Entry) -> Value {
    let mut json = json!({ "index": index, "at": rfc3339(entry.at) });
    match &entry.line {
        Some(Line::Input(input)) => {
            json["entry"] = "Command: Input".into();
            json["value"] = shown(&input.body);
        }
        Some(Line::Command(said)) => {
            // The generations' numbers do not meet, but for the output's, which is the same.
            let name = appended::command_name(said.kind).or_else(|| filled::command_name(said.kind));
            json["entry"] = format!("Command: {}", name.unwrap_or("Custom")).into();
            let named = <Named as prost::Message>::decode(said.body.clone()).unwrap_or_default();
            if !named.name.is_empty() {
                json["name"] = named.name.into();
            }
        }
        Some(Line::Notification(notification)) => {
            json["entry"] = format!("Notification: {:?}", notification.source()).into();
            json["of"] = name(notification);
            json["result"] = came(notification);
        }
        None => {}
    }
    json
}

fn name(notification: &Notification) -> Value {
    match &notification.name {
        Some(Name::Completion(id)) => (*id).into(),
        Some(Name::Signal(number)) => format!("signal {number}").into(),
        Some(Name::NamedSignal(text)) => text.clone().into(),
        None => Value::Null,
    }
}

fn came(notification: &Notification) -> Value {
    match &notification.came {
        Some(Came::Value(value)) => shown(value),
        Some(Came::Failure(failure)) => json!({ "code": failure.code, "message": failure.message }),
        Some(Came::Invocation(raw)) => machines::invocation::Id::of(raw).map(|id| id::encode(&id)).into(),
        Some(Came::Keys(keys)) => keys.keys.len().into(),
        Some(Came::Void(_)) | None => Value::Null,
    }
}
