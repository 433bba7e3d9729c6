//! What SQLite says otherwise.

use std::ops::ControlFlow;

use ports::query::Kind;
use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, InTarget, Interval, ObjectName, ObjectNamePart, OrderByExpr, OrderBySort,
    TableAlias, TableFactor, Value, ValueWithSpan, VisitorMut,
};

use super::kinds::{Kinds, first_argument, of_type};
use super::{names, times};
use crate::functions;

pub(super) struct Rewriting<'k> {
    pub(super) kinds: &'k Kinds,
    /// Milliseconds.
    pub(super) now: u64,
    /// The first thing that cannot be said.
    pub(super) fault: Option<String>,
}

impl VisitorMut for Rewriting<'_> {
    type Break = ();

    fn pre_visit_ident(&mut self, name: &mut Ident) -> ControlFlow<()> {
        *name = Ident::with_quote('"', names::folded(name));
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        if let TableFactor::Table { name, alias, .. } = factor {
            let table = names::table(name);
            if let (None, Some((_, last))) = (&alias, table.rsplit_once('.')) {
                *alias = Some(TableAlias {
                    explicit: true,
                    name: Ident::with_quote('"', last),
                    columns: vec![],
                    at: None,
                });
            }
            *name = ObjectName(vec![ObjectNamePart::Identifier(Ident::with_quote('"', table))]);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_order_by_expr(&mut self, order: &mut OrderByExpr) -> ControlFlow<()> {
        let descending = matches!(order.options.sort, Some(OrderBySort::Desc));
        order.options.nulls_first.get_or_insert(descending);
        ControlFlow::Continue(())
    }

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        if let Value::Number(digits, _) = &mut value.value
            && let (Err(_), Ok(number)) = (digits.parse::<i64>(), digits.parse::<u64>())
        {
            // SQLite has no unsigned numbers: columns that hold some have the same bits.
            *digits = number.cast_signed().to_string();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.times_beside(expr);
        if let Some(instead) = self.instead(expr) {
            *expr = instead;
        }
        if let Expr::CompoundIdentifier(parts) = expr {
            // Of a schema, a table and a column.
            let superfluous = parts.len().saturating_sub(2);
            parts.drain(..superfluous);
        }
        ControlFlow::Continue(())
    }
}

impl Rewriting<'_> {
    /// Texts beside a time are times.
    fn times_beside(&mut self, expr: &mut Expr) {
        let is_time = |expr: &Expr| self.kinds.of(expr) == Some(Kind::Time);
        let texts: Vec<&mut Expr> = match expr {
            Expr::BinaryOp { left, op, right } if compares(op) => match (is_time(left), is_time(right)) {
                (true, _) => vec![right],
                (_, true) => vec![left],
                _ => vec![],
            },
            Expr::Between { expr, low, high, .. } if is_time(expr) => vec![low, high],
            Expr::In {
                expr,
                target: InTarget::List(list),
                ..
            } if is_time(expr) => list.iter_mut().collect(),
            _ => vec![],
        };
        for text in texts {
            if let Some(literal) = text_of(text).map(str::to_owned) {
                *text = self.time(&literal);
            }
        }
    }

    fn time(&mut self, text: &str) -> Expr {
        match times::parse_time(text) {
            Some(millis) => number(millis),
            None => {
                let advice = format!("'{text}' is no time: write one like 2026-11-21T21:37:29Z");
                self.fault.get_or_insert(advice);
                number(0)
            }
        }
    }

    fn instead(&mut self, expr: &mut Expr) -> Option<Expr> {
        Some(match expr {
            Expr::ILike {
                negated,
                expr,
                pattern,
                escape_char,
                ..
            } => Expr::Like {
                negated: *negated,
                any: false,
                expr: Box::new(call("lower", [take(expr)])),
                pattern: Box::new(call("lower", [take(pattern)])),
                escape_char: escape_char.take(),
            },
            Expr::Cast { expr, data_type, .. } => {
                let (data_type, expr) = (data_type.clone(), take(expr));
                self.cast(expr, &data_type)
            }
            Expr::TypedString(typed) => {
                let data_type = typed.data_type.clone();
                self.cast(Expr::Value(typed.value.clone()), &data_type)
            }
            Expr::Interval(interval) => self.interval(interval),
            Expr::Extract { field, expr, .. } => {
                call(functions::TIME_PART, [text(&field.to_string()), take(expr)])
            }
            Expr::Position { expr, r#in } => call("instr", [take(r#in), take(expr)]),
            Expr::AtTimeZone { timestamp, .. } => take(timestamp),
            Expr::Substring {
                expr,
                substring_from,
                substring_for,
                ..
            } => {
                let from = substring_from.as_deref_mut().map_or_else(|| number(1), take);
                let length = substring_for.as_deref_mut().map(take);
                call(
                    "substr",
                    [Some(take(expr)), Some(from), length].into_iter().flatten(),
                )
            }
            Expr::Function(function) => return self.function(function),
            _ => return None,
        })
    }

    fn cast(&mut self, expr: Expr, data_type: &DataType) -> Expr {
        let from = self.kinds.of(&expr);
        let data_type = match (of_type(data_type), from) {
            (Some(Kind::Time), _) => {
                return match text_of(&expr).map(str::to_owned) {
                    Some(literal) => self.time(&literal),
                    None => call(functions::TIME, [expr]),
                };
            }
            (Some(Kind::Text), Some(Kind::Time)) => return call(functions::TIME_TEXT, [expr]),
            (Some(Kind::Duration), _) => match text_of(&expr) {
                Some(literal) => return self.interval_text(literal, None),
                None => DataType::Integer(None),
            },
            (Some(Kind::Text), _) => DataType::Text,
            (Some(Kind::Bytes), _) => DataType::Blob(None),
            (Some(Kind::Float), _) => DataType::Real,
            (Some(Kind::Bool | Kind::Integer | Kind::Unsigned), _) => DataType::Integer(None),
            _ => {
                let advice = format!(
                    "there is no type {data_type} to cast to: try VARCHAR, BIGINT, DOUBLE or TIMESTAMP"
                );
                self.fault.get_or_insert(advice);
                DataType::Text
            }
        };
        Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(expr),
            data_type,
            format: None,
        }
    }

    fn interval(&mut self, interval: &Interval) -> Expr {
        let unit = interval.leading_field.as_ref().map(ToString::to_string);
        let written = match &*interval.value {
            Expr::Value(value) => match &value.value {
                Value::SingleQuotedString(text) | Value::Number(text, _) => text.clone(),
                other => other.to_string(),
            },
            other => other.to_string(),
        };
        self.interval_text(&written, unit.as_deref())
    }

    fn interval_text(&mut self, written: &str, unit: Option<&str>) -> Expr {
        match times::parse_interval(written, unit) {
            Some(millis) => number(millis),
            None => {
                let advice = format!("'{written}' is no interval: write one like '1 hour 30 minutes'");
                self.fault.get_or_insert(advice);
                number(0)
            }
        }
    }

    fn function(&mut self, function: &mut Function) -> Option<Expr> {
        let name = function.name.to_string().to_lowercase();
        let ours = match name.as_str() {
            "now" | "current_timestamp" => return Some(number(self.now.cast_signed())),
            "current_date" | "today" => {
                return times::truncated("day", self.now.cast_signed()).map(number);
            }
            "first_value" if function.over.is_none() => functions::FIRST,
            "last_value" if function.over.is_none() => functions::LAST,
            "to_timestamp"
                if first_argument(function).and_then(|of| self.kinds.of(of)) == Some(Kind::Integer) =>
            {
                functions::TIME_OF_SECONDS
            }
            "to_timestamp_seconds" => functions::TIME_OF_SECONDS,
            "to_timestamp" | "to_timestamp_millis" => functions::TIME,
            "date_trunc" => functions::TIME_TRUNCATED,
            "date_part" | "datepart" => functions::TIME_PART,
            "starts_with" => functions::STARTS_WITH,
            "ends_with" => functions::ENDS_WITH,
            "contains" => functions::CONTAINS,
            "array_has" | "array_contains" | "list_has" => functions::LIST_HAS,
            "array_length" | "cardinality" => "json_array_length",
            "char_length" | "character_length" => "length",
            "strpos" => "instr",
            "btrim" => "trim",
            "nvl" => "ifnull",
            "bool_and" => "min",
            "bool_or" => "max",
            "greatest" => "max",
            "least" => "min",
            "array_agg" => "json_group_array",
            "mean" => "avg",
            _ => return None,
        };
        function.name = ObjectName::from(vec![Ident::with_quote('"', ours)]);
        function.null_treatment = None;
        None
    }
}

fn compares(op: &BinaryOperator) -> bool {
    use BinaryOperator as Op;
    matches!(op, Op::Gt | Op::Lt | Op::GtEq | Op::LtEq | Op::Eq | Op::NotEq)
}

fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr::value(Value::Null))
}

fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

fn number(number: i64) -> Expr {
    Expr::value(Value::Number(number.to_string(), false))
}

fn text(text: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(text.to_owned()))
}

fn call(name: &str, arguments: impl IntoIterator<Item = Expr>) -> Expr {
    let arguments = arguments
        .into_iter()
        .map(|expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::with_quote('"', name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.collect(),
            clauses: vec![],
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: vec![],
    })
}
