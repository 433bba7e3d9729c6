//! Invocations: how they stand.

use std::hash::Hasher;
use std::sync::Arc;

use base::Result;
use bytes::Bytes;
use machines::invocation::Id;
use machines::invocation::rows::{Ended, Retry, Status, TargetKind, Trouble};
use ports::query::{Filter, Kind, Page, Value};
use serde_json::json;

use super::objects::partition_key;
use super::walk::{self, Invocation};
use super::{Col, Identified, Moment, or_null, page, some_text, some_time, text};
use crate::ingress::rfc3339;
use crate::manifest::ServiceKind;
use crate::registry::Book;
use crate::{appended, filled, id, target_text};

pub(super) struct One {
    of: Invocation,
    book: Arc<Book>,
}

type Read = fn(&One) -> Value;

/// Columns that tables share.
macro_rules! column {
    (partition_key) => {
        Col("partition_key", Kind::Unsigned, |one: &One| {
            partition_key(&one.of.id.partition_key())
        })
    };
    (id) => {
        Col("id", Kind::Text, |one: &One| Value::Text(id::encode(&one.of.id)))
    };
    ($name:ident: nothing) => {
        Col(stringify!($name), Kind::Text, (|_| Value::Null) as Read)
    };
    ($name:ident: $kind:ident, $read:expr) => {
        Col(stringify!($name), Kind::$kind, $read as Read)
    };
}

macro_rules! durable {
    ($name:ident, $count:literal, [$($first:expr),*], $status:expr, [$($last:expr),*]) => {
        pub(super) static $name: [Col<One>; $count] = [
            $($first,)*
            column!(vqueue_id: nothing),
            column!(target: Text, |one| Value::Text(target_text(&one.of.origin.target))),
            column!(target_service_name: Text, |one| text(&one.of.origin.target.service)),
            column!(target_service_key: Text, One::key),
            column!(target_handler_name: Text, |one| text(&one.of.origin.target.handler)),
            column!(target_service_ty: Text, |one| text(one.service_kind())),
            column!(scope: nothing),
            column!(limit_key: nothing),
            column!(idempotency_key: Text, |one| some_text(&one.of.origin.idempotency_key)),
            column!(invoked_by: Text, |one| text(one.invoked_by())),
            column!(invoked_by_service_name: Text, |one| one.source(|source| text(&source.service))),
            column!(invoked_by_id: Text, |one| one.source(|source| raw_id(&source.invocation))),
            column!(invoked_by_subscription_id: nothing),
            column!(invoked_by_target: Text, |one| one.source(|source| text(&source.target))),
            column!(restarted_from: Text, |one| {
                or_null(one.of.origin.source.as_ref().map(|source| raw_id(&source.restarted_from)))
            }),
            column!(pinned_deployment_id: Text, One::deployment),
            column!(pinned_service_protocol_version: Unsigned, |one| {
                or_null(one.of.head.pin.as_ref().map(|pin| Value::Unsigned(pin.protocol.into())))
            }),
            column!(trace_id: nothing),
            column!(journal_size: Unsigned, |one| Value::Unsigned(one.of.head.entries.into())),
            column!(journal_commands_size: Unsigned, |one| Value::Unsigned(one.of.head.commands.into())),
            column!(created_at: Time, |one| some_time(one.of.origin.created_at)),
            column!(created_using_restate_version: nothing),
            column!(modified_at: Time, |one| some_time(one.of.head.modified_at)),
            column!(inboxed_at: Time, |one| one.since(Status::Inboxed)),
            column!(scheduled_at: Time, |one| match one.of.origin.due {
                0 => Value::Null,
                _ => some_time(one.of.origin.created_at),
            }),
            column!(scheduled_start_at: Time, |one| some_time(one.of.origin.due)),
            column!(running_at: Time, |one| some_time(one.of.head.running_at)),
            column!(completed_at: Time, |one| some_time(one.of.head.completed_at.unwrap_or_default())),
            column!(completion_retention: Duration, |one| Value::Duration(one.of.origin.rules.result_ms)),
            column!(journal_retention: Duration, |one| Value::Duration(one.of.origin.rules.journal_ms)),
            column!(suspended_waiting_for_completions: Numbers, |one| one.waits_for(|node| &node.completions)),
            column!(suspended_waiting_for_signals: Numbers, |one| one.waits_for(|node| &node.signals)),
            column!(suspended_waiting_future_json: nothing),
            $($last,)*
            column!(status: Text, $status),
            column!(completion_result: Text, |one| match one.ended() {
                Some(Ended::Value(_)) => text("success"),
                Some(Ended::Failure(_)) => text("failure"),
                None => Value::Null,
            }),
            column!(completion_failure: Text, |one| match one.ended() {
                Some(Ended::Failure(failure)) => Value::Text(format!("[{}] {}", failure.code, failure.message)),
                _ => Value::Null,
            }),
        ];
    };
}

