//! Tables with a few rows, that note what they are asked for.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use ports::query::{Column, Filter, Kind, Narrows, Page, Row, Table, Tables, Value, View};

/// 2026-11-22T21:57:29.510Z
const NOW: u64 = 1_795_384_649_510;

#[derive(Clone, Default)]
pub(super) struct Fake {
    pub(super) scans: Arc<Mutex<Vec<(usize, Filter)>>>,
    /// Rows of the last table, which has any number of them.
    pub(super) many: usize,
}

const COLUMNS: [(&str, &[(&str, Kind)]); 8] = [
    (
        "sys_invocation",
        &[
            ("id", Kind::Text),
            ("target", Kind::Text),
            ("target_service_name", Kind::Text),
            ("target_service_key", Kind::Text),
            ("target_handler_name", Kind::Text),
            ("target_service_ty", Kind::Text),
            ("idempotency_key", Kind::Text),
            ("status", Kind::Text),
            ("created_at", Kind::Time),
            ("modified_at", Kind::Time),
            ("pinned_deployment_id", Kind::Text),
            ("retry_count", Kind::Unsigned),
            ("last_failure", Kind::Text),
            ("last_failure_related_entry_index", Kind::Unsigned),
            ("last_failure_related_entry_name", Kind::Text),
            ("last_failure_related_entry_type", Kind::Text),
            ("last_attempt_deployment_id", Kind::Text),
            ("last_attempt_server", Kind::Text),
            ("next_retry_at", Kind::Time),
            ("last_start_at", Kind::Time),
            ("invoked_by_id", Kind::Text),
            ("invoked_by_target", Kind::Text),
            ("trace_id", Kind::Text),
            ("completion_result", Kind::Text),
            ("completion_failure", Kind::Text),
            ("completion_retention", Kind::Duration),
            ("suspended_waiting_for_completions", Kind::Numbers),
        ],
    ),
    (
        "sys_invocation_status",
        &[
            ("partition_key", Kind::Unsigned),
            ("id", Kind::Text),
            ("target", Kind::Text),
            ("target_service_name", Kind::Text),
            ("target_service_key", Kind::Text),
            ("target_handler_name", Kind::Text),
            ("status", Kind::Text),
            ("created_at", Kind::Time),
            ("pinned_deployment_id", Kind::Text),
        ],
    ),
    (
        "sys_journal",
        &[
            ("id", Kind::Text),
            ("index", Kind::Unsigned),
            ("entry_type", Kind::Text),
            ("name", Kind::Text),
            ("completed", Kind::Bool),
            ("invoked_id", Kind::Text),
            ("invoked_target", Kind::Text),
            ("sleep_wakeup_at", Kind::Time),
            ("promise_name", Kind::Text),
            ("version", Kind::Unsigned),
            ("entry_json", Kind::Text),
            ("appended_at", Kind::Time),
        ],
    ),
    (
        "state",
        &[
            ("service_name", Kind::Text),
            ("service_key", Kind::Text),
            ("key", Kind::Text),
            ("value", Kind::Bytes),
        ],
    ),
    (
        "sys_inbox",
        &[
            ("service_name", Kind::Text),
            ("service_key", Kind::Text),
            ("id", Kind::Text),
        ],
    ),
    ("sys_deployment", &[("id", Kind::Text), ("services", Kind::Texts)]),
    (
        "sys_service",
        &[("name", Kind::Text), ("ty", Kind::Text), ("public", Kind::Bool)],
    ),
    ("many", &[("number", Kind::Integer), ("text", Kind::Text)]),
];

