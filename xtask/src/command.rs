//! Running other programs.

use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Cargo, as it was asked for: without what it told xtask about xtask, which would make build scripts run again.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = program("cargo", arguments);
    for (name, _) in std::env::vars_os() {
        let own = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"]
            .iter()
            .any(|prefix| own.starts_with(prefix))
        {
            command.env_remove(&name);
        }
    }
    command
}

/// A program that will run in the workspace's root.
pub(crate) fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(workspace::root());
    command
}

/// Runs to the end, with the caller's terminal.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(())
}

/// Runs to the end and returns what it wrote to its standard output; its errors go to the caller's terminal.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let Output { status, stdout, .. } = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("start `{}`", line(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", line(command));
    }
    Ok(stdout)
}

/// All that a program writes, or nothing if it cannot be run or fails.
pub(crate) fn answer(name: &str, arguments: &[&str]) -> Option<String> {
    let Output {
        status,
        stdout,
        stderr,
    } = program(name, arguments).output().ok()?;
    let text = [stdout, stderr].concat();
    status
        .success()
        .then(|| String::from_utf8_lossy(&text).into_owned())
}

/// The command as a reader would type it, from the workspace's root.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    let root = workspace::root();
    match command
        .get_current_dir()
        .and_then(|folder| folder.strip_prefix(&root).ok())
    {
        Some(folder) if !folder.as_os_str().is_empty() => {
            format!("cd {} && {}", folder.display(), words.join(" "))
        }
        _ => words.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command() {
        let error = run(&mut program("false", &["at", "once"])).expect_err("it fails");
        assert!(error.to_string().starts_with("`false at once` failed"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = run(&mut program("no-such-program", &[])).expect_err("there is none");
        assert_eq!(error.to_string(), "start `no-such-program`");
        assert_eq!(answer("no-such-program", &[]), None);
    }

    #[test]
    fn a_command_elsewhere_is_shown_with_its_folder() {
        let mut command = program("npm", &["ci"]);
        command.current_dir(workspace::root().join("tests/js"));
        assert_eq!(line(&command), "cd tests/js && npm ci");
    }
}