macro_rules! attempts {
    ($then:ident, $($arguments:tt)*) => {
        $then! {
            $($arguments)* [
                column!(retry_count: Unsigned, |one| or_null(one.retry().map(|retry| Value::Unsigned(retry.failures.into())))),
                column!(last_start_at: Time, |one| some_time(one.of.head.attempt_at)),
                column!(next_retry_at: Time, |one| or_null(one.retry().map(|retry| some_time(retry.next_at)))),
                column!(last_attempt_deployment_id: Text, One::deployment),
                column!(last_attempt_server: Text, One::server),
                column!(last_failure: Text, |one| one.trouble(|trouble| Value::Text(format!("[{}] {}", trouble.code, trouble.message)))),
                column!(last_failure_error_code: Text, |one| one.trouble(|trouble| some_text(&trouble.family_code))),
                column!(last_failure_related_entry_index: Unsigned, |_| Value::Null),
                column!(last_failure_related_entry_name: Text, |one| one.trouble(|trouble| some_text(&trouble.command_name))),
                column!(last_failure_related_entry_type: Text, |one| one.trouble(related_type)),
                column!(last_failure_related_command_index: Unsigned, |one| {
                    one.trouble(|trouble| or_null(trouble.command.map(|index| Value::Unsigned(index.into()))))
                }),
                column!(last_failure_related_command_name: Text, |one| one.trouble(|trouble| some_text(&trouble.command_name))),
                column!(last_failure_related_command_type: Text, |one| one.trouble(related_type)),
                column!(last_awaiting_on_future_json: nothing)
            ]
        }
    };
}

macro_rules! state {
    ([$($attempts:expr),*]) => {
        pub(super) static STATE: [Col<One>; 17] = [
            column!(partition_key),
            column!(id),
            column!(in_flight: Bool, |one| Value::Bool(one.retry().is_none_or(|retry| retry.next_at == 0))),
            $($attempts,)*
        ];
    };
}

attempts! { durable, ALL, 51, [column!(id)], |one| text(shown_status(one)), }
durable! { STATUS, 38, [column!(partition_key), column!(id)], |one| text(stored_status(one)), [] }
attempts! { state, }

pub(super) static EVENTS: [Col<One>; 6] = [
    column!(partition_key),
    column!(id),
    column!(after_journal_entry_index: Unsigned, |one| Value::Unsigned(one.of.head.entries.saturating_sub(1).into())),
    column!(appended_at: Time, |one| one.trouble(|trouble| some_time(trouble.at))),
    column!(event_type: Text, |one| text(if one.of.head.status() == Status::Paused { "Paused" } else { "TransientError" })),
    column!(event_json: Text, |one| one.trouble(|trouble| Value::Text(trouble_json(trouble)))),
];

impl Identified for One {
    fn identify(&self, hash: &mut dyn Hasher) {
        hash.write(&self.of.id.0);
    }
}

impl One {
    fn key(&self) -> Value {
        match self.of.origin.target.kind() {
            TargetKind::Service => Value::Null,
            _ => text(&self.of.origin.target.key),
        }
    }

