//! SQL over tables of somebody else: SQLite's engine over virtual tables, DataFusion's dialect in front, JSON or Arrow behind.
//!
//! | file | what |
//! |---|---|
//! | `dialect` | their SQL becomes SQLite's |
//! | `several` | tables of several families as one list |
//! | `table` | tables of the outside as SQLite sees them |
//! | `functions` | functions that SQLite has not |
//! | `catalog` | `information_schema` |
//! | `connection` | one question on one connection, within limits |
//! | `answer` | rows as JSON and as Arrow's stream |
//!
//! Why SQLite: docs/adr/019-sql.md. Nothing is stored here: a connection has no database, only the tables, and can only read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base::{Error, Result, codes, limits};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use ports::query::{Form, Sql, Tables};
use tokio::sync::Semaphore;

mod answer;
mod catalog;
mod connection;
mod dialect;
mod functions;
mod several;
mod table;

#[cfg(test)]
mod tests;

pub use several::Several;

use connection::Connection;

/// Answers questions about those tables. A clone shares everything with its original.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    tables: Arc<dyn Tables>,
    turns: Arc<Semaphore>,
    /// Connections that nobody uses.
    idle: Mutex<Vec<Connection>>,
}

impl Engine {
    pub fn over(tables: Arc<dyn Tables>) -> Engine {
        Engine(Arc::new(Shared {
            tables,
            turns: Arc::new(Semaphore::new(limits::QUERIES_MAX)),
            idle: Mutex::default(),
        }))
    }

    async fn answer(self, query: String, form: Form) -> Result<Bytes> {
        let turn = tokio::time::timeout(limits::QUERY_WAIT, self.0.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            let message = format!(
                "{} questions are being answered, and none came to its end in time: ask again later",
                limits::QUERIES_MAX
            );
            return Err(Error::new(codes::TOO_MANY_REQUESTS, message));
        };
        let given_up = Dropped::default();
        let stop = given_up.0.clone();
        let work = move || {
            let _turn = turn;
            self.0.ask(&query, form, stop)
        };
        let worked = tokio::task::spawn_blocking(work).await;
        worked.map_err(|cause| Error::new(codes::INTERNAL, "answering a question panicked").because(cause))?
    }
}

impl Sql for Engine {
    fn ask(&self, query: String, form: Form) -> BoxFuture<'static, Result<Bytes>> {
        self.clone().answer(query, form).boxed()
    }
}

impl Shared {
    /// Takes its time, on a thread that may.
    fn ask(&self, query: &str, form: Form, stop: Arc<AtomicBool>) -> Result<Bytes> {
        let idle = self.idle.lock().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(self.tables.tables())?,
        };
        let view = self.tables.open()?;
        let answer = connection.ask(query, view, stop)?;
        // One whose question went wrong is not used again: it is cheap to open another.
        self.idle.lock().push(connection);
        match form {
            Form::Json => Ok(answer.json()),
            Form::Arrow => answer.arrow(),
        }
    }
}

/// Says so when it is dropped.
#[derive(Default)]
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
