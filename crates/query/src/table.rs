//! Tables of the outside as SQLite's virtual tables: rows come page by page, values when they are asked for.
//!
//! The only `unsafe` of ours: two traits of the binding must be implemented with the word, because SQLite sees their structs as
//! its own. What they ask for is that the structs are laid out like C's with SQLite's part first.
#![allow(unsafe_code, reason = "the binding's traits ask for the word; see above")]

use std::borrow::Cow;
use std::ffi::{CStr, CString, c_int};
use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use ports::query::{Column, Filter, Kind, Narrows, Page, Table, Value, View};
use rusqlite::types::Value as Stored;
use rusqlite::vtab::{
    Context, Filters, IndexConstraintOp, IndexInfo, Module, VTab, VTabConnection, VTabCursor, sqlite3_vtab,
    sqlite3_vtab_cursor,
};
use rusqlite::{Connection, Error, Result};
use tokio::runtime::Handle;

/// What a running question reads: set before, taken away after it.
pub(crate) type Current = Arc<Mutex<Option<Arc<Reading>>>>;

pub(crate) struct Reading {
    pub(crate) view: Box<dyn View>,
    pub(crate) runtime: Handle,
    /// Whether the question is to be broken off.
    pub(crate) stop: Box<dyn Fn() -> bool + Send + Sync>,
    /// What went wrong outside of SQLite.
    pub(crate) fault: Mutex<Option<base::Error>>,
}

/// A table that a connection has.
#[derive(Clone)]
pub(crate) struct Source {
    pub(crate) place: usize,
    pub(crate) table: Arc<Table>,
    pub(crate) current: Current,
}

/// How a kind of column is declared, so that it is known again in an answer.
const DECLARED: [(Kind, &str); 10] = [
    (Kind::Text, "TEXT"),
    (Kind::Bool, "BOOLEAN"),
    (Kind::Integer, "BIGINT"),
    (Kind::Unsigned, "UBIGINT"),
    (Kind::Float, "DOUBLE"),
    (Kind::Time, "TIMESTAMP"),
    (Kind::Duration, "DURATION"),
    (Kind::Bytes, "BLOB"),
    (Kind::Numbers, "NUMBERS"),
    (Kind::Texts, "TEXTS"),
];

pub(crate) fn kind_of(declared: &str) -> Option<Kind> {
    let found = DECLARED.iter().find(|(_, name)| *name == declared);
    found.map(|(kind, _)| *kind)
}

fn declared(kind: Kind) -> &'static str {
    let found = DECLARED.iter().find(|(other, _)| *other == kind);
    found.map_or("TEXT", |(_, name)| name)
}

pub(crate) fn add(connection: &Connection, source: Source) -> Result<()> {
    const MODULE: Module<'_, Virtual<'_>> = Module::eponymous_only_module();
    connection.create_module(source.table.name, &MODULE, Some(source))
}

#[repr(C)]
struct Virtual<'v> {
    /// SQLite's part, first.
    base: sqlite3_vtab,
    source: Source,
    lives: PhantomData<&'v ()>,
}

/// Which of the filters an index number says are given, lowest bit first.
const NARROWS: [Narrows; 3] = [Narrows::Id, Narrows::Service, Narrows::Key];
/// What a scan is said to cost, in rows: of all, and divided by this for each filter.
const ROWS: f64 = 1_000_000.0;
const NARROWED: [f64; 3] = [100_000.0, 10.0, 1_000.0];

unsafe impl<'v> VTab<'v> for Virtual<'v> {
    type Aux = Source;
    type Cursor = Cursor<'v>;

    fn connect(
        _connection: &mut VTabConnection,
        source: Option<&Source>,
        _module: &[u8],
        _database: &[u8],
        _table: &[u8],
        _arguments: &[&[u8]],
    ) -> Result<(Cow<'static, CStr>, Self)> {
        let source = source.ok_or_else(|| Error::ModuleError("a table without a source".into()))?;
        let column = |column: &Column| format!("\"{}\" {}", column.name, declared(column.kind));
        let columns: Vec<_> = source.table.columns.iter().map(column).collect();
        let schema = CString::new(format!("CREATE TABLE x({})", columns.join(", ")))?;
        let table = Virtual {
            base: sqlite3_vtab::default(),
            source: source.clone(),
            lives: PhantomData,
        };
        Ok((Cow::Owned(schema), table))
    }

    fn best_index(&self, info: &mut IndexInfo) -> Result<bool> {
        let mut used: [Option<usize>; 3] = [None; 3];
        for (place, constraint) in info.constraints().enumerate() {
            let column = usize::try_from(constraint.column()).ok();
            let narrows = column.and_then(|column| self.source.table.columns.get(column)?.narrows);
            let which = narrows.and_then(|narrows| NARROWS.iter().position(|other| *other == narrows));
            let equals = constraint.operator() == IndexConstraintOp::SQLITE_INDEX_CONSTRAINT_EQ;
            if let (Some(which), true, true) = (which, equals, constraint.is_usable()) {
                used[which] = Some(place);
            }
        }
        let (mut number, mut cost, mut argument) = (0, ROWS, 0);
        for (which, place) in used.into_iter().enumerate() {
            if let Some(place) = place {
                argument += 1;
                info.constraint_usage(place).set_argv_index(argument);
                number |= 1 << which;
                cost /= NARROWED[which];
            }
        }
        info.set_idx_num(number);
        info.set_estimated_cost(cost);
        info.set_estimated_rows(cost.max(1.0) as i64);
        Ok(true)
    }

    fn open(&'v mut self) -> Result<Cursor<'v>> {
        Ok(Cursor {
            base: sqlite3_vtab_cursor::default(),
            source: self.source.clone(),
            filter: Filter::default(),
            page: Page::default(),
            place: 0,
            lives: PhantomData,
        })
    }
}

