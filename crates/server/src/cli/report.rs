//! An error as people read it: what failed, the facts, what to do next, and where there is more.
//!
//! ```text
//! error BLY0031: another belay has this data directory open
//!   directory  ./.belay
//!   next       stop it, or start this one with --data-dir another-folder
//!   more       belay explain BLY0031
//! ```

use std::error::Error as _;
use std::fmt;

use base::Error;
use serde_json::json;

use super::explain;

#[derive(Clone, Debug)]
pub struct Report {
    code: Option<base::Code>,
    headline: String,
    facts: Vec<(String, String)>,
    next: Option<String>,
}

impl Report {
    /// The error's message, its causes as far as the message does not say them, and the first step of its page.
    pub fn of(error: &Error) -> Report {
        let mut report = Report {
            code: Some(error.code()),
            headline: error.message().to_owned(),
            facts: vec![],
            next: explain::first_step(error.code()),
        };
        let mut said = error.message().to_owned();
        let mut cause = error.source();
        while let Some(next) = cause {
            let text = next.to_string();
            if !said.contains(&text) {
                report = report.fact("cause", &text);
                said = text;
            }
            cause = next.source();
        }
        report
    }

    /// What has no code: errors of other programs, passed on.
    pub fn uncoded(headline: impl Into<String>) -> Report {
        Report {
            code: None,
            headline: headline.into(),
            facts: vec![],
            next: None,
        }
    }

    /// Something the reader can check; one word for what it is.
    pub fn fact(mut self, name: &str, value: impl fmt::Display) -> Report {
        self.facts.push((name.to_owned(), value.to_string()));
        self
    }

    pub fn next(mut self, next: impl Into<String>) -> Report {
        self.next = Some(next.into());
        self
    }

    /// For programs. Facts are a list: an error may have several causes.
    pub fn json(&self) -> serde_json::Value {
        let fact = |(name, value): &(String, String)| json!({"name": name, "value": value});
        json!({
            "code": self.code.map(|code| code.id),
            "message": self.headline,
            "facts": self.facts.iter().map(fact).collect::<Vec<_>>(),
            "next": self.next,
            "more": self.more(),
        })
    }

    fn more(&self) -> Option<String> {
        self.code.map(|code| format!("belay explain {}", code.id))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) => writeln!(f, "error {}: {}", code.id, self.headline)?,
            None => writeln!(f, "error: {}", self.headline)?,
        }
        let more = self.more();
        let facts = self
            .facts
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let next = self.next.iter().map(|next| ("next", next.as_str()));
        let more = more.iter().map(|more| ("more", more.as_str()));
        let lines: Vec<(&str, &str)> = facts.chain(next).chain(more).collect();
        let width = lines
            .iter()
            .map(|(name, _)| name.chars().count())
            .max()
            .unwrap_or(0);
        lines
            .iter()
            .try_for_each(|(name, value)| writeln!(f, "  {name:width$}  {value}"))
    }
}

#[cfg(test)]
mod tests {
    use base::codes;

    use super::*;

    #[test]
    fn facts_are_aligned_and_the_page_is_named() {
        let error = Error::new(
            codes::DATA_DIR_LOCKED,
            "another belay has this data directory open",
        );
        let report = Report::of(&error)
            .fact("directory", "./.belay")
            .fact("held by", "process 4711")
            .next("stop it");
        let expected = "error BLY0031: another belay has this data directory open\n  directory  ./.belay\n  held by    process 4711\n  next       stop it\n  more       belay explain BLY0031\n";
        assert_eq!(report.to_string(), expected);
    }

    #[test]
    fn causes_are_told_once() {
        let shown = |error: &Error| Report::of(error).next("look").to_string();
        let cause = std::io::Error::other("disk on fire");
        let deeper = Error::new(codes::INTERNAL, "deeper").because(cause);
        let error = Error::new(codes::INTERNAL, "it failed").because(deeper);
        let expected = "error BLY0001: it failed\n  cause  deeper\n  cause  disk on fire\n  next   look\n  more   belay explain BLY0001\n";
        assert_eq!(shown(&error), expected);
        let cause = std::io::Error::other("disk on fire");
        assert!(
            !shown(&Error::new(codes::INTERNAL, "it failed: disk on fire").because(cause)).contains("cause")
        );
    }

    #[test]
    fn without_a_better_one_the_next_step_is_the_pages() {
        let error = Error::new(codes::ADDRESS_IN_USE, "it is taken");
        let step = explain::first_step(codes::ADDRESS_IN_USE).expect("its page has one");
        assert!(
            Report::of(&error)
                .to_string()
                .contains(&format!("  next  {step}\n"))
        );
    }
}
