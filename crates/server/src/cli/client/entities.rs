//! `belay entities`: what is stored of the entities of user functions.

use std::fmt::{self, Display};

use base::{Error, codes};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::admin::Admin;
use super::sql::{self, quoted};
use super::{Common, Console, Exit, Failure};
use crate::cli::Report;

/// How much of a payload people are shown, characters.
const PREVIEW_MAX: usize = 400;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// List entities, the last changed first.
    List(List),
    /// Show an entity: how it stands, and its snapshot or its value.
    Describe(Named),
    /// List the events of an event sourced entity, the oldest first.
    Events(Events),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Only those of this persistence id.
    #[arg(long)]
    persistence_id: Option<String>,
    /// Only those of this kind.
    #[arg(long, value_parser = ["event_sourced", "value"])]
    kind: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Named {
    /// Which one: its persistence id, a slash, its id.
    #[arg(value_name = "PERSISTENCE_ID/ID")]
    name: String,
    /// Its id, where the persistence id has a slash of its own: the first argument is the persistence id alone then.
    id: Option<String>,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Events {
    #[command(flatten)]
    named: Named,
    /// Only those behind this sequence.
    #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
    after: u64,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

impl Command {
    fn admin(&self) -> &Admin {
        match self {
            Command::List(list) => &list.admin,
            Command::Describe(named) => &named.admin,
            Command::Events(events) => &events.named.admin,
        }
    }

    pub(super) fn common(&self) -> &Common {
        &self.admin().common
    }

    pub(super) async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        match self {
            Command::List(list) => {
                let rows = sql::rows(&list.admin, &list.query()).await?;
                sql::say(console, &list.admin, &rows)?;
            }
            Command::Describe(named) => {
                let value = named.described().await?;
                console.say_lines(named.admin.common.form(), Described(&value), &value)?;
            }
            Command::Events(events) => {
                let admin = &events.named.admin;
                let rows = sql::rows(admin, &events.query()?).await?;
                if rows.is_empty() {
                    // None of it, or nothing at all?
                    events.named.entity().await?;
                }
                sql::say(console, admin, &rows)?;
            }
        }
        Ok(Exit::Ok)
    }
}

impl List {
    fn query(&self) -> String {
        let columns = [("persistence_id", &self.persistence_id), ("kind", &self.kind)];
        let wanted = |(column, value): (&str, &Option<String>)| {
            Some(format!("{column} = {}", quoted(value.as_ref()?)))
        };
        let conditions: Vec<_> = columns.into_iter().filter_map(wanted).collect();
        let mut query =
            "SELECT persistence_id, id, kind, sequence, active, modified_at FROM entities".to_owned();
        if !conditions.is_empty() {
            query = format!("{query} WHERE {}", conditions.join(" AND "));
        }
        format!(
            "{query} ORDER BY modified_at DESC, persistence_id, id LIMIT {}",
            self.limit
        )
    }
}

impl Named {
    /// Persistence id and id.
    fn parts(&self) -> Result<(&str, &str), Failure> {
        let split = || self.name.split_once('/');
        let parts = match &self.id {
            Some(id) => Some((self.name.as_str(), id.as_str())),
            None => split(),
        };
        parts.ok_or_else(|| {
            let report = Report::uncoded(format!("{} names no entity: it has no slash", self.name))
                .next("write PERSISTENCE_ID/ID; belay entities list shows what there is");
            Failure::new(report, Exit::Usage)
        })
    }

    /// The condition that only it fits.
    fn condition(&self, id_column: &str) -> Result<String, Failure> {
        let (persistence_id, id) = self.parts()?;
        Ok(format!(
            "persistence_id = {} AND {id_column} = {}",
            quoted(persistence_id),
            quoted(id)
        ))
    }

    /// Errors: `ENTITY_NOT_FOUND`.
    async fn entity(&self) -> Result<Value, Failure> {
        let query = format!("SELECT * FROM entities WHERE {}", self.condition("id")?);
        let found = sql::rows(&self.admin, &query).await?.pop();
        let (persistence_id, id) = self.parts()?;
        found.ok_or_else(|| {
            let message = format!("nothing is stored of entity {persistence_id}/{id}");
            Error::new(codes::ENTITY_NOT_FOUND, message).into()
        })
    }

    /// The entity, with `snapshot` or `value` if it has one.
    async fn described(&self) -> Result<Value, Failure> {
        let mut entity = self.entity().await?;
        let (part, table) = match entity["kind"].as_str() {
            Some("value") => ("value", "entity_values"),
            _ => ("snapshot", "entity_snapshots"),
        };
        let query = format!(
            "SELECT sequence, created_at, type_url, payload_length, payload_json, payload_utf8, payload FROM {table} WHERE {}",
            self.condition("entity_id")?
        );
        if let Some(kept) = sql::rows(&self.admin, &query).await?.pop() {
            entity[part] = kept;
        }
        Ok(entity)
    }
}

impl Events {
    /// People are not shown what does not fit into a line.
    fn query(&self) -> Result<String, Failure> {
        let columns = match self.named.admin.common.form() {
            super::Form::Text => "sequence, created_at, type_url, payload_length",
            super::Form::Json => "*",
        };
        Ok(format!(
            "SELECT {columns} FROM entity_events WHERE {} AND sequence > {} ORDER BY sequence LIMIT {}",
            self.named.condition("entity_id")?,
            self.after,
            self.limit
        ))
    }
}

/// A line that says which one, then facts, then what it keeps.
struct Described<'a>(&'a Value);

