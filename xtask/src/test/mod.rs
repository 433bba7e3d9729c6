//! `cargo xtask test`: everything that must pass, on a machine where nothing was installed by hand.
//!
//! What xtask says goes to standard error, so that standard output is cargo's own.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::{command, docs, tidy, workspace};

mod system;

#[derive(Debug)]
pub struct Options {
    /// Run the tests that take minutes as well.
    pub long: bool,
    /// Run one language's part only.
    pub only: Option<Language>,
}

/// Whose clients a step or a test is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    Rust,
    Js,
    Java,
    Go,
    Python,
}

use Language::{Go, Java, Js, Python, Rust};

struct Step {
    name: &'static str,
    languages: &'static [Language],
    run: fn(&Options) -> Result<()>,
    /// For the reader of a failure.
    advice: &'static str,
}

/// All steps, in order.
const STEPS: &[Step] = &[
    Step {
        name: "toolchain",
        languages: &[Rust],
        run: |_| system::ensure_components(),
        advice: "install rustup (https://rustup.rs), or your system's packages of rustfmt and clippy",
    },
    Step {
        name: "system packages",
        languages: &[Rust, Js, Java, Go, Python],
        run: |options| system::ensure_packages(options.only),
        advice: "install what is named above by hand, or leave that language out with --only",
    },
    Step {
        name: "format",
        languages: &[Rust],
        run: |_| command::run(&mut command::cargo(&["fmt", "--all", "--check"])),
        advice: "run `cargo fmt --all`",
    },
    Step {
        name: "clippy",
        languages: &[Rust],
        run: |_| clippy(),
        advice: "fix each finding above; the bans give their reasons in clippy.toml",
    },
    Step {
        name: "tidy",
        languages: &[Rust],
        run: |_| tidy::run(),
        advice: "do what each finding says; `cargo xtask tidy` runs this step alone",
    },
    Step {
        name: "reference pages",
        languages: &[Rust],
        run: |_| docs::check(),
        advice: "run `cargo xtask docs` and commit docs/reference",
    },
    Step {
        name: "JavaScript clients",
        languages: &[Js],
        run: |_| build("tests/js", "npm", &["ci", "--no-audit", "--no-fund"]),
        advice: "see whether npm reaches its registry; package-lock.json must fit package.json",
    },
    Step {
        name: "Restate's JavaScript SDKs",
        languages: &[Js],
        run: |_| build("tests/restate/js", "npm", &["ci", "--no-audit", "--no-fund"]),
        advice: "see whether npm reaches its registry; package-lock.json must fit package.json",
    },
    Step {
        name: "Restate's command line",
        languages: &[Js],
        // A package that it pulls in would report that it was installed.
        run: |_| {
            build(
                "tests/restate/cli",
                "npm",
                &["ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            )
        },
        advice: "see whether npm reaches its registry; package-lock.json must fit package.json",
    },
    Step {
        name: "Java clients",
        languages: &[Java],
        run: |_| build("tests/java", "mvn", &["-q", "-B", "package"]),
        advice: "see whether Maven reaches its repository, then read its first error",
    },
    Step {
        name: "Go clients",
        languages: &[Go],
        run: |_| build("tests/go", "go", &["build", "-o", "target/atomix", "."]),
        advice: "see whether Go reaches its module proxy; go.sum must fit go.mod",
    },
    Step {
        name: "Restate's Java SDK",
        languages: &[Java],
        run: |_| build("tests/restate/java", "mvn", &["-q", "-B", "package"]),
        advice: "see whether Maven reaches its repository, then read its first error",
    },
    Step {
        name: "Restate's Go SDK",
        languages: &[Go],
        run: |_| build("tests/restate/go", "go", &["build", "-o", "target/services", "."]),
        advice: "see whether Go reaches its module proxy; go.sum must fit go.mod",
    },
    Step {
        name: "Restate's Rust SDK",
        languages: &[Rust],
        run: |_| {
            build(
                "tests/restate/rust",
                "cargo",
                &["build", "--locked", "--target-dir", "target"],
            )
        },
        advice: "see whether cargo reaches crates.io; Cargo.lock must fit Cargo.toml",
    },
    Step {
        name: "Cloudstate's JavaScript SDK",
        languages: &[Js],
        run: |_| build("tests/cloudstate/js", "npm", &["ci", "--no-audit", "--no-fund"]),
        advice: "see whether npm reaches its registry; package-lock.json must fit package.json",
    },
    Step {
        name: "Cloudstate's Go SDK",
        languages: &[Go],
        run: |_| {
            build(
                "tests/cloudstate/go",
                "go",
                &["build", "-o", "target/functions", "."],
            )
        },
        advice: "see whether Go reaches its module proxy; go.sum must fit go.mod",
    },
    Step {
        name: "Cloudstate's Python SDK",
        languages: &[Python],
        run: |_| {
            venv(
                "tests/cloudstate/python",
                "venv",
                &["--no-deps", "--requirement", "requirements.txt"],
            )
        },
        advice: "see whether pip reaches its index; the versions are in requirements.txt",
    },
    Step {
        name: "clients of Cloudstate's front door",
        languages: &[Js],
        run: |_| {
            build(
                "tests/cloudstate/clients",
                "npm",
                &["ci", "--no-audit", "--no-fund"],
            )
        },
        advice: "see whether npm reaches its registry; package-lock.json must fit package.json",
    },
    Step {
        name: "grpcurl",
        languages: &[Go],
        run: |_| {
            build(
                "tests/cloudstate/grpcurl",
                "go",
                &[
                    "build",
                    "-o",
                    "target/grpcurl",
                    "github.com/fullstorydev/grpcurl/cmd/grpcurl",
                ],
            )
        },
        advice: "see whether Go reaches its module proxy; go.sum must fit go.mod",
    },
    Step {
        name: "Restate's Python SDK",
        languages: &[Python],
        run: |_| {
            venv(
                RESTATE_PYTHON,
                "venv-0.5",
                &["--requirement", "requirements-0.5.txt"],
            )?;
            venv(RESTATE_PYTHON, "venv", &["--requirement", "requirements.txt"])
        },
        advice: "see whether pip reaches its index; the versions are in requirements*.txt",
    },
    Step {
        name: "tests",
        languages: &[Rust, Js, Java, Go, Python],
        run: tests,
        advice: "the first failure is above; `cargo test --workspace NAME` repeats one test",
    },
];

/// Runs every step that the options ask for and stops at the first that fails.
pub fn run(options: &Options) -> Result<()> {
    let started = Instant::now();
    let steps: Vec<&Step> = STEPS
        .iter()
        .filter(|step| options.only.is_none_or(|only| step.languages.contains(&only)))
        .collect();
    let mut times = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let place = format!("step {} of {}, {}", index + 1, steps.len(), step.name);
        eprintln!("== {place}");
        let step_started = Instant::now();
        (step.run)(options).with_context(|| format!("{place}, failed; what to do: {}", step.advice))?;
        eprintln!("== {place}: {}", seconds(step_started.elapsed()));
        times.push((step.name, step_started.elapsed()));
    }
    for (name, time) in times {
        eprintln!("{:>9}  {name}", seconds(time));
    }
    eprintln!("{:>9}  in total, everything passed", seconds(started.elapsed()));
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn clippy() -> Result<()> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    command::run(&mut command::cargo(&arguments))
}

/// Builds the clients of one language.
fn build(folder: &str, name: &str, arguments: &[&str]) -> Result<()> {
    let path = workspace::root().join(folder);
    if !path.is_dir() {
        bail!("there is no folder {folder}: its clients cannot be tested");
    }
    command::run(command::program(name, arguments).current_dir(path))
}

const RESTATE_PYTHON: &str = "tests/restate/python";

/// What is to be installed, in a folder of its own.
fn venv(folder: &str, name: &str, what: &[&str]) -> Result<()> {
    build(folder, "python3", &["-m", "venv", name])?;
    // By its whole path: what a relative one means beside another working directory differs.
    let pip = workspace::root().join(folder).join(name).join("bin/pip");
    let install = [&["install", "--quiet"], what].concat();
    build(folder, &pip.to_string_lossy(), &install)
}

/// Builds the server, then runs the tests against it.
fn tests(options: &Options) -> Result<()> {
    let mut command = command::cargo(&[]);
    command.args(test_arguments(options.only));
    command.env("BELAY_BIN", build_server()?);
    if options.long {
        command.env("BELAY_LONG", "1");
    }
    command::run(&mut command)
}

/// Tests with a language's real clients live in modules called after it.
fn test_arguments(only: Option<Language>) -> &'static [&'static str] {
    match only {
        None => &["test", "--workspace"],
        Some(Rust) => &[
            "test",
            "--workspace",
            "--",
            "--skip",
            "js::",
            "--skip",
            "java::",
            "--skip",
            "go::",
            "--skip",
            "python::",
        ],
        Some(Js) => &["test", "--package", "tests", "--", "js::"],
        Some(Java) => &["test", "--package", "tests", "--", "java::"],
        Some(Go) => &["test", "--package", "tests", "--", "go::"],
        Some(Python) => &["test", "--package", "tests", "--", "python::"],
    }
}

