//! `cargo xtask COMMAND`.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use xtask::{bench, codegen, docs, test, tidy};

/// What is done to this repository by program: checks, generated files, measurements.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that must pass before a change lands; installs what it needs.
    Test {
        /// Also run the tests that take minutes.
        #[arg(long)]
        long: bool,
        /// Run one language's part only.
        #[arg(long, value_enum)]
        only: Option<test::Language>,
    },
    /// Check the rules that compilers do not know.
    Tidy,
    /// Make crates/wire/src/gen from proto/.
    Codegen {
        /// Fail when the committed files differ, write nothing.
        #[arg(long)]
        check: bool,
    },
    /// Make docs/reference from the program's own tables.
    Docs {
        /// Fail when the committed files differ, write nothing.
        #[arg(long)]
        check: bool,
    },
    /// Measure; without a name, list what can be measured.
    Bench {
        /// What to measure.
        name: Option<String>,
        /// Passed on as they are.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

/// Prints a failure and its causes one below the other; a trace of calls would only hide them.
#[allow(clippy::print_stderr, reason = "a command line program talks to its caller")]
fn main() -> ExitCode {
    let Err(error) = run(Arguments::parse().command) else {
        return ExitCode::SUCCESS;
    };
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  because: {cause}");
    }
    ExitCode::FAILURE
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Test { long, only } => test::run(&test::Options { long, only }),
        Command::Tidy => tidy::run(),
        Command::Codegen { check: false } => codegen::write(),
        Command::Codegen { check: true } => codegen::check(),
        Command::Docs { check: false } => docs::write(),
        Command::Docs { check: true } => docs::check(),
        Command::Bench { name, arguments } => bench::run(name.as_deref(), &arguments),
    }
}
