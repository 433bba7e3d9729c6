//! From DataFusion's SQL, which Restate's tools speak, to SQLite's.
//!
//! | theirs | ours |
//! |---|---|
//! | names are lower case unless quoted; `index` is one | every name is quoted |
//! | a column without a name is called after what it is: `count(Int64(1))` | it is given that name |
//! | times are a type, and texts become times beside one | milliseconds; texts beside a time are read as one |
//! | `now()`, `INTERVAL '1 hour'`, `TIMESTAMP '...'` | milliseconds |
//! | `FIRST_VALUE(x ORDER BY y)` is an aggregate | [`functions`](crate::functions) has one |
//! | nulls come last | said in each `ORDER BY` |
//! | `information_schema.columns` | a table of that name, dot included |

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use base::{Error, Result, codes, limits};
use ports::query::Kind;
use sqlparser::ast::{ObjectName, Query, Select, SelectItem, SetExpr, Statement, Visit, VisitMut, Visitor};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

mod kinds;
mod names;
mod rewrite;
mod times;

use kinds::Kinds;
pub(crate) use times::{parse_time, part_of, rfc3339, truncated};

/// A question that SQLite can answer.
#[derive(Debug)]
pub(crate) struct Translated {
    pub(crate) sql: String,
    /// What the columns hold, where it can be told from the text; fewer than there are if the text does not list them.
    pub(crate) kinds: Vec<Option<Kind>>,
    /// The same by their names.
    pub(crate) by_name: BTreeMap<String, Kind>,
}

/// What can be asked about: names of tables, and kinds of columns by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    pub(crate) tables: BTreeSet<String>,
    pub(crate) columns: BTreeMap<String, Kind>,
}

/// `now`: milliseconds.
///
/// Errors: `QUERY_INVALID`.
pub(crate) fn translate(text: &str, names: &Names, now: u64) -> Result<Translated> {
    if text.len() > limits::QUERY_TEXT_BYTES_MAX {
        let message = format!(
            "a question may have {} bytes, this one has {}",
            limits::QUERY_TEXT_BYTES_MAX,
            text.len()
        );
        return Err(Error::new(codes::QUERY_INVALID, message));
    }
    let mut query = parse(text)?;
    check(&query, names)?;
    let mut kinds = Kinds::new(names.columns.clone());
    let mut naming = names::Naming { kinds: &mut kinds };
    let _named = VisitMut::visit(&mut *query, &mut naming);
    let listed = listed(&query.body, &kinds);
    let mut rewriting = rewrite::Rewriting {
        kinds: &kinds,
        now,
        fault: None,
    };
    let _rewritten = VisitMut::visit(&mut *query, &mut rewriting);
    if let Some(fault) = rewriting.fault {
        return Err(invalid(fault));
    }
    Ok(Translated {
        sql: query.to_string(),
        kinds: listed,
        by_name: kinds.all(),
    })
}

pub(crate) fn invalid(message: impl Into<String>) -> Error {
    Error::new(codes::QUERY_INVALID, message)
}

fn parse(text: &str) -> Result<Box<Query>> {
    let parsed = Parser::new(&GenericDialect {})
        .with_recursion_limit(limits::QUERY_DEPTH_MAX)
        .try_with_sql(text)
        .and_then(|mut parser| parser.parse_statements());
    let mut statements = parsed.map_err(|error| invalid(format!("the question cannot be read: {error}")))?;
    let statement = match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => statement,
        (None, _) => return Err(invalid("there is no question: write a SELECT")),
        (Some(_), false) => {
            return Err(invalid(
                "there is more than one statement: ask one question at a time",
            ));
        }
    };
    match statement {
        Statement::Query(query) => Ok(query),
        Statement::ShowTables { .. } => parse("SELECT * FROM information_schema.tables"),
        Statement::ExplainTable { table_name, .. } => parse(&format!(
            "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = '{}'",
            table_name.to_string().replace(['"', '\''], "")
        )),
        _ => Err(invalid(
            "only questions are answered here: a SELECT, SHOW TABLES, or DESCRIBE with a table's name",
        )),
    }
}

/// Whether it only reads, and only tables that are there.
fn check(query: &Query, names: &Names) -> Result<()> {
    let mut checking = Checking {
        own: BTreeSet::new(),
        relations: vec![],
        writes: false,
    };
    let _checked = Visit::visit(query, &mut checking);
    if checking.writes {
        return Err(invalid(
            "only questions are answered here, and this one would change something",
        ));
    }
    let unknown = |name: &&String| !names.tables.contains(*name) && !checking.own.contains(*name);
    if let Some(name) = checking.relations.iter().find(unknown) {
        let tables: Vec<_> = names.tables.iter().map(String::as_str).collect();
        let message = format!("there is no table {name}: the tables are {}", tables.join(", "));
        return Err(invalid(message));
    }
    Ok(())
}

struct Checking {
    /// Names that the question itself gives.
    own: BTreeSet<String>,
    relations: Vec<String>,
    writes: bool,
}

impl Visitor for Checking {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.own.insert(names::folded(&cte.alias.name));
        }
        let body = &*query.body;
        self.writes |= matches!(
            body,
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_)
        );
        self.writes |= !query.locks.is_empty();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.writes |= select.into.is_some();
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.relations.push(names::table(relation));
        ControlFlow::Continue(())
    }
}

/// Kinds of the columns of the answer, as long as the text lists them.
fn listed(body: &SetExpr, kinds: &Kinds) -> Vec<Option<Kind>> {
    match body {
        SetExpr::Select(select) => {
            let items = select.projection.iter().map_while(|item| match item {
                SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                    Some(kinds.of(expr))
                }
                _ => None,
            });
            items.collect()
        }
        SetExpr::Query(query) => listed(&query.body, kinds),
        SetExpr::SetOperation { left, .. } => listed(left, kinds),
        _ => vec![],
    }
}
