//! Exit codes: scripts and supervisors decide by them.

use std::fmt::Write;
use std::process::ExitCode;

use base::{Error, codes};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exit {
    #[default]
    Ok,
    Failed,
    Usage,
    CannotStart,
    EngineStopped,
    NotRunning,
    /// The code of a command that this one has run: `belay lock NAME -- COMMAND`.
    Passed(u8),
}

impl Exit {
    const ALL: [Exit; 6] = [
        Exit::Ok,
        Exit::Failed,
        Exit::Usage,
        Exit::CannotStart,
        Exit::EngineStopped,
        Exit::NotRunning,
    ];

    pub fn code(self) -> u8 {
        match self {
            Exit::Ok => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::CannotStart => 3,
            Exit::EngineStopped => 4,
            Exit::NotRunning => 5,
            Exit::Passed(code) => code,
        }
    }

    fn about(self) -> &'static str {
        match self {
            Exit::Ok => "done, or stopped as asked",
            Exit::Failed => "the command failed, or the configuration has errors",
            Exit::Usage => "the command line cannot be understood",
            Exit::CannotStart => {
                "cannot start: an address, the data directory or a component; starting again may help later"
            }
            Exit::EngineStopped => {
                "the engine stopped after a failed write; start again, acknowledged data is kept"
            }
            Exit::NotRunning => "no running Belay answers there",
            Exit::Passed(_) => "what the command that it has run ended with",
        }
    }

    /// What an error ends a command with.
    pub fn of(error: &Error) -> Exit {
        const CANNOT_START: [base::Code; 8] = [
            codes::ADDRESS_IN_USE,
            codes::ADDRESS_INVALID,
            codes::SOCKET_PATH_BLOCKED,
            codes::DATA_DIR_UNUSABLE,
            codes::DATA_DIR_LOCKED,
            codes::DATA_FORMAT_NEWER,
            codes::DATA_DAMAGED,
            codes::COMPONENT_NOT_OPENED,
        ];
        match error.code() {
            code if CANNOT_START.contains(&code) => Exit::CannotStart,
            codes::ENGINE_STOPPED => Exit::EngineStopped,
            codes::NOT_RUNNING => Exit::NotRunning,
            _ => Exit::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// The list for `belay --help`.
pub(super) fn help() -> String {
    let mut help = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        // Formatting into a String does not fail.
        let _ = writeln!(help, "  {}  {}", exit.code(), exit.about());
    }
    help.push_str("\nEvery error has a code of its own: belay explain BLY0031");
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_all_in_the_help() {
        let help = help();
        for (index, exit) in Exit::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(exit.code()), index);
            assert!(help.contains(&format!("  {}  {}", exit.code(), exit.about())));
        }
    }

    #[test]
    fn a_supervisor_can_tell_what_will_not_help() {
        let exit = |code| Exit::of(&Error::new(code, "x"));
        assert_eq!(exit(codes::ADDRESS_IN_USE), Exit::CannotStart);
        assert_eq!(exit(codes::ENGINE_STOPPED), Exit::EngineStopped);
        assert_eq!(exit(codes::NOT_RUNNING), Exit::NotRunning);
        assert_eq!(exit(codes::CONFIG_INVALID), Exit::Failed);
    }
}
