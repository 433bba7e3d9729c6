//! Preconditions on versions.

use base::{Error, Result, codes};

/// `expect` 0 is no precondition.
pub(super) fn check(expect: u64, found: u64) -> Result<()> {
    if expect == 0 || expect == found {
        return Ok(());
    }
    let message = format!("the version is {found} and not {expect}, read it again");
    Err(Error::new(codes::VALUE_CHANGED, message))
}
