//! `belay check`: every finding of a configuration, shown in its line.

use base::{Error, codes};
use serde_json::json;

use super::{Exit, Outcome, Report, start};
use crate::config::{self, Finding, Overrides, Rejected, Source};

pub(super) fn check(source: &Source, json: bool) -> Outcome {
    let result = config::load(
        source,
        &Overrides::default(),
        &drivers::all(),
        &start::environment,
    );
    match (result, json) {
        (Ok(loaded), true) => as_json(&loaded.text.name, &loaded.findings, None),
        (Ok(loaded), false) => {
            let shown: String = loaded
                .findings
                .iter()
                .map(|finding| loaded.text.show(finding) + "\n")
                .collect();
            Outcome::ok(format!(
                "{shown}{}: {}\n",
                loaded.text.name,
                summary(&loaded.findings)
            ))
        }
        (Err(rejected), true) => as_json(&rejected.text.name, &rejected.findings, Some(&rejected.error)),
        (Err(rejected), false) => self::rejected(&rejected),
    }
}

/// What is said, at a check or at a start, about a configuration that Belay cannot start with.
pub(super) fn rejected(rejected: &Rejected) -> Outcome {
    let shown: String = rejected
        .findings
        .iter()
        .map(|finding| rejected.text.show(finding) + "\n")
        .collect();
    let name = &rejected.text.name;
    let mut report = Report::of(&rejected.error).fact("file", name);
    if !rejected.findings.is_empty() {
        report = report.fact("found", summary(&rejected.findings));
    }
    let next = if rejected.error.code() == codes::CONFIG_UNREADABLE && rejected.findings.is_empty() {
        "name the file with --config, or make one: belay dev --print-config > belay.yaml".to_owned()
    } else {
        format!("correct what is marked above, then: belay check --config {name}")
    };
    Outcome {
        stderr: format!("{shown}{}", report.next(next)),
        exit: Exit::Failed,
        ..Outcome::default()
    }
}

fn as_json(name: &str, findings: &[Finding], error: Option<&Error>) -> Outcome {
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    let value = json!({
        "file": name,
        "ok": error.is_none(),
        "error": error.map(|error| json!({"code": error.code().id, "message": error.message()})),
        "errors": errors,
        "warnings": findings.len() - errors,
        "findings": findings,
    });
    let exit = error.map_or(Exit::Ok, Exit::of);
    Outcome {
        exit,
        ..Outcome::json(&value)
    }
}

/// `2 errors, 1 warning`; `no findings`
fn summary(findings: &[Finding]) -> String {
    let errors = findings.iter().filter(|finding| finding.is_error()).count();
    let counts = [(errors, "error"), (findings.len() - errors, "warning")];
    let parts: Vec<String> = counts
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}{}", if count == 1 { "" } else { "s" }))
        .collect();
    if parts.is_empty() {
        "no findings".to_owned()
    } else {
        parts.join(", ")
    }
}
