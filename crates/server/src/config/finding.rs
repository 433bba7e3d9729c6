//! Something about a configuration that somebody should change, with its place in the file.

use ports::registry::Severity;
use serde::{Serialize, Serializer};

/// Where something is written. Line 0: not in the file (it came from a flag or the environment).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    /// From 1.
    pub(super) line: usize,
    /// In characters, from 1.
    pub(super) column: usize,
    /// In characters; at least 1 for what is in the file.
    pub(super) width: usize,
}

impl Span {
    pub(super) fn of(span: &saphyr_parser::Span) -> Span {
        let one_line = span.start.line() == span.end.line();
        Span {
            line: span.start.line(),
            column: span.start.col() + 1,
            width: if one_line {
                (span.end.col() - span.start.col()).max(1)
            } else {
                1
            },
        }
    }
}

/// A finding and its place. Its message says what is wrong and what to write instead; it never holds values that could be
/// secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    #[serde(serialize_with = "severity")]
    pub severity: Severity,
    /// Like `components.0.settings.url`; the flag's name for what came from a flag; empty for the file as a whole.
    pub path: String,
    pub line: usize,
    pub column: usize,
    #[serde(skip)]
    pub width: usize,
    pub message: String,
}

impl Finding {
    pub(super) fn error(at: Span, path: &str, message: impl Into<String>) -> Finding {
        Finding {
            severity: Severity::Error,
            path: path.to_owned(),
            line: at.line,
            column: at.column,
            width: at.width,
            message: message.into(),
        }
    }

    pub(super) fn warning(at: Span, path: &str, message: impl Into<String>) -> Finding {
        Finding {
            severity: Severity::Warning,
            ..Finding::error(at, path, message)
        }
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

fn severity<S: Serializer>(severity: &Severity, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    })
}

/// ``, did you mean `x`?`` when one of the names is close to what was written; else the names, if they are few.
pub(crate) fn suggestion<'name>(written: &str, names: impl Iterator<Item = &'name str>) -> String {
    const LISTED_MAX: usize = 24;
    let names: Vec<&str> = names.collect();
    let lower = written.to_lowercase();
    let closest = names
        .iter()
        .map(|name| (likeness(&lower, &name.to_lowercase()), *name))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match closest {
        Some((likeness, name)) if likeness >= 0.6 => format!(", did you mean `{name}`?"),
        Some(_) if names.len() <= LISTED_MAX => format!("; there is {}", list(&names)),
        _ => String::new(),
    }
}

/// 0 to 1. A beginning counts as like: `warning` is for `warn`.
fn likeness(written: &str, name: &str) -> f64 {
    let distance = strsim::normalized_damerau_levenshtein(written, name);
    let begins =
        name.len() >= 3 && written.len() >= 3 && (written.starts_with(name) || name.starts_with(written));
    if begins { distance.max(0.6) } else { distance }
}

/// `a`, `b` and `c`
pub(super) fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_met_by_the_closest_name() {
        let names = ["embedded", "memory", "local-file"];
        assert_eq!(
            suggestion("embeded", names.into_iter()),
            ", did you mean `embedded`?"
        );
        assert_eq!(
            suggestion("Memory", names.into_iter()),
            ", did you mean `memory`?"
        );
    }

    #[test]
    fn a_name_unlike_any_other_is_met_by_the_list() {
        assert_eq!(
            suggestion("xyz", ["a1", "b2", "c3"].into_iter()),
            "; there is `a1`, `b2` and `c3`"
        );
        assert_eq!(suggestion("xyz", [].into_iter()), "");
    }
}
