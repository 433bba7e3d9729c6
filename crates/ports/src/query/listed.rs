//! Tables whose columns are written down as a list, each with how it is read from a row.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;

use bytes::Bytes;

use super::{Column, Kind, Narrows, Page, Row, Value};

/// A column, and how it is read from a row.
pub struct Col<R>(pub &'static str, pub Kind, pub fn(&R) -> Value);

/// As a table has them. `narrows`: by what a column of that name narrows a scan.
pub fn columns<R>(columns: &[Col<R>], narrows: fn(&str) -> Option<Narrows>) -> Vec<Column> {
    let column = |Col(name, kind, _): &Col<R>| Column {
        name,
        kind: *kind,
        narrows: narrows(name),
    };
    columns.iter().map(column).collect()
}

/// What tells a row from all others of its table.
pub trait Identified {
    fn identify(&self, hash: &mut dyn Hasher);
}

impl<R: Identified> Identified for Arc<R> {
    fn identify(&self, hash: &mut dyn Hasher) {
        (**self).identify(hash);
    }
}

/// With what else is known of the row.
impl<R: Identified, M> Identified for (R, M) {
    fn identify(&self, hash: &mut dyn Hasher) {
        self.0.identify(hash);
    }
}

struct Listed<R: 'static> {
    row: R,
    columns: &'static [Col<R>],
}

impl<R: Identified + Send> Row for Listed<R> {
    fn value(&self, column: usize) -> Value {
        self.columns
            .get(column)
            .map_or(Value::Null, |Col(_, _, read)| read(&self.row))
    }

    fn number(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        self.row.identify(&mut hash);
        hash.finish()
    }
}

pub fn page<R: Identified + Send>(rows: Vec<R>, columns: &'static [Col<R>], next: Option<Bytes>) -> Page {
    let listed = |row| Box::new(Listed { row, columns }) as Box<dyn Row>;
    Page {
        rows: rows.into_iter().map(listed).collect(),
        next,
    }
}