    /// Shared handlers are of objects and of workflows.
    fn service_kind(&self) -> &'static str {
        let target = &self.of.origin.target;
        let known = || self.book.newest(&target.service).map(|(_, service)| service.kind);
        super::services::kind(match target.kind() {
            TargetKind::Service => ServiceKind::Service,
            TargetKind::Exclusive => ServiceKind::VirtualObject,
            TargetKind::Workflow => ServiceKind::Workflow,
            TargetKind::Shared => known().unwrap_or(ServiceKind::VirtualObject),
        })
    }

    fn invoked_by(&self) -> &'static str {
        match &self.of.origin.source {
            None => "ingress",
            Some(source) if !source.restarted_from.is_empty() => "restart_as_new",
            Some(_) => "service",
        }
    }

    /// Of the invocation that called it.
    fn source(&self, read: fn(&machines::invocation::rows::Source) -> Value) -> Value {
        let source = self.of.origin.source.as_ref();
        or_null(source.filter(|source| !source.invocation.is_empty()).map(read))
    }

    fn deployment(&self) -> Value {
        or_null(self.of.head.pin.as_ref().map(|pin| some_text(&pin.deployment)))
    }

    fn server(&self) -> Value {
        let pin = self.of.head.pin.as_ref();
        let deployment = pin.and_then(|pin| self.book.deployments.get(&pin.deployment));
        or_null(
            deployment
                .and_then(|deployment| deployment.sdk.as_deref())
                .map(text),
        )
    }

    /// Since when it stands so.
    fn since(&self, status: Status) -> Value {
        if self.of.head.status() == status {
            some_time(self.of.head.modified_at)
        } else {
            Value::Null
        }
    }

    fn waits_for(&self, of: fn(&machines::invocation::awaiting::Node) -> &Vec<u32>) -> Value {
        let awaited = self
            .of
            .head
            .awaited
            .as_ref()
            .filter(|_| self.of.head.status() == Status::Suspended);
        or_null(awaited.map(|awaited| Value::Numbers(awaited.nodes.iter().flat_map(of).copied().collect())))
    }

    fn retry(&self) -> Option<&Retry> {
        self.of.head.retry.as_ref()
    }

    fn trouble(&self, read: fn(&Trouble) -> Value) -> Value {
        or_null(self.retry().and_then(|retry| retry.last.as_ref()).map(read))
    }

    fn ended(&self) -> Option<&Ended> {
        let head = &self.of.head;
        head.outcome
            .as_ref()
            .filter(|_| head.status().is_over())?
            .ended
            .as_ref()
    }
}

fn raw_id(raw: &[u8]) -> Value {
    or_null(Id::of(raw).map(|id| Value::Text(id::encode(&id))))
}

/// The generations' numbers do not meet, but for the output's, which is the same.
pub(super) fn command_name(kind: u32) -> Option<&'static str> {
    appended::command_name(kind).or_else(|| filled::command_name(kind))
}

fn related_type(trouble: &Trouble) -> Value {
    let name = command_name(trouble.command_kind).filter(|_| trouble.command.is_some());
    or_null(name.map(text))
}

fn shown_status(one: &One) -> &'static str {
    crate::admin::status(&one.of.head)
}

fn stored_status(one: &One) -> &'static str {
    match one.of.head.status() {
        Status::Unknown => "unknown",
        Status::Scheduled => "scheduled",
        Status::Inboxed => "inboxed",
        Status::Running => "invoked",
        Status::Suspended => "suspended",
        Status::Paused => "paused",
        Status::Completed => "completed",
    }
}

fn trouble_json(trouble: &Trouble) -> String {
    let mut json = json!({
        "error_code": trouble.code,
        "error_message": trouble.message,
        "error_stacktrace": trouble.details,
        "restate_doc_error_code": trouble.family_code,
        "last_failed_at": rfc3339(trouble.at),
    });
    if let Some(index) = trouble.command {
        json["related_command_index"] = index.into();
        json["related_command_name"] = trouble.command_name.clone().into();
        json["related_command_type"] = command_name(trouble.command_kind).into();
    }
    json.to_string()
}

async fn found(moment: &Moment, filter: &Filter, after: Option<&Bytes>) -> Result<(Vec<One>, Option<Bytes>)> {
    let (found, next) = walk::invocations(&*moment.survey, filter, after).await?;
    let one = |of| One {
        of,
        book: moment.book.clone(),
    };
    Ok((found.into_iter().map(one).collect(), next))
}

pub(super) async fn scan(
    moment: &Moment,
    columns: &'static [Col<One>],
    filter: &Filter,
    after: Option<&Bytes>,
) -> Result<Page> {
    let (found, next) = found(moment, filter, after).await?;
    Ok(page(found, columns, next))
}

/// Those that user code works on, or is to work on again.
pub(super) async fn running(moment: &Moment, filter: &Filter, after: Option<&Bytes>) -> Result<Page> {
    let (mut found, next) = found(moment, filter, after).await?;
    found.retain(|one| one.of.head.status() == Status::Running);
    Ok(page(found, &STATE, next))
}

/// Of each invocation the last attempt that failed: earlier ones are not kept.
pub(super) async fn events(moment: &Moment, filter: &Filter, after: Option<&Bytes>) -> Result<Page> {
    let (mut found, next) = found(moment, filter, after).await?;
    found.retain(|one| one.retry().is_some_and(|retry| retry.last.is_some()));
    Ok(page(found, &EVENTS, next))
}
