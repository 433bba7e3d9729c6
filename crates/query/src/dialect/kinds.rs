//! What an expression holds, as far as its text tells.

use std::collections::BTreeMap;

use ports::query::Kind;
use sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, SetExpr,
    UnaryOperator, Value,
};

use super::names::folded;

/// By the names of columns: a name means the same in all tables.
pub(super) struct Kinds(BTreeMap<String, Option<Kind>>);

impl Kinds {
    pub(super) fn new(columns: BTreeMap<String, Kind>) -> Kinds {
        Kinds(
            columns
                .into_iter()
                .map(|(name, kind)| (name, Some(kind)))
                .collect(),
        )
    }

    /// From now on that name means this.
    pub(super) fn learn(&mut self, name: String, expr: &Expr) {
        let kind = self.of(expr);
        self.0.insert(name, kind);
    }

    pub(super) fn all(self) -> BTreeMap<String, Kind> {
        let known = self.0.into_iter().filter_map(|(name, kind)| Some((name, kind?)));
        known.collect()
    }

    pub(super) fn of(&self, expr: &Expr) -> Option<Kind> {
        match expr {
            Expr::Identifier(name) => self.named(&folded(name)),
            Expr::CompoundIdentifier(parts) => self.named(&folded(parts.last()?)),
            Expr::Nested(inner) | Expr::AtTimeZone { timestamp: inner, .. } => self.of(inner),
            Expr::Value(value) => of_value(&value.value),
            Expr::BinaryOp { left, op, right } => self.of_operation(op, left, right),
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                ..
            } => Some(Kind::Bool),
            Expr::UnaryOp { expr, .. } => self.of(expr),
            Expr::Cast { data_type, .. } => of_type(data_type),
            Expr::TypedString(typed) => of_type(&typed.data_type),
            Expr::Interval(_) => Some(Kind::Duration),
            Expr::Extract { .. } | Expr::Position { .. } => Some(Kind::Integer),
            Expr::Substring { .. } | Expr::Trim { .. } => Some(Kind::Text),
            Expr::Ceil { expr, .. } | Expr::Floor { expr, .. } => self.of(expr),
            Expr::Case {
                conditions,
                else_result,
                ..
            } => {
                let mut results = conditions
                    .iter()
                    .map(|when| &when.result)
                    .chain(else_result.as_deref());
                results.find_map(|result| self.of(result))
            }
            Expr::Function(function) => self.of_function(function),
            Expr::Subquery(query) => match &*query.body {
                SetExpr::Select(select) => match select.projection.first()? {
                    sqlparser::ast::SelectItem::ExprWithAlias { expr, .. } => self.of(expr),
                    _ => None,
                },
                _ => None,
            },
            other => is_condition(other).then_some(Kind::Bool),
        }
    }

    fn named(&self, name: &str) -> Option<Kind> {
        self.0.get(name).copied().flatten()
    }

    fn of_operation(&self, op: &BinaryOperator, left: &Expr, right: &Expr) -> Option<Kind> {
        use BinaryOperator as Op;
        match op {
            Op::Gt | Op::Lt | Op::GtEq | Op::LtEq | Op::Eq | Op::NotEq | Op::And | Op::Or => Some(Kind::Bool),
            Op::StringConcat => Some(Kind::Text),
            _ => {
                let (left, right) = (self.of(left), self.of(right));
                match (left, op, right) {
                    (Some(Kind::Time), Op::Minus, Some(Kind::Time)) => Some(Kind::Duration),
                    (Some(Kind::Time), ..) | (.., Some(Kind::Time)) => Some(Kind::Time),
                    (Some(Kind::Duration), Op::Plus | Op::Minus, _) | (.., Some(Kind::Duration)) => {
                        Some(Kind::Duration)
                    }
                    (Some(Kind::Float), ..) | (.., Some(Kind::Float)) => Some(Kind::Float),
                    (None, ..) | (.., None) => None,
                    _ => Some(Kind::Integer),
                }
            }
        }
    }

    fn of_function(&self, function: &Function) -> Option<Kind> {
        let first = first_argument(function).and_then(|expr| self.of(expr));
        match function.name.to_string().to_lowercase().as_str() {
            "min" | "max" | "first_value" | "last_value" | "nth_value" | "lag" | "lead" | "abs"
            | "nullif" => first,
            "coalesce" | "ifnull" | "nvl" | "greatest" | "least" => {
                arguments(function).find_map(|expr| self.of(expr))
            }
            "sum" => match first {
                Some(Kind::Float | Kind::Duration) => first,
                _ => Some(Kind::Integer),
            },
            "avg" | "mean" => match first {
                Some(Kind::Duration) => first,
                _ => Some(Kind::Float),
            },
            "count" | "approx_distinct" | "length" | "char_length" | "character_length" | "octet_length"
            | "strpos" | "instr" | "row_number" | "rank" | "dense_rank" | "ntile" | "array_length"
            | "date_part" => Some(Kind::Integer),
            "now"
            | "current_timestamp"
            | "to_timestamp"
            | "to_timestamp_millis"
            | "to_timestamp_seconds"
            | "date_trunc"
            | "current_date"
            | "today" => Some(Kind::Time),
            "starts_with" | "ends_with" | "contains" | "array_has" | "array_contains" | "bool_and"
            | "bool_or" => Some(Kind::Bool),
            "lower" | "upper" | "trim" | "btrim" | "ltrim" | "rtrim" | "substr" | "substring" | "replace"
            | "concat" | "concat_ws" | "string_agg" | "left" | "right" | "hex" => Some(Kind::Text),
            _ => None,
        }
    }
}

