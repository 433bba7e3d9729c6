//! An answer: its columns, collected within limits, then written as JSON or as Arrow's stream.

use std::fmt::Write;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder, UInt32Builder,
    UInt64Builder,
};
use arrow_array::types::{DurationMillisecondType, TimestampMillisecondType};
use arrow_array::{ArrayRef, PrimitiveArray, RecordBatch, RecordBatchOptions};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use base::{Error, Result, codes, limits};
use bytes::Bytes;
use ports::query::Kind;
use rusqlite::types::{Value, ValueRef};

use crate::dialect::rfc3339;

/// What a value costs beyond its text or bytes.
const VALUE_BYTES: usize = 32;
const UTC: &str = "+00:00";

pub(crate) struct Answer {
    columns: Vec<Column>,
    rows: usize,
    bytes: usize,
}

struct Column {
    name: String,
    kind: Option<Kind>,
    values: Vec<Value>,
}

impl Answer {
    pub(crate) fn new(columns: impl Iterator<Item = (String, Option<Kind>)>) -> Answer {
        let column = |(name, kind)| Column {
            name,
            kind,
            values: vec![],
        };
        Answer {
            columns: columns.map(column).collect(),
            rows: 0,
            bytes: 0,
        }
    }

    pub(crate) fn columns(&self) -> usize {
        self.columns.len()
    }

    /// Errors: `QUERY_TOO_LARGE`.
    pub(crate) fn put(&mut self, column: usize, value: ValueRef<'_>) -> Result<()> {
        let bytes = match value {
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
            _ => 0,
        };
        self.bytes += VALUE_BYTES + bytes;
        if self.bytes > limits::QUERY_ANSWER_BYTES_MAX {
            return Err(too_large(format!("{} bytes", limits::QUERY_ANSWER_BYTES_MAX)));
        }
        let value = match value {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Value::Blob(bytes.to_vec()),
        };
        self.columns[column].values.push(value);
        Ok(())
    }

    /// Errors: `QUERY_TOO_LARGE`.
    pub(crate) fn end_row(&mut self) -> Result<()> {
        self.rows += 1;
        if self.rows > limits::QUERY_ROWS_MAX {
            return Err(too_large(format!("{} rows", limits::QUERY_ROWS_MAX)));
        }
        Ok(())
    }

    /// `{"rows":[{...}]}`. Of columns of one name, the first is shown.
    pub(crate) fn json(mut self) -> Bytes {
        for column in &mut self.columns {
            column.settle();
        }
        let mut shown: Vec<&Column> = vec![];
        for column in &self.columns {
            if shown.iter().all(|other| other.name != column.name) {
                shown.push(column);
            }
        }
        let mut text = String::from("{\"rows\":[");
        for row in 0..self.rows {
            text.push_str(if row == 0 { "{" } else { ",{" });
            let mut first = true;
            for column in &shown {
                let before = text.len();
                if !first {
                    text.push(',');
                }
                put_json_text(&mut text, &column.name);
                text.push(':');
                if column.put_json(&mut text, row) {
                    first = false;
                } else {
                    text.truncate(before);
                }
            }
            text.push('}');
        }
        text.push_str("]}");
        text.into()
    }

    /// A schema and one batch.
    pub(crate) fn arrow(mut self) -> Result<Bytes> {
        for column in &mut self.columns {
            column.settle();
        }
        let field = |column: &Column| Field::new(&column.name, column.data_type(), true);
        let schema = Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()));
        let failed =
            |error: ArrowError| Error::new(codes::INTERNAL, format!("an answer cannot be written: {error}"));
        let arrays = self.columns.into_iter().map(Column::array).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &options).map_err(failed)?;
        let mut writer = StreamWriter::try_new(vec![], &schema).map_err(failed)?;
        writer.write(&batch).map_err(failed)?;
        Ok(writer.into_inner().map_err(failed)?.into())
    }
}

fn too_large(what: String) -> Error {
    let message = format!("the answer has more than {what}: ask for fewer rows or columns, or add a LIMIT");
    Error::new(codes::QUERY_TOO_LARGE, message)
}

