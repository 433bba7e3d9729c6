//! One question on one connection, within limits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use base::{Error, Result, codes, limits};
use bytes::Bytes;
use parking_lot::Mutex;
use ports::query::{Filter, Kind, Page, Table, View};
use rusqlite::config::DbConfig;
use rusqlite::ffi::ErrorCode;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use tokio::runtime::Handle;

use crate::answer::Answer;
use crate::dialect::{self, Names, Translated};
use crate::table::{self, Current, Reading, Source};
use crate::{catalog, functions};

/// Steps of SQLite's machine between two looks at the clock: well below a millisecond.
const STEPS: i32 = 10_000;

pub(crate) struct Connection {
    sqlite: rusqlite::Connection,
    current: Current,
    tables: Arc<Vec<Table>>,
    names: Names,
}

impl Connection {
    pub(crate) fn open(tables: Vec<Table>) -> Result<Connection> {
        let current = Current::default();
        let tables = Arc::new(tables);
        let sqlite = opened(&tables, &current)
            .map_err(|cause| Error::new(codes::INTERNAL, "SQLite cannot be opened").because(cause))?;
        let names = Names::of(&tables);
        Ok(Connection {
            sqlite,
            current,
            tables,
            names,
        })
    }

    pub(crate) fn ask(&mut self, query: &str, view: Box<dyn View>, stop: Arc<AtomicBool>) -> Result<Answer> {
        let translated = dialect::translate(query, &self.names, view.now())?;
        let end = Instant::now() + limits::QUERY_TIME_MAX;
        let late = Arc::new(AtomicBool::new(false));
        let said_late = late.clone();
        let over = move || {
            if Instant::now() > end {
                said_late.store(true, Ordering::Relaxed);
            }
            said_late.load(Ordering::Relaxed) || stop.load(Ordering::Relaxed)
        };
        let reading = Arc::new(Reading {
            view: Box::new(WithCatalog {
                view,
                tables: self.tables.clone(),
            }),
            runtime: Handle::current(),
            stop: Box::new(over.clone()),
            fault: Mutex::default(),
        });
        *self.current.lock() = Some(reading.clone());
        let answered = self.run(&translated, over);
        // The snapshot goes with it.
        *self.current.lock() = None;
        answered.map_err(|failed| {
            let fault = reading.fault.lock().take();
            failed.told(fault, late.load(Ordering::Relaxed))
        })
    }

    fn run(
        &mut self,
        translated: &Translated,
        over: impl Fn() -> bool + Send + 'static,
    ) -> std::result::Result<Answer, Failed> {
        self.sqlite.progress_handler(STEPS, Some(over))?;
        let mut statement = self.sqlite.prepare(&translated.sql)?;
        if !statement.readonly() {
            return Err(Failed::Ours(dialect::invalid("only questions are answered here")));
        }
        let kind = |(place, column): (usize, &rusqlite::Column<'_>)| {
            let declared = column.decl_type().and_then(table::kind_of);
            let listed = translated.kinds.get(place).copied().flatten();
            let named = || translated.by_name.get(column.name()).copied();
            (column.name().to_owned(), declared.or(listed).or_else(named))
        };
        let columns: Vec<_> = statement.columns().collect();
        let mut answer = Answer::new(columns.iter().enumerate().map(kind));
        drop(columns);
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            for column in 0..answer.columns() {
                answer.put(column, row.get_ref(column)?).map_err(Failed::Ours)?;
            }
            answer.end_row().map_err(Failed::Ours)?;
        }
        Ok(answer)
    }
}

enum Failed {
    Sqlite(rusqlite::Error),
    Ours(Error),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Failed {
        Failed::Sqlite(error)
    }
}