impl Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entity = self.0;
        let active = match entity["active"].as_bool() {
            Some(true) => "  active",
            _ => "",
        };
        let (persistence_id, id) = (text(&entity["persistence_id"]), text(&entity["id"]));
        writeln!(f, "{persistence_id}/{id}  {}{active}", text(&entity["kind"]))?;
        for (key, name) in [
            ("sequence", "sequence"),
            ("created_at", "created"),
            ("modified_at", "modified"),
        ] {
            writeln!(f, "  {name}: {}", text(&entity[key]))?;
        }
        let services: Vec<_> = entity["services"]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect();
        match services.is_empty() {
            true => writeln!(f, "  services: none that is served now")?,
            false => writeln!(f, "  services: {}", services.join(", "))?,
        }
        for part in ["snapshot", "value"] {
            if !entity[part].is_null() {
                kept(f, part, &entity[part])?;
            }
        }
        Ok(())
    }
}

fn kept(f: &mut fmt::Formatter<'_>, part: &str, kept: &Value) -> fmt::Result {
    let (type_url, length) = (text(&kept["type_url"]), text(&kept["payload_length"]));
    writeln!(
        f,
        "  {part}: {type_url}, {length} bytes, at sequence {}",
        text(&kept["sequence"])
    )?;
    match preview(kept) {
        Some(preview) => writeln!(f, "    {preview}"),
        None => Ok(()),
    }
}

/// As JSON, or as the text that it is.
fn preview(kept: &Value) -> Option<String> {
    let readable = |text: &&str| !text.is_empty() && !text.chars().any(is_unreadable);
    let json = kept["payload_json"].as_str();
    let shown = json.or_else(|| kept["payload_utf8"].as_str().filter(readable))?;
    let mut preview: String = shown.chars().take(PREVIEW_MAX).collect();
    if preview.len() < shown.len() {
        preview.push_str("... (--json prints all of it)");
    }
    Some(preview.replace(['\n', '\r', '\t'], " "))
}

fn is_unreadable(letter: char) -> bool {
    letter.is_control() && !letter.is_whitespace()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    fn parsed(arguments: &[&str]) -> Command {
        let line = [&["entities"], arguments].concat();
        Line::try_parse_from(line).expect("a command").command
    }

    #[track_caller]
    fn check_name(arguments: &[&str], expected: Option<(&str, &str)>) {
        let Command::Describe(named) = parsed(&[&["describe"], arguments].concat()) else {
            panic!("another command");
        };
        assert_eq!(named.parts().ok(), expected);
    }

    #[test]
    fn entities_are_named_by_one_argument_or_by_two() {
        check_name(&["carts/a"], Some(("carts", "a")));
        check_name(&["carts/a/b"], Some(("carts", "a/b")));
        check_name(&["carts/"], Some(("carts", "")));
        check_name(&["my/carts", "a"], Some(("my/carts", "a")));
        check_name(&["carts"], None);
    }

    #[test]
    fn lists_are_asked_for_with_their_filters() {
        let query = |arguments: &[&str]| match parsed(arguments) {
            Command::List(list) => list.query(),
            other => panic!("{other:?}"),
        };
        let start = "SELECT persistence_id, id, kind, sequence, active, modified_at FROM entities";
        let end = "ORDER BY modified_at DESC, persistence_id, id LIMIT";
        assert_eq!(query(&["list"]), format!("{start} {end} 100"));
        assert_eq!(
            query(&[
                "list",
                "--persistence-id",
                "it's",
                "--kind",
                "value",
                "--limit",
                "5"
            ]),
            format!("{start} WHERE persistence_id = 'it''s' AND kind = 'value' {end} 5")
        );
        assert!(Line::try_parse_from(["entities", "list", "--kind", "crdt"]).is_err());
    }

    #[test]
    fn people_are_shown_facts_and_what_can_be_read() {
        let mut entity = json!({
            "persistence_id": "carts", "id": "a", "kind": "event_sourced", "sequence": 7, "created_at": "C",
            "modified_at": "M", "services": ["t.S"], "active": true,
            "snapshot": {"sequence": 5, "type_url": "x/y", "payload_length": 3, "payload_json": "{\"a\":1}"},
        });
        let expected = "carts/a  event_sourced  active\n  sequence: 7\n  created: C\n  modified: M\n  services: t.S\n  snapshot: x/y, \
                        3 bytes, at sequence 5\n    {\"a\":1}\n";
        assert_eq!(Described(&entity).to_string(), expected);
        entity["active"] = false.into();
        entity["services"] = json!([]);
        entity["snapshot"] = Value::Null;
        let expected = "carts/a  event_sourced\n  sequence: 7\n  created: C\n  modified: M\n  services: none that is served now\n";
        assert_eq!(Described(&entity).to_string(), expected);
    }

    #[test]
    fn previews_are_short_lines_of_text() {
        let shown = |text: &str| preview(&json!({ "payload_utf8": text }));
        assert_eq!(shown("a\nb").as_deref(), Some("a b"));
        assert_eq!(shown("\u{3}tea"), None);
        assert_eq!(shown(""), None);
        assert_eq!(preview(&json!({})), None);
        let long = shown(&"é".repeat(PREVIEW_MAX + 1)).expect("a text");
        assert!(long.starts_with('é') && long.ends_with("... (--json prints all of it)"));
    }
}
