//! `belay sql`: questions about what durable execution and entities keep.

use std::fmt::{self, Display};

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use super::admin::Admin;
use super::{Common, Console, Exit, Failure};

#[derive(Debug, Args)]
pub(in crate::cli) struct Ask {
    /// The question: a SELECT, SHOW TABLES, or DESCRIBE with a table's name.
    query: String,
    #[command(flatten)]
    admin: Admin,
}

impl Ask {
    pub(super) fn common(&self) -> &Common {
        &self.admin.common
    }

    pub(super) async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let rows = rows(&self.admin, &self.query).await?;
        say(console, &self.admin, &rows)?;
        Ok(Exit::Ok)
    }
}

/// What the answer to a question has.
pub(super) async fn rows(admin: &Admin, query: &str) -> Result<Vec<Value>, Failure> {
    let body = json!({ "query": query });
    let mut answer = admin.ask(Method::POST, "/query", Some(&body)).await?;
    Ok(match answer["rows"].take() {
        Value::Array(rows) => rows,
        _ => vec![],
    })
}

/// A text as a question has it.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// For people a table, for programs an object per line.
pub(super) fn say(console: &mut Console<'_>, admin: &Admin, rows: &[Value]) -> Result<(), Failure> {
    let form = admin.common.form();
    match form {
        super::Form::Text => console.say_lines(form, Rows(rows), &Value::Null),
        super::Form::Json => rows.iter().try_for_each(|row| console.say_lines(form, "", row)),
    }
}

/// A column for each name that any row has, in the order in which they come.
struct Rows<'a>(&'a [Value]);

impl Display for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<&str> = vec![];
        for name in self
            .0
            .iter()
            .filter_map(Value::as_object)
            .flat_map(|row| row.keys())
        {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        let head: Vec<String> = names.iter().map(|name| name.to_uppercase()).collect();
        let row = |row: &Value| names.iter().map(|name| cell(&row[*name])).collect();
        let lines: Vec<Vec<String>> = std::iter::once(head).chain(self.0.iter().map(row)).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
        let widths: Vec<usize> = (0..names.len()).filter_map(width).collect();
        for line in lines.iter().filter(|line| !line.is_empty()) {
            let cells = line
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:width$}"));
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        let count = self.0.len();
        writeln!(f, "{count} row{}", if count == 1 { "" } else { "s" })
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // One line each.
        Value::String(text) => text.replace(['\n', '\r', '\t'], " "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_a_table_and_what_is_missing_is_empty() {
        let rows = [
            json!({"id": "inv_1", "n": 10}),
            json!({"id": "a\nb", "why": true}),
        ];
        let expected = "ID     N   WHY\ninv_1  10\na b        true\n2 rows\n";
        assert_eq!(Rows(&rows).to_string(), expected);
        assert_eq!(Rows(&[]).to_string(), "0 rows\n");
    }
}
