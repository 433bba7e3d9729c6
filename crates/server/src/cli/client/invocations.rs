//! `belay invocations`: what runs, and what people do about it.

use std::fmt::{self, Display};

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use super::admin::Admin;
use super::sql::{self, quoted};
use super::{Common, Console, Exit, Failure};

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Command {
    /// List invocations, the newest first.
    List(List),
    /// Show an invocation: how it stands, and its journal with times.
    Describe(One),
    /// Ask an invocation to end: its code hears of it at its next step, and may clean up.
    Cancel(One),
    /// End an invocation now, and all that it has called. Its code does not hear of it.
    Kill(One),
    /// Let an invocation rest until somebody resumes it.
    Pause(One),
    /// Let an invocation go on: one that rests, or waits for its next attempt.
    Resume(One),
    /// Forget a completed invocation.
    Purge(One),
    /// Begin a completed invocation anew, as another one with the same input.
    Restart(One),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct One {
    /// Its id: inv_1...
    id: String,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Only those of this service.
    #[arg(long)]
    service: Option<String>,
    /// Only those of this virtual object's or workflow's key.
    #[arg(long)]
    key: Option<String>,
    /// Only those of this handler.
    #[arg(long)]
    handler: Option<String>,
    /// Only those that stand so: scheduled, pending, running, backing-off, suspended, paused, completed. Again for more.
    #[arg(long)]
    status: Vec<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100)]
    limit: u32,
    #[command(flatten)]
    admin: Admin,
}

impl List {
    fn query(&self) -> String {
        let mut query = "SELECT id, target, status, created_at, retry_count, completion_result, \
             COALESCE(completion_failure, last_failure) AS failure FROM sys_invocation"
            .to_owned();
        let columns = [
            ("target_service_name", &self.service),
            ("target_service_key", &self.key),
            ("target_handler_name", &self.handler),
        ];
        let wanted = |(column, value): (&str, &Option<String>)| {
            Some(format!("{column} = {}", quoted(value.as_ref()?)))
        };
        let mut conditions: Vec<_> = columns.into_iter().filter_map(wanted).collect();
        if !self.status.is_empty() {
            let statuses: Vec<_> = self.status.iter().map(|status| quoted(status)).collect();
            conditions.push(format!("status IN ({})", statuses.join(", ")));
        }
        if !conditions.is_empty() {
            query = format!("{query} WHERE {}", conditions.join(" AND "));
        }
        format!("{query} ORDER BY created_at DESC, id LIMIT {}", self.limit)
    }
}

impl Command {
    /// The invocation, what is asked for and what is said when it is done; `Err`: a list.
    fn parts(&self) -> Result<(&One, &'static str, &'static str), &List> {
        Ok(match self {
            Command::List(list) => return Err(list),
            Command::Describe(one) => (one, "describe", "described"),
            Command::Cancel(one) => (one, "cancel", "cancelled"),
            Command::Kill(one) => (one, "kill", "killed"),
            Command::Pause(one) => (one, "pause", "paused"),
            Command::Resume(one) => (one, "resume", "resumed"),
            Command::Purge(one) => (one, "purge", "purged"),
            Command::Restart(one) => (one, "restart-as-new", "restarted"),
        })
    }

    pub(super) fn common(&self) -> &Common {
        match self.parts() {
            Ok((one, ..)) => &one.admin.common,
            Err(list) => &list.admin.common,
        }
    }

    pub(super) async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let (one, what, done) = match self.parts() {
            Ok(parts) => parts,
            Err(list) => {
                let rows = sql::rows(&list.admin, &list.query()).await?;
                sql::say(console, &list.admin, &rows)?;
                return Ok(Exit::Ok);
            }
        };
        let path = format!("/invocations/{}", one.id);
        if matches!(self, Command::Describe(_)) {
            let value = one.admin.ask(Method::GET, &path, None).await?;
            console.say_lines(one.admin.common.form(), Described(&value), &value)?;
            return Ok(Exit::Ok);
        }
        let path = format!("{path}/{what}");
        let answer = one.admin.ask(Method::PATCH, &path, None).await?;
        let mut json = json!({ "invocation": one.id, "done": done });
        let mut line = format!("{done} {}", one.id);
        if let Some(new) = answer["new_invocation_id"].as_str() {
            json["new_invocation"] = new.into();
            line = format!("{line} as {new}");
        }
        console.say_lines(one.admin.common.form(), format_args!("{line}\n"), &json)?;
        Ok(Exit::Ok)
    }
}

/// As a tree: what it is, then its journal.
struct Described<'a>(&'a Value);

impl Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        writeln!(
            f,
            "{}  {}  {}",
            text(&self.0["id"]),
            text(&self.0["target"]),
            text(&self.0["status"])
        )?;
        let facts = [
            ("created_at", "created"),
            ("scheduled_at", "scheduled"),
            ("completed_at", "completed"),
            ("deployment_id", "deployment"),
            ("invoked_by", "called by"),
            ("idempotency_key", "idempotency key"),
            ("next_retry_at", "next attempt"),
            ("last_failure", "last failure"),
            ("result", "result"),
        ];
        for (key, name) in facts {
            if !self.0[key].is_null() {
                writeln!(f, "  {name}: {}", text(&self.0[key]))?;
            }
        }
        for entry in self.0["journal"].as_array().into_iter().flatten() {
            write!(
                f,
                "  {:>4}  {}  {}",
                text(&entry["index"]),
                text(&entry["at"]),
                text(&entry["entry"])
            )?;
            for key in ["name", "of", "result", "value"] {
                if !entry[key].is_null() {
                    write!(f, "  {}", text(&entry[key]))?;
                }
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_is_shown_with_its_journal() {
        let value = json!({
            "id": "inv_1x", "target": "Greeter/greet", "status": "completed", "created_at": "T", "deployment_id": null,
            "result": {"value": "hi"},
            "journal": [{"index": 0, "at": "T", "entry": "Command: Input", "value": "in"},
                        {"index": 1, "at": "T", "entry": "Notification: Run", "of": 1, "result": "x"}],
        });
        let expected = "inv_1x  Greeter/greet  completed\n  created: T\n  result: {\"value\":\"hi\"}\n     0  T  Command: Input  in\n     1  \
                        T  Notification: Run  1  x\n";
        assert_eq!(Described(&value).to_string(), expected);
    }
}