impl Column {
    /// What it holds, from its values if nobody could tell before.
    fn settle(&mut self) {
        let of_value = |value: &Value| match value {
            Value::Null => None,
            Value::Integer(_) => Some(Kind::Integer),
            Value::Real(_) => Some(Kind::Float),
            Value::Text(_) => Some(Kind::Text),
            Value::Blob(_) => Some(Kind::Bytes),
        };
        let holds = |kind: Kind, value: &Value| match of_value(value) {
            None => true,
            Some(Kind::Integer) => !matches!(kind, Kind::Text | Kind::Bytes | Kind::Numbers | Kind::Texts),
            Some(Kind::Float) => kind == Kind::Float,
            Some(Kind::Bytes) => kind == Kind::Bytes,
            _ => matches!(kind, Kind::Text | Kind::Numbers | Kind::Texts),
        };
        let fits = |kind: Kind| self.values.iter().all(|value| holds(kind, value));
        let seen = self.values.iter().find_map(of_value);
        let candidates = [self.kind, seen, Some(Kind::Float)];
        self.kind = candidates
            .into_iter()
            .flatten()
            .find(|kind| fits(*kind))
            .or(Some(Kind::Text));
    }

    fn kind(&self) -> Kind {
        self.kind.unwrap_or(Kind::Text)
    }

    /// Whether there was something to put.
    fn put_json(&self, to: &mut String, row: usize) -> bool {
        let value = self.values.get(row).unwrap_or(&Value::Null);
        match (value, self.kind()) {
            (Value::Null, _) => return false,
            (Value::Integer(number), kind) => return put_json_number(to, *number, kind),
            (Value::Real(number), _) => {
                let number = serde_json::Number::from_f64(*number);
                match number {
                    Some(number) => return write!(to, "{number}").is_ok(),
                    None => return false,
                }
            }
            (Value::Text(text), Kind::Numbers | Kind::Texts) => to.push_str(text),
            (Value::Text(text), _) => put_json_text(to, text),
            (Value::Blob(bytes), _) => {
                to.push('"');
                put_hex(to, bytes);
                to.push('"');
            }
        }
        true
    }

    fn data_type(&self) -> DataType {
        let list = |of| DataType::List(Arc::new(Field::new_list_field(of, true)));
        match self.kind() {
            Kind::Text => DataType::Utf8,
            Kind::Bool => DataType::Boolean,
            Kind::Integer => DataType::Int64,
            Kind::Unsigned => DataType::UInt64,
            Kind::Float => DataType::Float64,
            Kind::Time => DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into())),
            Kind::Duration => DataType::Duration(TimeUnit::Millisecond),
            Kind::Bytes => DataType::Binary,
            Kind::Numbers => list(DataType::UInt32),
            Kind::Texts => list(DataType::Utf8),
        }
    }

    fn array(self) -> ArrayRef {
        let kind = self.kind();
        let numbers = || self.values.iter().map(as_integer);
        match kind {
            Kind::Bool => Arc::new(collect::<BooleanBuilder>(
                numbers().map(|number| number.map(|number| number != 0)),
            )),
            Kind::Integer => Arc::new(collect::<Int64Builder>(numbers())),
            Kind::Unsigned => Arc::new(collect::<UInt64Builder>(
                numbers().map(|number| number.map(i64::cast_unsigned)),
            )),
            Kind::Float => Arc::new(collect::<Float64Builder>(self.values.iter().map(as_float))),
            Kind::Time => {
                let times: PrimitiveArray<TimestampMillisecondType> = numbers().collect();
                Arc::new(times.with_timezone(UTC))
            }
            Kind::Duration => Arc::new(numbers().collect::<PrimitiveArray<DurationMillisecondType>>()),
            Kind::Bytes => {
                let mut builder = BinaryBuilder::new();
                builder.extend(self.values.iter().map(as_bytes));
                Arc::new(builder.finish())
            }
            Kind::Numbers => {
                let mut builder = ListBuilder::new(UInt32Builder::new());
                builder.extend(
                    self.values
                        .iter()
                        .map(|value| as_list::<u32>(value).map(|list| list.into_iter().map(Some))),
                );
                Arc::new(builder.finish())
            }
            Kind::Texts => {
                let mut builder = ListBuilder::new(StringBuilder::new());
                builder.extend(
                    self.values
                        .iter()
                        .map(|value| as_list::<String>(value).map(|list| list.into_iter().map(Some))),
                );
                Arc::new(builder.finish())
            }
            Kind::Text => {
                let mut builder = StringBuilder::new();
                builder.extend(self.values.into_iter().map(as_text));
                Arc::new(builder.finish())
            }
        }
    }
}

