//! Questions in SQL, read-only: [`Tables`] is what is asked about, [`Sql`] who answers. A family has the one, an engine is the
//! other, and neither knows the other's kind. How a family writes its tables down is in [`listed`].

use async_trait::async_trait;
use base::Result;
use bytes::Bytes;
use futures::future::BoxFuture;

pub mod listed;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Bool,
    /// 64 bits, signed.
    Integer,
    /// 64 bits, unsigned.
    Unsigned,
    Float,
    /// A time, milliseconds since the Unix epoch.
    Time,
    /// A duration, milliseconds.
    Duration,
    Bytes,
    /// A list of numbers, unsigned.
    Numbers,
    /// A list of texts.
    Texts,
}

/// A column's value in one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Text(String),
    Bool(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Time(u64),
    Duration(u64),
    Bytes(Bytes),
    Numbers(Vec<u32>),
    Texts(Vec<String>),
}

/// By what a scan can be narrowed down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrows {
    /// What is the only one of its name.
    Id,
    /// What has many keys: a service, or the persistence id that entities are kept under.
    Service,
    /// What is the only one of its name in a service, or below a persistence id.
    Key,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    pub narrows: Option<Narrows>,
}

#[derive(Clone, Debug)]
pub struct Table {
    pub name: &'static str,
    pub columns: Vec<Column>,
}

/// What the rows that are wanted have in the columns that narrow a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub id: Option<String>,
    pub service: Option<String>,
    pub key: Option<String>,
}

/// One row. Values are made when they are asked for: most questions are about a few columns.
pub trait Row: Send {
    /// Of the column at that place of its table.
    fn value(&self, column: usize) -> Value;

    /// The same for this row in every scan of one view, and another one for every other row of its table, but for one chance in
    /// 2^64: a condition with OR may be answered by several scans, and rows that come in more than one count once.
    fn number(&self) -> u64;
}

/// Some rows, in the table's own order. `next`: where to go on, which only the view understands; `None`: these were the last.
#[derive(Default)]
pub struct Page {
    pub rows: Vec<Box<dyn Row>>,
    pub next: Option<Bytes>,
}

/// Tables that can be asked about.
pub trait Tables: Send + Sync {
    /// Always the same. Names and columns are lower case; a column of one name has one kind in all of them.
    fn tables(&self) -> Vec<Table>;

    /// All tables at one moment.
    fn open(&self) -> Result<Box<dyn View>>;
}

/// All tables at one moment. It is dropped as soon as the question is answered.
///
/// What MUST hold:
/// - every row of the table that fits the filter comes once, over all pages; rows that do not fit may come too;
/// - a page is a bounded piece of work and of memory, even if it has no row: then it has a `next`.
///
/// Errors: what the store says.
#[async_trait]
pub trait View: Send + Sync {
    /// `table`: its place in [`Tables::tables`].
    async fn scan(&self, table: usize, filter: &Filter, after: Option<&Bytes>) -> Result<Page>;

    /// Milliseconds since the Unix epoch.
    fn now(&self) -> u64;
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `{"rows":[{...}]}`: columns without a value are left out, bytes are hexadecimal, times are RFC 3339.
    Json,
    /// A stream of Arrow's IPC format.
    Arrow,
}

/// Answers one question.
///
/// What MUST hold: nothing can be changed by a question; one that takes too long, too much memory or has too large an answer
/// is broken off; dropping the future breaks it off too.
///
/// Errors: `QUERY_INVALID` says what is wrong with the text; `QUERY_TOO_LARGE`, `DEADLINE_EXCEEDED` and `TOO_MANY_REQUESTS` for
/// the limits; what the tables say.
pub trait Sql: Send + Sync {
    fn ask(&self, query: String, form: Form) -> BoxFuture<'static, Result<Bytes>>;
}
