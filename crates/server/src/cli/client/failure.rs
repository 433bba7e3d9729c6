//! Why a command ended early: what standard error tells, and the exit code.

use std::fmt;

use base::{Error, codes};
use serde_json::json;
use tonic::{Code, Status};

use super::console::Form;
use super::place::Place;
use crate::cli::{Exit, Outcome, Report};

/// Where the server puts its own error code.
const CODE_HEADER: &str = "belay-error-code";

#[derive(Debug)]
pub(super) struct Failure {
    told: Told,
    exit: Exit,
}

#[derive(Debug)]
enum Told {
    Nothing,
    Line(String),
    Report(Report),
}

/// A call, as messages tell of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    /// `GetState`
    pub(super) name: &'static str,
    /// The component that it is for, and what names another one: `state_demo`, `--store`.
    pub(super) component: &'a str,
    pub(super) flag: &'static str,
}

impl Failure {
    /// What was asked for is not so, and nothing is wrong with it: one line, exit code 1.
    pub(super) fn no(line: impl fmt::Display) -> Failure {
        Failure {
            told: Told::Line(line.to_string()),
            exit: Exit::Failed,
        }
    }

    pub(super) fn new(report: Report, exit: Exit) -> Failure {
        let told = Told::Report(report);
        Failure { told, exit }
    }

    /// Everything was said already.
    pub(super) fn silent(exit: Exit) -> Failure {
        let told = Told::Nothing;
        Failure { told, exit }
    }

    /// Nobody answers there, or nobody who speaks the protocol.
    pub(super) fn not_running(place: &Place, cause: impl fmt::Display) -> Failure {
        let message = format!("no belay answers on {}: {cause}", place.target);
        let report = Report::of(&Error::new(codes::NOT_RUNNING, message))
            .fact("address", format_args!("{} ({})", place.target, place.found))
            .next("start one: belay dev; or say where it is: --address host:port");
        Failure::new(report, Exit::NotRunning)
    }

    /// What the server answered to a call, or that it could not.
    pub(super) fn answered(place: &Place, call: Call<'_>, status: &Status) -> Failure {
        // Only a status that was made on this side knows a cause.
        if let Some(cause) = std::error::Error::source(status) {
            return Failure::not_running(place, root(cause));
        }
        let code = status.metadata().get(CODE_HEADER).and_then(|id| id.to_str().ok());
        let message = match status.message() {
            "" => status.code().description(),
            message => message,
        };
        let report = match code.and_then(codes::find) {
            Some(code) => Report::of(&Error::new(code, message)),
            None => Report::uncoded(message),
        };
        let report = report
            .fact("call", format_args!("{} on {}", call.name, place.target))
            .fact(
                "grpc",
                format_args!("{} ({})", grpc_name(status.code()), status.code() as i32),
            );
        let report = match call.is_unknown_component(status) {
            true => report.next(format!(
                "name one of its components with {}; this was {}",
                call.flag, call.component
            )),
            false => report,
        };
        Failure::new(report, Exit::Failed)
    }

    #[cfg(test)]
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        match &self.told {
            Told::Nothing => String::new(),
            Told::Line(line) => format!("{line}\n"),
            Told::Report(report) => report.to_string(),
        }
    }

    /// For programs: the same, as one object on one line.
    fn json(&self) -> String {
        let error = match &self.told {
            Told::Nothing => return String::new(),
            Told::Line(line) => json!({"message": line}),
            Told::Report(report) => report.json(),
        };
        format!("{}\n", json!({"error": error}))
    }

    pub(super) fn outcome(&self, form: Form) -> Outcome {
        let stderr = match form {
            Form::Text => self.text(),
            Form::Json => self.json(),
        };
        Outcome {
            stderr,
            exit: self.exit,
            ..Outcome::default()
        }
    }
}

