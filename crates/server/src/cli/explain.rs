//! `belay explain`: the page of an error code, compiled in from `docs/errors`.

use std::fmt::Write;

use base::{Code, Error, codes};

use super::Outcome;
use crate::config::suggestion;

// PAGES: &[(&str, &str)], made by the build script: each file of docs/errors by its name.
include!(concat!(env!("OUT_DIR"), "/error_pages.rs"));

pub(super) fn explain(written: Option<&str>) -> Outcome {
    let Some(written) = written else {
        return Outcome::ok(list());
    };
    match find(written) {
        Some(code) => Outcome::ok(page(code)),
        None => {
            let suggestion = suggestion(written, codes::ALL.iter().map(|code| code.id));
            let message = format!("no error code `{written}`{suggestion}; `belay explain` lists them all");
            Outcome::failed(&Error::new(codes::NO_SUCH_CODE, message))
        }
    }
}

/// `BLY0031`, `bly31`, `0031` and `31` are one code.
fn find(written: &str) -> Option<Code> {
    let digits = written
        .trim()
        .trim_start_matches(|character: char| character.is_ascii_alphabetic());
    let number: u16 = digits.parse().ok()?;
    codes::find(&format!("BLY{number:04}"))
}

fn page(code: Code) -> String {
    let page = PAGES
        .iter()
        .find(|(id, _)| *id == code.id)
        .map(|(_, page)| page.trim_end());
    match page {
        Some(page) => format!("{page}\n"),
        None => format!("{}: {}\n", code.id, code.title),
    }
}

/// The first thing that a code's page says to do, on one line.
pub(super) fn first_step(code: Code) -> Option<String> {
    let page = PAGES.iter().find(|(id, _)| *id == code.id)?.1;
    let (_, steps) = page.split_once("## What to do")?;
    let mut lines = steps.lines().map(str::trim).skip_while(|line| line.is_empty());
    let first = lines.next()?;
    let rest = lines.take_while(|line| !line.is_empty() && !line.starts_with("- ") && !line.starts_with('#'));
    let step: Vec<&str> = std::iter::once(first.trim_start_matches("- "))
        .chain(rest)
        .collect();
    Some(step.join(" ").trim_end_matches('.').to_owned())
}

fn list() -> String {
    let mut list = String::new();
    for code in codes::ALL {
        // Formatting into a String does not fail.
        let _ = writeln!(list, "{}  {}", code.id, code.title);
    }
    list + "\nOne of them in full: belay explain BLY0031\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let pages: Vec<&str> = PAGES.iter().map(|(id, _)| *id).collect();
        let missing: Vec<&str> = codes::ALL
            .iter()
            .map(|code| code.id)
            .filter(|id| !pages.contains(id))
            .collect();
        let homeless: Vec<&&str> = pages.iter().filter(|id| codes::find(id).is_none()).collect();
        assert!(
            missing.is_empty() && homeless.is_empty(),
            "without a page: {missing:?}, without a code: {homeless:?}"
        );
    }

    #[test]
    fn every_page_names_its_code() {
        for (id, page) in PAGES {
            assert!(
                page.lines().next().is_some_and(|title| title.contains(id)),
                "{id}"
            );
        }
    }

    #[test]
    fn every_page_says_what_to_do() {
        for code in codes::ALL {
            let step = first_step(*code).unwrap_or_default();
            assert!(
                step.len() > 10 && !step.contains('\n') && !step.starts_with('-'),
                "{}: {step}",
                code.id
            );
        }
    }

    #[test]
    fn a_code_is_found_by_its_number() {
        for written in ["BLY0031", "bly0031", "BLY31", "0031", "31"] {
            assert_eq!(find(written), Some(codes::DATA_DIR_LOCKED), "{written}");
        }
        for written in ["", "BLY", "BLY9999", "31x", "99999999"] {
            assert_eq!(find(written), None, "{written}");
        }
    }

    #[test]
    fn an_unknown_code_is_met_by_the_closest() {
        let outcome = explain(Some("BLZ00311"));
        assert!(
            outcome
                .stderr
                .starts_with("error BLY0015: no error code `BLZ00311`, did you mean"),
            "{}",
            outcome.stderr
        );
    }

    #[test]
    fn without_a_code_all_are_listed() {
        let list = explain(None).stdout;
        assert!(
            codes::ALL
                .iter()
                .all(|code| list.contains(&format!("{}  {}", code.id, code.title)))
        );
    }
}