pub(super) fn arguments(function: &Function) -> impl Iterator<Item = &Expr> {
    let list = match &function.args {
        FunctionArguments::List(list) => list.args.as_slice(),
        _ => &[],
    };
    list.iter().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
        _ => None,
    })
}

pub(super) fn first_argument(function: &Function) -> Option<&Expr> {
    arguments(function).next()
}

fn of_value(value: &Value) -> Option<Kind> {
    match value {
        Value::Number(digits, _) if digits.parse::<i64>().is_ok() => Some(Kind::Integer),
        Value::Number(digits, _) if digits.parse::<u64>().is_ok() => Some(Kind::Unsigned),
        Value::Number(..) => Some(Kind::Float),
        Value::SingleQuotedString(_) => Some(Kind::Text),
        Value::Boolean(_) => Some(Kind::Bool),
        Value::HexStringLiteral(_) => Some(Kind::Bytes),
        _ => None,
    }
}

/// What a type in a cast is.
pub(super) fn of_type(data_type: &DataType) -> Option<Kind> {
    let text = data_type.to_string().to_lowercase();
    let name = text.split(['(', ' ']).next().unwrap_or_default();
    Some(match name {
        "varchar" | "char" | "character" | "text" | "string" | "utf8" | "nvarchar" => Kind::Text,
        "bool" | "boolean" => Kind::Bool,
        "timestamp" | "timestamptz" | "datetime" | "date" => Kind::Time,
        "interval" => Kind::Duration,
        "float" | "float4" | "float8" | "double" | "real" | "decimal" | "numeric" => Kind::Float,
        "bytea" | "blob" | "binary" | "varbinary" | "bytes" => Kind::Bytes,
        "int" | "integer" | "bigint" | "smallint" | "tinyint" | "int2" | "int4" | "int8" | "int64"
        | "int32"
            if text.contains("unsigned") =>
        {
            Kind::Unsigned
        }
        "uint64" | "uint32" | "ubigint" | "unsigned" => Kind::Unsigned,
        "int" | "integer" | "bigint" | "smallint" | "tinyint" | "int2" | "int4" | "int8" | "int64"
        | "int32" => Kind::Integer,
        _ => return None,
    })
}

fn is_condition(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::In { .. }
            | Expr::Between { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::Exists { .. }
    )
}
