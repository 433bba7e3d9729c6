//! Preconditions on versions.

use base::{Error, Result, codes};

/// What must be there for a write to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    Anything,
    Absent,
    Version(u64),
}

impl Expect {
    /// `found` is the version of what is there. Errors: `ENTRY_EXISTS`, `ENTRY_NOT_FOUND`, `VALUE_CHANGED`.
    pub(super) fn check(self, found: Option<u64>) -> Result<()> {
        match (self, found) {
            (Expect::Anything, _) | (Expect::Absent, None) => Ok(()),
            (Expect::Absent, Some(_)) => Err(Error::new(codes::ENTRY_EXISTS, "it is there already")),
            (Expect::Version(_), None) => Err(Error::new(codes::ENTRY_NOT_FOUND, "it is not there")),
            (Expect::Version(expect), Some(found)) => check(expect, found),
        }
    }
}

/// `expect` 0 is no precondition.
pub(super) fn check(expect: u64, found: u64) -> Result<()> {
    if expect == 0 || expect == found {
        return Ok(());
    }
    let message = format!("the version is {found} and not {expect}, read it again");
    Err(Error::new(codes::VALUE_CHANGED, message))
}