impl Call<'_> {
    /// The reference's texts for it differ from block to block, and have no code.
    fn is_unknown_component(self, status: &Status) -> bool {
        let text = status.message();
        let says = |part| text.contains(part);
        let named = says(self.component) && (says("not found") || says("is not initialized"));
        status.metadata().get(CODE_HEADER).is_none() && (named || text.ends_with("is not configured"))
    }
}

/// The innermost cause says the most: the others are the layers that it went through.
pub(super) fn root(cause: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = cause;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = cause.to_string();
    // The system's words without its number.
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// `FAILED_PRECONDITION`, as every other client writes it.
fn grpc_name(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::new(Report::of(&error), Exit::of(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place {
            target: "127.0.0.1:34904".parse().expect("an address"),
            found: "the default".to_owned(),
        }
    }

    fn answered(status: &Status) -> String {
        let call = Call {
            name: "SaveState",
            component: "state_demo",
            flag: "--store",
        };
        Failure::answered(&place(), call, status).text()
    }

    #[test]
    fn an_error_with_a_code_names_its_page() {
        let mut status = Status::aborted("possible etag mismatch");
        let id = codes::ETAG_MISMATCH.id.parse().expect("a header");
        status.metadata_mut().insert(CODE_HEADER, id);
        let text = answered(&status);
        let start = "error BLY0050: possible etag mismatch\n  call  SaveState on 127.0.0.1:34904\n  grpc  ABORTED (10)\n  next  ";
        assert!(text.starts_with(start), "{text}");
        assert!(text.ends_with("  more  belay explain BLY0050\n"), "{text}");
    }

    #[test]
    fn an_error_without_one_is_shown_as_it_came() {
        let text = answered(&Status::failed_precondition("too early"));
        let expected =
            "error: too early\n  call  SaveState on 127.0.0.1:34904\n  grpc  FAILED_PRECONDITION (9)\n";
        assert_eq!(text, expected);
        assert!(answered(&Status::unknown("")).starts_with("error: Unknown error\n"));
    }

    #[test]
    fn an_unknown_component_is_met_by_the_flag_that_names_another() {
        for message in [
            "state store state_demo is not found",
            "state store is not configured",
            "pubsub state_demo is not initialized.",
        ] {
            let text = answered(&Status::invalid_argument(message));
            assert!(
                text.contains("  next  name one of its components with --store; this was state_demo\n"),
                "{text}"
            );
        }
        assert!(!answered(&Status::not_found("file not found")).contains("next"));
    }

    #[test]
    fn a_connection_that_breaks_is_no_answer() {
        let cause = std::io::Error::other("connection reset");
        let status = Status::from_error(Box::new(cause));
        let text = answered(&status);
        let start = "error BLY0023: no belay answers on 127.0.0.1:34904: connection reset\n  address  127.0.0.1:34904 (the default)\n  next     start one: belay dev;";
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn programs_get_the_same_as_one_object_on_one_line() {
        let json = |failure: Failure| failure.outcome(Form::Json).stderr;
        let error = Error::new(codes::ETAG_MISMATCH, "possible\netag mismatch");
        let report = Report::of(&error)
            .fact("grpc", "ABORTED (10)")
            .next("read it again");
        let expected = "{\"error\":{\"code\":\"BLY0050\",\"message\":\"possible\\netag mismatch\",\"facts\":[{\"name\":\"grpc\",\"value\":\"ABORTED (10)\"}],\"next\":\"read it again\",\"more\":\"belay explain BLY0050\"}}\n";
        assert_eq!(json(Failure::new(report, Exit::Failed)), expected);
        let uncoded = Failure::new(Report::uncoded("it broke"), Exit::Failed);
        let expected =
            "{\"error\":{\"code\":null,\"message\":\"it broke\",\"facts\":[],\"next\":null,\"more\":null}}\n";
        assert_eq!(json(uncoded), expected);
        assert_eq!(json(Failure::no("no")), "{\"error\":{\"message\":\"no\"}}\n");
        assert_eq!(json(Failure::silent(Exit::Ok)), "");
    }
}
