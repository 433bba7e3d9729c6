//! A command that runs while a lock is held.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::signal::unix::{self, SignalKind, signal};

use super::lease::{self, Lost, Renewal};
use super::{Grant, Holder, Released};
use crate::cli::client::{Console, Failure};
use crate::cli::{Exit, Report};

/// Where the command finds the fencing token.
const TOKEN_VARIABLE: &str = "BELAY_FENCING_TOKEN";

/// Longest that giving back takes: the lock frees itself anyway.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// What shells answer for a command that is not there, and one that cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

pub(super) struct Command<'a> {
    pub(super) program: &'a OsString,
    pub(super) arguments: &'a [OsString],
}

impl Command<'_> {
    pub(super) async fn run(
        &self,
        holder: &Holder<'_>,
        grant: &Grant,
        console: &mut Console<'_>,
    ) -> Result<Exit, Failure> {
        let token = grant.token.as_deref().unwrap_or("none");
        console.note(format_args!("locked {}, token {token}", holder.name));
        let ran = match Signals::new().and_then(|signals| Ok((signals, self.start(grant)?))) {
            Ok((signals, child)) => watch(child, signals, holder, grant, console).await,
            Err(cause) => Err(self.not_started(&cause)),
        };
        let (ended, lost) = match ran {
            Ok(ran) => ran,
            Err(failure) => {
                give_back(holder, console).await;
                return Err(failure);
            }
        };
        let lost = lost || give_back(holder, console).await;
        Ok(match code(ended) {
            0 if lost => Exit::Failed,
            0 => Exit::Ok,
            code => Exit::Passed(code),
        })
    }

    fn start(&self, grant: &Grant) -> io::Result<Child> {
        let mut command = tokio::process::Command::new(self.program);
        command.args(self.arguments).env_remove(TOKEN_VARIABLE);
        if let Some(token) = &grant.token {
            command.env(TOKEN_VARIABLE, token);
        }
        command.spawn()
    }

    fn not_started(&self, cause: &io::Error) -> Failure {
        let program = self.program.to_string_lossy();
        let report = Report::uncoded(format!("{program} cannot be started: {cause}"));
        let code = match cause.kind() {
            ErrorKind::NotFound => NOT_FOUND,
            _ => NOT_RUNNABLE,
        };
        Failure::new(report, Exit::Passed(code))
    }
}

/// Signals that would end this process while the command runs.
struct Signals {
    interrupt: unix::Signal,
    terminate: unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }
}

/// Waits for the command, whatever becomes of the lock; says how it ended, and whether the lock was lost before.
async fn watch(
    mut child: Child,
    mut signals: Signals,
    holder: &Holder<'_>,
    grant: &Grant,
    console: &mut Console<'_>,
) -> Result<(ExitStatus, bool), Failure> {
    let ttl = ttl(holder);
    let renew = || async {
        match holder.renew().await {
            Ok(renewal) => renewal,
            Err(failure) => Renewal::Failed(headline(&failure)),
        }
    };
    let mut keeping = pin!(lease::keep(grant.asked, ttl, renew));
    let mut is_lost = false;
    loop {
        tokio::select! {
            ended = child.wait() => {
                let report = |cause| Report::uncoded(format!("the command cannot be waited for: {cause}"));
                let ended = ended.map_err(|cause| Failure::new(report(cause), Exit::Failed))?;
                return Ok((ended, is_lost));
            }
            why = &mut keeping, if !is_lost => {
                is_lost = lost(holder, &why, console);
            }
            // A terminal tells the command itself; whoever means this process alone sends the other one.
            _ = signals.interrupt.recv() => {}
            _ = signals.terminate.recv() => pass_on(&child),
        }
    }
}

/// The child was not waited for yet, so the id is still its own.
fn pass_on(child: &Child) {
    let id = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    if let Some(id) = id {
        // It may have ended by itself just now.
        let _ = kill_process(id, Signal::TERM);
    }
}

/// Unlocks; says whether the lock was found to be lost.
async fn give_back(holder: &Holder<'_>, console: &mut Console<'_>) -> bool {
    let why = match tokio::time::timeout(UNLOCK_TIMEOUT, holder.unlock()).await {
        Ok(Ok(Released::Success)) => return false,
        Ok(Ok(Released::LockUnexist)) => return lost(holder, &Lost::Ended, console),
        Ok(Ok(Released::LockBelongToOthers)) => return lost(holder, &Lost::Taken, console),
        Ok(Ok(Released::InternalError)) => "the lock store failed".to_owned(),
        Ok(Err(failure)) => headline(&failure),
        Err(_) => "no answer".to_owned(),
    };
    // The command ran under the lock all the same, so this is no reason to call it failed.
    let Holder { name, owner, ttl, .. } = holder;
    console.note(format_args!(
        "warning: {name} could not be given back: {why}\n  next  it frees itself within {ttl} s, or: belay unlock {name} --owner {owner}"
    ));
    false
}

fn lost(holder: &Holder<'_>, lost: &Lost, console: &mut Console<'_>) -> bool {
    let why = match lost {
        Lost::Ended => "its time was over",
        Lost::Taken => "another holds it",
        Lost::NotRenewed(why) => &format!("it could not be renewed: {why}"),
    };
    console.note(format_args!(
        "error: the lock {} was lost while the command ran: {why}\n  next  check what it has done; what it writes to should refuse an older token",
        holder.name
    ));
    true
}

fn ttl(holder: &Holder<'_>) -> Duration {
    Duration::from_secs(holder.ttl.unsigned_abs().into())
}

/// The first line of a report, without its first word.
fn headline(failure: &Failure) -> String {
    let text = failure.text();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error ").unwrap_or(line).to_owned()
}

/// As shells tell it: a signal's number is added to 128.
fn code(ended: ExitStatus) -> u8 {
    let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
