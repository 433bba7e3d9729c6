//! What can be asked about in SQL: the tables that Restate's tools know, read from one snapshot of the engine.
//!
//! | file | tables |
//! |---|---|
//! | `invocations` | `sys_invocation`, `sys_invocation_status`, `sys_invocation_state`, `sys_journal_events` |
//! | `journal` | `sys_journal` |
//! | `objects` | `state`, `sys_promise`, `sys_inbox`, `sys_keyed_service_status` |
//! | `services` | `sys_deployment`, `sys_service` |
//! | `walk` | how invocations and objects are found |

use std::sync::Arc;

use async_trait::async_trait;
use base::Result;
use bytes::Bytes;
use machines::Engine;
use machines::engine::Survey;
use ports::query::listed::{self, Col, Identified, page};
use ports::query::{Column, Filter, Narrows, Page, Table, Tables, Value, View};

use crate::registry::{Book, Registry};

mod invocations;
mod journal;
mod objects;
mod services;
mod walk;

/// The tables. A clone shares everything with its original.
#[derive(Clone)]
pub struct Introspection {
    engine: Arc<dyn Engine>,
    registry: Registry,
}

impl Introspection {
    pub(crate) fn new(engine: Arc<dyn Engine>, registry: Registry) -> Introspection {
        Introspection { engine, registry }
    }
}

/// In this order everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Invocation,
    InvocationStatus,
    InvocationState,
    Journal,
    JournalEvents,
    State,
    Inbox,
    KeyedServiceStatus,
    Promise,
    Service,
    Deployment,
}

const NAMES: [(Name, &str); 11] = [
    (Name::Invocation, "sys_invocation"),
    (Name::InvocationStatus, "sys_invocation_status"),
    (Name::InvocationState, "sys_invocation_state"),
    (Name::Journal, "sys_journal"),
    (Name::JournalEvents, "sys_journal_events"),
    (Name::State, "state"),
    (Name::Inbox, "sys_inbox"),
    (Name::KeyedServiceStatus, "sys_keyed_service_status"),
    (Name::Promise, "sys_promise"),
    (Name::Service, "sys_service"),
    (Name::Deployment, "sys_deployment"),
];

impl Name {
    fn columns(self) -> Vec<Column> {
        match self {
            Name::Invocation => columns(&invocations::ALL),
            Name::InvocationStatus => columns(&invocations::STATUS),
            Name::InvocationState => columns(&invocations::STATE),
            Name::Journal => columns(&journal::COLUMNS),
            Name::JournalEvents => columns(&invocations::EVENTS),
            Name::State => columns(&objects::STATE),
            Name::Inbox => columns(&objects::INBOX),
            Name::KeyedServiceStatus => columns(&objects::HOLDERS),
            Name::Promise => columns(&objects::PROMISES),
            Name::Service => columns(&services::SERVICES),
            Name::Deployment => columns(&services::DEPLOYMENTS),
        }
    }
}

impl Tables for Introspection {
    fn tables(&self) -> Vec<Table> {
        let table = |(of, name): &(Name, &'static str)| Table {
            name,
            columns: of.columns(),
        };
        NAMES.iter().map(table).collect()
    }

    fn open(&self) -> Result<Box<dyn View>> {
        Ok(Box::new(Moment {
            survey: self.engine.survey()?,
            book: self.registry.book(),
            now: self.engine.now().0,
        }))
    }
}

struct Moment {
    survey: Box<dyn Survey>,
    book: Arc<Book>,
    now: u64,
}

#[async_trait]
impl View for Moment {
    async fn scan(&self, table: usize, filter: &Filter, after: Option<&Bytes>) -> Result<Page> {
        let Some((name, _)) = NAMES.get(table) else {
            return Ok(Page::default());
        };
        match name {
            Name::Invocation => invocations::scan(self, &invocations::ALL, filter, after).await,
            Name::InvocationStatus => invocations::scan(self, &invocations::STATUS, filter, after).await,
            Name::InvocationState => invocations::running(self, filter, after).await,
            Name::JournalEvents => invocations::events(self, filter, after).await,
            Name::Journal => journal::scan(self, filter, after).await,
            Name::State => objects::state(self, filter, after).await,
            Name::Inbox => objects::inbox(self, filter, after).await,
            Name::KeyedServiceStatus => objects::holders(self, filter, after).await,
            Name::Promise => objects::promises(self, filter, after).await,
            Name::Service => Ok(services::services(&self.book)),
            Name::Deployment => Ok(services::deployments(&self.book)),
        }
    }

    fn now(&self) -> u64 {
        self.now
    }
}

fn columns<R>(columns: &[Col<R>]) -> Vec<Column> {
    listed::columns(columns, |name| match name {
        "id" => Some(Narrows::Id),
        "target_service_name" | "service_name" => Some(Narrows::Service),
        "target_service_key" | "service_key" => Some(Narrows::Key),
        _ => None,
    })
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Nothing if it is empty.
fn some_text(of: &str) -> Value {
    if of.is_empty() { Value::Null } else { text(of) }
}

/// Nothing if it is 0.
fn some_time(millis: u64) -> Value {
    if millis == 0 {
        Value::Null
    } else {
        Value::Time(millis)
    }
}

fn or_null(value: Option<Value>) -> Value {
    value.unwrap_or(Value::Null)
}
