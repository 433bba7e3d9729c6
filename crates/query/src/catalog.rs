//! `information_schema`: the tables about the tables.

use ports::query::{Column, Kind, Page, Row, Table, Value};

const TABLES: [(&str, Kind); 4] = [
    ("table_catalog", Kind::Text),
    ("table_schema", Kind::Text),
    ("table_name", Kind::Text),
    ("table_type", Kind::Text),
];
const COLUMNS: [(&str, Kind); 7] = [
    ("table_catalog", Kind::Text),
    ("table_schema", Kind::Text),
    ("table_name", Kind::Text),
    ("column_name", Kind::Text),
    ("ordinal_position", Kind::Unsigned),
    ("is_nullable", Kind::Text),
    ("data_type", Kind::Text),
];

pub(crate) fn tables() -> [Table; 2] {
    let columns = |columns: &[(&'static str, Kind)]| {
        let column = |(name, kind): &(&'static str, Kind)| Column {
            name,
            kind: *kind,
            narrows: None,
        };
        columns.iter().map(column).collect()
    };
    [
        Table {
            name: "information_schema.tables",
            columns: columns(&TABLES),
        },
        Table {
            name: "information_schema.columns",
            columns: columns(&COLUMNS),
        },
    ]
}

struct Described(u64, Vec<Value>);

impl Row for Described {
    fn value(&self, column: usize) -> Value {
        self.1.get(column).cloned().unwrap_or(Value::Null)
    }

    fn number(&self) -> u64 {
        self.0
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Rows of the table that is the `which`th of [`tables`].
pub(crate) fn page(of: &[Table], which: usize) -> Page {
    let start = |table: &Table| vec![text("restate"), text("public"), text(table.name)];
    let rows: Vec<Vec<Value>> = if which == 0 {
        let row = |table| [start(table), vec![text("BASE TABLE")]].concat();
        of.iter().map(row).collect()
    } else {
        let row = |table: &Table, place: usize, column: &Column| {
            let place = Value::Unsigned(place as u64);
            let rest = vec![
                text(column.name),
                place,
                text("YES"),
                text(&data_type(column.kind)),
            ];
            [start(table), rest].concat()
        };
        let rows = |table| {
            let columns = (1..).zip(&(table as &Table).columns);
            columns
                .map(|(place, column)| row(table, place, column))
                .collect::<Vec<_>>()
        };
        of.iter().flat_map(rows).collect()
    };
    Page {
        rows: (0..)
            .zip(rows)
            .map(|(number, row)| Box::new(Described(number, row)) as Box<dyn Row>)
            .collect(),
        next: None,
    }
}

/// As Arrow calls it.
fn data_type(kind: Kind) -> String {
    match kind {
        Kind::Text => "Utf8",
        Kind::Bool => "Boolean",
        Kind::Integer => "Int64",
        Kind::Unsigned => "UInt64",
        Kind::Float => "Float64",
        Kind::Time => "Timestamp(Millisecond, Some(\"+00:00\"))",
        Kind::Duration => "Duration(Millisecond)",
        Kind::Bytes => "Binary",
        Kind::Numbers => "List(UInt32)",
        Kind::Texts => "List(Utf8)",
    }
    .into()
}
