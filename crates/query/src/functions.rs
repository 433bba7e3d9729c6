//! Functions that DataFusion has and SQLite has not, or has under a name that means something else.

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, Error, Result};

use crate::dialect::{parse_time, part_of, rfc3339, truncated};

pub(crate) const FIRST: &str = "belay_first";
pub(crate) const LAST: &str = "belay_last";
pub(crate) const TIME: &str = "belay_time";
pub(crate) const TIME_OF_SECONDS: &str = "belay_time_of_seconds";
pub(crate) const TIME_TEXT: &str = "belay_time_text";
pub(crate) const TIME_TRUNCATED: &str = "belay_time_truncated";
pub(crate) const TIME_PART: &str = "belay_time_part";
pub(crate) const LIST_HAS: &str = "belay_list_has";
pub(crate) const STARTS_WITH: &str = "belay_starts_with";
pub(crate) const ENDS_WITH: &str = "belay_ends_with";
pub(crate) const CONTAINS: &str = "belay_contains";

pub(crate) fn add(connection: &Connection) -> Result<()> {
    let pure = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_aggregate_function(FIRST, 1, pure, End::First)?;
    connection.create_aggregate_function(LAST, 1, pure, End::Last)?;
    connection.create_scalar_function(TIME, 1, pure, time)?;
    connection.create_scalar_function(TIME_OF_SECONDS, 1, pure, |context| {
        let seconds: Option<i64> = context.get(0)?;
        Ok(seconds.and_then(|seconds| seconds.checked_mul(1_000)))
    })?;
    connection.create_scalar_function(TIME_TEXT, 1, pure, |context| {
        Ok(context.get::<Option<i64>>(0)?.and_then(rfc3339))
    })?;
    connection.create_scalar_function(TIME_TRUNCATED, 2, pure, |context| of_unit(context, truncated))?;
    connection.create_scalar_function(TIME_PART, 2, pure, |context| of_unit(context, part_of))?;
    connection.create_scalar_function(LIST_HAS, 2, pure, list_has)?;
    connection.create_scalar_function(STARTS_WITH, 2, pure, |context| {
        texts(context, |of, what| of.starts_with(what))
    })?;
    connection.create_scalar_function(ENDS_WITH, 2, pure, |context| {
        texts(context, |of, what| of.ends_with(what))
    })?;
    connection.create_scalar_function(CONTAINS, 2, pure, |context| {
        texts(context, |of, what| of.contains(what))
    })
}

/// The first or the last value, in the order in which they come.
#[derive(Clone, Copy)]
enum End {
    First,
    Last,
}

impl Aggregate<Option<Value>, Option<Value>> for End {
    fn init(&self, _context: &mut Context<'_>) -> Result<Option<Value>> {
        Ok(None)
    }

    fn step(&self, context: &mut Context<'_>, value: &mut Option<Value>) -> Result<()> {
        if value.is_none() || matches!(self, End::Last) {
            *value = Some(context.get(0)?);
        }
        Ok(())
    }

    fn finalize(&self, _context: &mut Context<'_>, value: Option<Option<Value>>) -> Result<Option<Value>> {
        Ok(value.flatten())
    }
}

fn failed(message: String) -> Error {
    Error::UserFunctionError(message.into())
}

fn time(context: &mut Context<'_>) -> Result<Option<i64>> {
    match context.get_raw(0) {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(millis) => Ok(Some(millis)),
        _ => {
            let text: String = context.get(0)?;
            let millis = parse_time(&text).ok_or_else(|| failed(format!("'{text}' is no time")))?;
            Ok(Some(millis))
        }
    }
}

fn of_unit(context: &mut Context<'_>, of: fn(&str, i64) -> Option<i64>) -> Result<Option<i64>> {
    let (unit, millis): (String, Option<i64>) = (context.get(0)?, context.get(1)?);
    let Some(millis) = millis else {
        return Ok(None);
    };
    let found = of(&unit, millis).ok_or_else(|| failed(format!("times are not told in '{unit}'")))?;
    Ok(Some(found))
}

fn texts(context: &mut Context<'_>, holds: fn(&str, &str) -> bool) -> Result<Option<bool>> {
    let (of, what): (Option<String>, Option<String>) = (context.get(0)?, context.get(1)?);
    Ok(of.zip(what).map(|(of, what)| holds(&of, &what)))
}

/// Lists are JSON in here.
fn list_has(context: &mut Context<'_>) -> Result<Option<bool>> {
    let (list, wanted): (Option<String>, Value) = (context.get(0)?, context.get(1)?);
    let Some(list) = list else {
        return Ok(None);
    };
    let list: Vec<serde_json::Value> = serde_json::from_str(&list).unwrap_or_default();
    let wanted = match wanted {
        Value::Integer(number) => number.into(),
        Value::Text(text) => text.into(),
        _ => serde_json::Value::Null,
    };
    Ok(Some(list.contains(&wanted)))
}
