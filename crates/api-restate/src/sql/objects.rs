//! What is kept of virtual objects and workflows.

use std::hash::Hasher;

use base::Result;
use bytes::Bytes;
use machines::invocation::Id;
use machines::invocation::rows::{self, Ended, Place, Promise};
use machines::{Address, Stored};
use ports::query::{Filter, Kind, Page, Value};

use super::walk::{self, OfObject, Rows};
use super::{Col, Identified, Moment, or_null, page, some_time, text};
use crate::id;

/// Bytes of a generation in front of a state's key or a promise's name.
const GENERATION: usize = 8;

pub(super) static STATE: [Col<OfObject>; 9] = [
    Col("partition_key", Kind::Unsigned, |row| {
        partition_key(&row.partition_key)
    }),
    Col("scope", Kind::Text, |_| Value::Null),
    Col("service_name", Kind::Text, |row| text(&row.service)),
    Col("service_key", Kind::Text, |row| text(&row.key)),
    Col("key", Kind::Text, |row| Value::Text(name(row))),
    Col("key_length", Kind::Unsigned, |row| {
        Value::Unsigned(name(row).len() as u64)
    }),
    Col("value_utf8", Kind::Text, |row| utf8(&value(row))),
    Col("value", Kind::Bytes, |row| Value::Bytes(value(row))),
    Col("value_length", Kind::Unsigned, |row| {
        Value::Unsigned(value(row).len() as u64)
    }),
];

pub(super) static PROMISES: [Col<(OfObject, Promise)>; 9] = [
    Col("partition_key", Kind::Unsigned, |(row, _)| {
        partition_key(&row.partition_key)
    }),
    Col("scope", Kind::Text, |_| Value::Null),
    Col("service_name", Kind::Text, |(row, _)| text(&row.service)),
    Col("service_key", Kind::Text, |(row, _)| text(&row.key)),
    Col("key", Kind::Text, |(row, _)| Value::Text(name(row))),
    Col("completed", Kind::Bool, |(_, promise)| {
        Value::Bool(promise.outcome.is_some())
    }),
    Col("completion_success_value", Kind::Bytes, |(_, promise)| {
        or_null(success(promise).map(Value::Bytes))
    }),
    Col("completion_success_value_utf8", Kind::Text, |(_, promise)| {
        or_null(success(promise).map(|value| utf8(&value)))
    }),
    Col("completion_failure", Kind::Text, |(_, promise)| {
        match ended(promise) {
            Some(Ended::Failure(failure)) => Value::Text(format!("[{}] {}", failure.code, failure.message)),
            _ => Value::Null,
        }
    }),
];

pub(super) struct Waiting {
    row: OfObject,
    id: Id,
    created_at: u64,
}

pub(super) static INBOX: [Col<Waiting>; 6] = [
    Col("partition_key", Kind::Unsigned, |waiting| {
        partition_key(&waiting.row.partition_key)
    }),
    Col("service_name", Kind::Text, |waiting| text(&waiting.row.service)),
    Col("service_key", Kind::Text, |waiting| text(&waiting.row.key)),
    Col("id", Kind::Text, |waiting| Value::Text(id::encode(&waiting.id))),
    Col("sequence_number", Kind::Unsigned, |waiting| {
        let number = waiting.row.suffix.first_chunk().copied().unwrap_or_default();
        Value::Unsigned(u64::from_be_bytes(number))
    }),
    Col("created_at", Kind::Time, |waiting| some_time(waiting.created_at)),
];

pub(super) static HOLDERS: [Col<OfObject>; 4] = [
    Col("partition_key", Kind::Unsigned, |row| {
        partition_key(&row.partition_key)
    }),
    Col("service_name", Kind::Text, |row| text(&row.service)),
    Col("service_key", Kind::Text, |row| text(&row.key)),
    Col("invocation_id", Kind::Text, |row| {
        or_null(Id::of(&row.object.holder).map(|id| Value::Text(id::encode(&id))))
    }),
];