/// What an array of such a builder is made of.
trait Builds: Default {
    type Item;
    type Array;
    fn put(&mut self, item: Option<Self::Item>);
    fn done(self) -> Self::Array;
}

macro_rules! builds {
    ($($builder:ident: $item:ty, $array:ident;)*) => {$(
        impl Builds for $builder {
            type Item = $item;
            type Array = arrow_array::$array;
            fn put(&mut self, item: Option<$item>) {
                self.append_option(item);
            }
            fn done(mut self) -> Self::Array {
                self.finish()
            }
        }
    )*};
}

builds! {
    BooleanBuilder: bool, BooleanArray;
    Int64Builder: i64, Int64Array;
    UInt64Builder: u64, UInt64Array;
    Float64Builder: f64, Float64Array;
}

fn collect<B: Builds>(items: impl Iterator<Item = Option<B::Item>>) -> B::Array {
    let mut builder = B::default();
    items.for_each(|item| builder.put(item));
    builder.done()
}

fn as_integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}

fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Real(number) => Some(*number),
        _ => None,
    }
}

fn as_bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Blob(bytes) => Some(bytes),
        _ => None,
    }
}

fn as_list<T: serde::de::DeserializeOwned>(value: &Value) -> Option<Vec<T>> {
    match value {
        Value::Text(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

fn as_text(value: Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::Text(text) => Some(text),
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) => Some(number.to_string()),
        Value::Blob(bytes) => {
            let mut text = String::with_capacity(2 * bytes.len());
            put_hex(&mut text, &bytes);
            Some(text)
        }
    }
}

fn put_json_number(to: &mut String, number: i64, kind: Kind) -> bool {
    let written = match kind {
        Kind::Bool => write!(to, "{}", number != 0),
        Kind::Unsigned => write!(to, "{}", number.cast_unsigned()),
        Kind::Time => match rfc3339(number) {
            Some(time) => write!(to, "\"{time}\""),
            None => return false,
        },
        Kind::Duration => write!(to, "\"{}\"", iso_duration(number)),
        Kind::Text => write!(to, "\"{number}\""),
        _ => write!(to, "{number}"),
    };
    written.is_ok()
}

fn put_json_text(to: &mut String, text: &str) {
    let _written = write!(to, "{}", serde_json::Value::from(text));
}

fn put_hex(to: &mut String, bytes: &[u8]) {
    for byte in bytes {
        let _written = write!(to, "{byte:02x}");
    }
}

/// `PT86400S`; none at all is `P0D`.
fn iso_duration(millis: i64) -> String {
    let sign = if millis < 0 { "-" } else { "" };
    let (seconds, rest) = (millis.unsigned_abs() / 1_000, millis.unsigned_abs() % 1_000);
    match (seconds, rest) {
        (0, 0) => "P0D".into(),
        (_, 0) => format!("{sign}PT{seconds}S"),
        _ => format!("{sign}PT{seconds}.{rest:03}S"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_their_tools_read_them() {
        assert_eq!(iso_duration(86_400_000), "PT86400S");
        assert_eq!(iso_duration(0), "P0D");
        assert_eq!(iso_duration(1_500), "PT1.500S");
        assert_eq!(iso_duration(-1_000), "-PT1S");
    }
}
