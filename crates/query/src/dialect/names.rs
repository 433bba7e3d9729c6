//! What things are called.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Select, SelectItem,
    TableFactor, Value, VisitorMut,
};

use super::kinds::Kinds;

/// A name as it is meant: lower case unless it is quoted.
pub(super) fn folded(name: &Ident) -> String {
    match name.quote_style {
        Some(_) => name.value.clone(),
        None => name.value.to_lowercase(),
    }
}

/// A table's name: its last part, but for those of the information schema, which keep theirs.
pub(super) fn table(name: &ObjectName) -> String {
    let parts: Vec<_> = name
        .0
        .iter()
        .filter_map(|part| part.as_ident())
        .map(folded)
        .collect();
    match parts.as_slice() {
        [.., schema, table] if schema == "information_schema" => format!("{schema}.{table}"),
        [.., table] => table.clone(),
        [] => name.to_string(),
    }
}

/// Gives every column of every answer the name that DataFusion would, and learns what the columns hold.
pub(super) struct Naming<'k> {
    pub(super) kinds: &'k mut Kinds,
}

impl VisitorMut for Naming<'_> {
    type Break = ();

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        let table = only_table(select);
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) = item {
                let name = of_column(expr, table.as_deref());
                *item = SelectItem::ExprWithAlias {
                    expr: std::mem::replace(expr, Expr::value(Value::Null)),
                    alias: Ident::with_quote('"', name),
                };
            }
            if let SelectItem::ExprWithAlias { expr, alias } = item {
                self.kinds.learn(folded(alias), expr);
            }
        }
        ControlFlow::Continue(())
    }
}

/// What columns are qualified with inside of names, if there is no doubt.
fn only_table(select: &Select) -> Option<String> {
    let [from] = select.from.as_slice() else {
        return None;
    };
    match &from.relation {
        TableFactor::Table { name, alias, .. } if from.joins.is_empty() => Some(
            alias
                .as_ref()
                .map_or_else(|| table(name), |alias| folded(&alias.name)),
        ),
        _ => None,
    }
}

fn of_column(expr: &Expr, table: Option<&str>) -> String {
    match expr {
        Expr::Identifier(name) => folded(name),
        Expr::CompoundIdentifier(parts) => parts.last().map(folded).unwrap_or_default(),
        Expr::Nested(inner) => of_column(inner, table),
        other => inside(other, table),
    }
}

fn inside(expr: &Expr, table: Option<&str>) -> String {
    match expr {
        Expr::Identifier(name) => match table {
            Some(table) => format!("{table}.{}", folded(name)),
            None => folded(name),
        },
        Expr::CompoundIdentifier(parts) => parts.iter().map(folded).collect::<Vec<_>>().join("."),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) if digits.parse::<i64>().is_ok() => format!("Int64({digits})"),
            Value::Number(digits, _) if digits.parse::<u64>().is_ok() => format!("UInt64({digits})"),
            Value::Number(digits, _) => format!("Float64({digits})"),
            Value::SingleQuotedString(text) => format!("Utf8(\"{text}\")"),
            Value::Boolean(truth) => format!("Boolean({truth})"),
            other => other.to_string(),
        },
        Expr::BinaryOp { left, op, right } => {
            format!("{} {op} {}", inside(left, table), inside(right, table))
        }
        Expr::IsNull(inner) => format!("{} IS NULL", inside(inner, table)),
        Expr::IsNotNull(inner) => format!("{} IS NOT NULL", inside(inner, table)),
        Expr::Nested(inner) => inside(inner, table),
        Expr::Cast { expr, .. } => inside(expr, table),
        Expr::Function(function) => of_function(function, table),
        other => other.to_string(),
    }
}

fn of_function(function: &Function, table: Option<&str>) -> String {
    let name = function.name.to_string().to_lowercase();
    let FunctionArguments::List(list) = &function.args else {
        return format!("{name}()");
    };
    let distinct = list.duplicate_treatment.map_or("", |_| "DISTINCT ");
    let of_argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => inside(expr, table),
        other => other.to_string(),
    };
    let arguments: Vec<_> = list.args.iter().map(of_argument).collect();
    format!("{name}({distinct}{})", arguments.join(","))
}