impl Identified for OfObject {
    fn identify(&self, hash: &mut dyn Hasher) {
        // No text has that byte.
        for text in [&self.service, &self.key] {
            hash.write(text.as_bytes());
            hash.write(&[0xff]);
        }
        hash.write(&self.suffix);
    }
}

impl Identified for Waiting {
    fn identify(&self, hash: &mut dyn Hasher) {
        self.row.identify(hash);
    }
}

pub(super) fn partition_key(key: &[u8; 8]) -> Value {
    Value::Unsigned(u64::from_be_bytes(*key))
}

/// A state's key or a promise's name.
fn name(row: &OfObject) -> String {
    String::from_utf8_lossy(row.suffix.get(GENERATION..).unwrap_or_default()).into_owned()
}

fn value(row: &OfObject) -> Bytes {
    rows::Value::from_row(&row.row)
        .map(|row| row.value)
        .unwrap_or_default()
}

/// Nothing if it is no text.
pub(super) fn utf8(bytes: &[u8]) -> Value {
    or_null(std::str::from_utf8(bytes).ok().map(text))
}

fn ended(promise: &Promise) -> Option<&Ended> {
    promise.outcome.as_ref()?.ended.as_ref()
}

fn success(promise: &Promise) -> Option<Bytes> {
    match ended(promise)? {
        Ended::Value(value) => Some(value.clone()),
        Ended::Failure(_) => None,
    }
}

pub(super) async fn state(moment: &Moment, filter: &Filter, after: Option<&Bytes>) -> Result<Page> {
    let of = Rows {
        part: rows::STATE,
        prefix: |object| rows::state_suffix(object.state_generation, &[]),
    };
    let (found, next) = walk::objects(&*moment.survey, filter, Some(&of), after).await?;
    Ok(page(found, &STATE, next))
}

pub(super) async fn promises(moment: &Moment, filter: &Filter, after: Option<&Bytes>) -> Result<Page> {
    let of = Rows {
        part: rows::PROMISE,
        prefix: |object| rows::state_suffix(object.promise_generation, &[]),
    };
    let (found, next) = walk::objects(&*moment.survey, filter, Some(&of), after).await?;
    let promise = |row: OfObject| Ok((Promise::from_row(&row.row)?, row));
    let found = found.into_iter().map(promise).collect::<Result<Vec<_>>>()?;
    Ok(page(
        found.into_iter().map(|(promise, row)| (row, promise)).collect(),
        &PROMISES,
        next,
    ))
}

pub(super) async fn inbox(moment: &Moment, filter: &Filter, after: Option<&Bytes>) -> Result<Page> {
    let of = Rows {
        part: rows::QUEUE,
        prefix: |_| Bytes::new(),
    };
    let (found, next) = walk::objects(&*moment.survey, filter, Some(&of), after).await?;
    let mut waiting = vec![];
    for row in found {
        // Places of those that were cancelled are empty.
        if let Some(id) = Id::of(&Place::from_row(&row.row)?.invocation) {
            waiting.push((row, id));
        }
    }
    let origins = waiting.iter().map(|(_, id)| {
        let address = Address::invocation(id);
        let key = rows::origin(&address);
        (address, key)
    });
    let origins = moment.survey.get(&origins.collect::<Vec<_>>()).await?;
    let created_at = |row: Option<Bytes>| {
        let origin = row.and_then(|row| rows::Origin::from_row(&row).ok());
        origin.map_or(0, |origin| origin.created_at)
    };
    let rows = waiting
        .into_iter()
        .zip(origins)
        .map(|((row, id), origin)| Waiting {
            row,
            id,
            created_at: created_at(origin),
        });
    Ok(page(rows.collect(), &INBOX, next))
}

pub(super) async fn holders(moment: &Moment, filter: &Filter, after: Option<&Bytes>) -> Result<Page> {
    let (mut found, next) = walk::objects(&*moment.survey, filter, None, after).await?;
    found.retain(|row| !row.object.holder.is_empty());
    Ok(page(found, &HOLDERS, next))
}