/// Path of the server's binary, as cargo reports it.
fn build_server() -> Result<PathBuf> {
    let format = "--message-format=json-render-diagnostics";
    let mut command: Command = command::cargo(&["build", "--package", "belay", format]);
    let messages = String::from_utf8(command::output(&mut command)?)?;
    match messages.lines().find_map(executable) {
        Some(path) => Ok(path),
        None => bail!("cargo built no binary called belay"),
    }
}

/// The server's path, if this message of cargo's has it.
fn executable(message: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let path = message.get("executable")?.as_str()?;
    (message["target"]["name"] == "belay").then(|| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_found_among_cargos_messages() {
        let server = r#"{"reason":"compiler-artifact","target":{"name":"belay"},"executable":"/t/belay"}"#;
        let other = r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/t/other"}"#;
        let library = r#"{"reason":"compiler-artifact","target":{"name":"belay"},"executable":null}"#;
        assert_eq!(executable(server), Some("/t/belay".into()));
        assert_eq!(executable(other), None);
        assert_eq!(executable(library), None);
    }

    #[test]
    fn every_language_has_its_steps_and_the_tests() {
        for language in [Rust, Js, Java, Go, Python] {
            let names: Vec<&str> = STEPS
                .iter()
                .filter(|step| step.languages.contains(&language))
                .map(|step| step.name)
                .collect();
            assert!(
                names.len() > 1 && names.ends_with(&["tests"]),
                "{language:?}: {names:?}"
            );
        }
    }
}