#[repr(C)]
struct Cursor<'v> {
    /// SQLite's part, first.
    base: sqlite3_vtab_cursor,
    source: Source,
    filter: Filter,
    page: Page,
    /// In the page.
    place: usize,
    lives: PhantomData<&'v ()>,
}

impl Cursor<'_> {
    /// Until there is a row, or the end.
    fn load(&mut self, mut after: Option<Bytes>) -> Result<()> {
        let reading = self.source.current.lock().clone();
        let reading = reading.ok_or_else(|| Error::ModuleError("nobody asks".into()))?;
        loop {
            if (reading.stop)() {
                return Err(Error::ModuleError("interrupted".into()));
            }
            let scan = reading.view.scan(self.source.place, &self.filter, after.as_ref());
            match reading.runtime.block_on(scan) {
                Ok(page) => self.page = page,
                Err(error) => {
                    let message = error.to_string();
                    *reading.fault.lock() = Some(error);
                    return Err(Error::ModuleError(message));
                }
            }
            self.place = 0;
            if !self.page.rows.is_empty() || self.page.next.is_none() {
                return Ok(());
            }
            after = self.page.next.take();
        }
    }
}

unsafe impl VTabCursor for Cursor<'_> {
    fn filter(&mut self, number: c_int, _text: Option<&str>, values: &Filters<'_>) -> Result<()> {
        self.filter = Filter::default();
        let given = NARROWS
            .iter()
            .enumerate()
            .filter(|(which, _)| number & (1 << which) != 0);
        for (argument, (_, narrows)) in given.enumerate() {
            let text = match values.get::<Stored>(argument)? {
                Stored::Text(text) => text,
                // As SQLite compares it with a text.
                Stored::Integer(number) => number.to_string(),
                // No row equals nothing.
                Stored::Null => {
                    self.page = Page::default();
                    self.place = 0;
                    return Ok(());
                }
                Stored::Real(_) | Stored::Blob(_) => continue,
            };
            match narrows {
                Narrows::Id => self.filter.id = Some(text),
                Narrows::Service => self.filter.service = Some(text),
                Narrows::Key => self.filter.key = Some(text),
            }
        }
        self.load(None)
    }

    fn next(&mut self) -> Result<()> {
        self.place += 1;
        if self.place >= self.page.rows.len()
            && let Some(next) = self.page.next.take()
        {
            self.load(Some(next))?;
        }
        Ok(())
    }

    fn eof(&self) -> bool {
        self.place >= self.page.rows.len()
    }

    fn column(&self, context: &mut Context, column: c_int) -> Result<()> {
        let row = self.page.rows.get(self.place);
        let value = match (row, usize::try_from(column)) {
            (Some(row), Ok(column)) => row.value(column),
            _ => Value::Null,
        };
        context.set_result(stored(value))
    }

    fn rowid(&self) -> Result<i64> {
        let row = self.page.rows.get(self.place);
        Ok(row.map_or(0, |row| row.number().cast_signed()))
    }
}

/// How SQLite holds a value. Lists are JSON.
fn stored(value: Value) -> Stored {
    match value {
        Value::Null => Stored::Null,
        Value::Text(text) => Stored::Text(text),
        Value::Bool(truth) => Stored::Integer(truth.into()),
        Value::Integer(number) => Stored::Integer(number),
        Value::Unsigned(number) | Value::Time(number) | Value::Duration(number) => {
            Stored::Integer(number.cast_signed())
        }
        Value::Float(number) => Stored::Real(number),
        Value::Bytes(bytes) => Stored::Blob(bytes.into()),
        Value::Numbers(numbers) => Stored::Text(format!("{numbers:?}")),
        Value::Texts(texts) => Stored::Text(serde_json::Value::from(texts).to_string()),
    }
}