impl Failed {
    /// What the caller is told. `fault`: what the tables said.
    fn told(self, fault: Option<Error>, late: bool) -> Error {
        let error = match self {
            Failed::Ours(error) => return error,
            Failed::Sqlite(error) => error,
        };
        if let Some(fault) = fault {
            return fault;
        }
        if late {
            let message = format!(
                "the question took longer than {} s: narrow it down by id, by service and key, or by persistence id and entity",
                limits::QUERY_TIME_MAX.as_secs()
            );
            return Error::new(codes::DEADLINE_EXCEEDED, message);
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::OutOfMemory) => {
                let message = format!(
                    "the question needs more than {} MiB for what it sorts, groups or joins: narrow it down",
                    limits::QUERY_HEAP_BYTES_MAX >> 20
                );
                Error::new(codes::QUERY_TOO_LARGE, message)
            }
            Some(ErrorCode::OperationInterrupted) => {
                Error::new(codes::DEADLINE_EXCEEDED, "nobody waits any more")
            }
            Some(ErrorCode::AuthorizationForStatementDenied) => {
                dialect::invalid("only the tables that are listed by SHOW TABLES can be read here")
            }
            _ => dialect::invalid(text_of(&error)),
        }
    }
}

/// Without the question's text, which the caller has.
fn text_of(error: &rusqlite::Error) -> String {
    let text = match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(text)) => text.clone(),
        other => other.to_string(),
    };
    // Advice about quotes that are ours.
    let advice = text.find(" - should this be");
    advice.map_or(text.clone(), |advice| text[..advice].to_owned())
}

fn opened(tables: &[Table], current: &Current) -> rusqlite::Result<rusqlite::Connection> {
    let mut sqlite = rusqlite::Connection::open_in_memory()?;
    sqlite.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    let value_bytes = i32::try_from(limits::QUERY_ANSWER_BYTES_MAX).unwrap_or(i32::MAX);
    sqlite.set_limit(Limit::SQLITE_LIMIT_LENGTH, value_bytes)?;
    sqlite.set_limit(Limit::SQLITE_LIMIT_ATTACHED, 0)?;
    sqlite.execute_batch(&format!(
        "PRAGMA hard_heap_limit = {}; PRAGMA temp_store = MEMORY; PRAGMA case_sensitive_like = ON; PRAGMA query_only = ON;",
        limits::QUERY_HEAP_BYTES_MAX
    ))?;
    functions::add(&sqlite)?;
    let all = tables.iter().cloned().chain(catalog::tables());
    for (place, table) in all.enumerate() {
        let source = Source {
            place,
            table: Arc::new(table),
            current: current.clone(),
        };
        // Connected now, for SQLite declares a table the first time that it is named, and nothing may be declared later.
        let name = source.table.name;
        table::add(&sqlite, source)?;
        drop(sqlite.prepare(&format!("SELECT 1 FROM \"{name}\""))?);
    }
    sqlite.authorizer(Some(|context: AuthContext<'_>| match context.action {
        AuthAction::Select
        | AuthAction::Read { .. }
        | AuthAction::Function { .. }
        | AuthAction::Recursive => Authorization::Allow,
        _ => Authorization::Deny,
    }))?;
    Ok(sqlite)
}

impl Names {
    fn of(tables: &[Table]) -> Names {
        let mut names = Names::default();
        for table in tables.iter().cloned().chain(catalog::tables()) {
            names.tables.insert(table.name.to_owned());
            let columns = table
                .columns
                .iter()
                .map(|column| (column.name.to_owned(), column.kind));
            names.columns.extend::<Vec<(String, Kind)>>(columns.collect());
        }
        names
    }
}

/// The tables, and those about them behind.
struct WithCatalog {
    view: Box<dyn View>,
    tables: Arc<Vec<Table>>,
}

#[async_trait]
impl View for WithCatalog {
    async fn scan(&self, table: usize, filter: &Filter, after: Option<&Bytes>) -> Result<Page> {
        match table.checked_sub(self.tables.len()) {
            Some(which) => Ok(catalog::page(&self.tables, which)),
            None => self.view.scan(table, filter, after).await,
        }
    }

    fn now(&self) -> u64 {
        self.view.now()
    }
}