fn narrows(name: &str) -> Option<Narrows> {
    match name {
        "id" => Some(Narrows::Id),
        "target_service_name" | "service_name" => Some(Narrows::Service),
        "target_service_key" | "service_key" => Some(Narrows::Key),
        _ => None,
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// By the columns' names; what is not there is null.
struct Named(usize, u64, Vec<(&'static str, Value)>);

impl Row for Named {
    fn value(&self, column: usize) -> Value {
        let name = COLUMNS[self.0].1[column].0;
        let found = self.2.iter().find(|(other, _)| *other == name);
        found.map_or(Value::Null, |(_, value)| value.clone())
    }

    fn number(&self) -> u64 {
        self.1
    }
}

fn rows(table: usize) -> Vec<Vec<(&'static str, Value)>> {
    let invocation = |id: &str, key: &str, handler: &str, status: &str, created: u64| {
        vec![
            ("partition_key", Value::Unsigned(u64::MAX)),
            ("id", text(id)),
            ("target", text(&format!("Counter/{key}/{handler}"))),
            ("target_service_name", text("Counter")),
            ("target_service_key", text(key)),
            ("target_handler_name", text(handler)),
            ("target_service_ty", text("virtual_object")),
            ("status", text(status)),
            ("created_at", Value::Time(created)),
            ("retry_count", Value::Unsigned(2)),
            ("pinned_deployment_id", text("dp_1")),
            ("completion_retention", Value::Duration(86_400_000)),
            ("suspended_waiting_for_completions", Value::Numbers(vec![1, 2])),
        ]
    };
    let entry = |index, kind: &str| {
        vec![
            ("id", text("inv_1")),
            ("index", Value::Unsigned(index)),
            ("entry_type", text(kind)),
            ("completed", Value::Bool(true)),
        ]
    };
    match table {
        0 => vec![
            invocation("inv_2", "a", "add", "running", 2_000),
            invocation("inv_1", "a", "add", "running", 1_000),
            invocation("inv_3", "b", "get", "completed", 3_000),
        ],
        1 => vec![
            invocation("inv_2", "a", "add", "inboxed", 2_000),
            invocation("inv_1", "a", "add", "inboxed", 1_000),
        ],
        2 => vec![entry(0, "Command: Input"), entry(1, "Command: Output")],
        3 => vec![vec![
            ("service_name", text("Counter")),
            ("service_key", text("a")),
            ("key", text("count")),
            ("value", Value::Bytes(Bytes::from_static(b"10"))),
        ]],
        5 => vec![vec![
            ("id", text("dp_1")),
            ("services", Value::Texts(vec!["Counter".into()])),
        ]],
        6 => vec![vec![
            ("name", text("Counter")),
            ("ty", text("virtual_object")),
            ("public", Value::Bool(true)),
        ]],
        _ => vec![],
    }
}

impl Tables for Fake {
    fn tables(&self) -> Vec<Table> {
        let column = |(name, kind): &(&'static str, Kind)| Column {
            name,
            kind: *kind,
            narrows: narrows(name),
        };
        let table = |(name, columns): &(&'static str, &[(&'static str, Kind)])| Table {
            name,
            columns: columns.iter().map(column).collect(),
        };
        COLUMNS.iter().map(table).collect()
    }

    fn open(&self) -> base::Result<Box<dyn View>> {
        Ok(Box::new(self.clone()))
    }
}

#[async_trait]
impl View for Fake {
    /// One row at a time, and pages without any in between.
    async fn scan(&self, table: usize, filter: &Filter, after: Option<&Bytes>) -> base::Result<Page> {
        if after.is_none() {
            self.scans.lock().push((table, filter.clone()));
        }
        let place = after.map_or(0, |after| {
            std::str::from_utf8(after)
                .expect("a text")
                .parse::<usize>()
                .expect("a number")
        });
        let next = |more: bool| more.then(|| Bytes::from((place + 1).to_string()));
        if COLUMNS[table].0 == "many" {
            let row = |number| {
                vec![
                    ("number", Value::Integer(number as i64)),
                    ("text", Value::Text("x".repeat(1_000))),
                ]
            };
            let numbers = place * 1_000..self.many.min((place + 1) * 1_000);
            let rows =
                numbers.map(|number| Box::new(Named(table, number as u64, row(number))) as Box<dyn Row>);
            return Ok(Page {
                rows: rows.collect(),
                next: next((place + 1) * 1_000 < self.many),
            });
        }
        let rows = rows(table);
        let row = rows.get(place / 2).filter(|_| place % 2 == 1);
        let row = row.map(|row| Box::new(Named(table, place as u64, row.clone())) as Box<dyn Row>);
        Ok(Page {
            rows: row.into_iter().collect(),
            next: next(place / 2 < rows.len()),
        })
    }

    fn now(&self) -> u64 {
        NOW
    }
}
