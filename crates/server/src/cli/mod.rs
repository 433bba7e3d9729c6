//! The command line: what can be typed, and the commands that need no running Belay.
//!
//! A command makes an [`Outcome`], text and exit code; only [`run`] prints. So tests read what a user would.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use base::Error;
use clap::{CommandFactory, Parser, Subcommand};

use crate::config::{Loaded, Source};

mod check;
mod client;
mod components;
mod exit;
mod explain;
mod report;
mod start;
mod version;
mod welcome;

pub use exit::Exit;
pub use report::Report;
pub use start::Settings;
pub use welcome::welcome;

/// Keeps an application's state, messages, locks and unfinished work, in one program beside it.
///
/// New here? `belay dev` starts everything with settings that suit a first try: Layotto's runtime API on 127.0.0.1:34904,
/// everything kept in ./.belay. Then run one of Layotto's SDK samples against it.
#[derive(Debug, Parser)]
#[command(name = "belay", version, after_help = exit::help(), max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start with settings for development; no file is needed.
    ///
    /// Layotto's runtime API on 127.0.0.1:34904, admin on 127.0.0.1:9070, data in ./.belay. The components have the names
    /// that the samples of Layotto's SDKs use: state_demo, lock_demo and so on; the application is called back on
    /// 127.0.0.1:9999.
    Dev {
        /// Print the configuration instead, with comments: the best start for a belay.yaml of your own.
        #[arg(long)]
        print_config: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Start with a configuration file: belay.yaml, or Layotto's own JSON as it is.
    ///
    /// A flag wins over its environment variable, which wins over the file, which wins over the default.
    #[command(visible_alias = "start")]
    Run {
        #[command(flatten)]
        config: ConfigFile,
        #[command(flatten)]
        settings: Settings,
    },
    #[command(flatten)]
    Client(client::Command),
    /// Check a configuration file without starting: every finding at once, with its line.
    Check {
        #[command(flatten)]
        config: ConfigFile,
        /// Print the findings as JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the drivers that are built in: what they offer, and their settings.
    Components {
        /// Print one driver only.
        driver: Option<String>,
        /// Print JSON.
        #[arg(long, conflicts_with = "markdown")]
        json: bool,
        /// Print Markdown, as it is in the manual.
        #[arg(long)]
        markdown: bool,
    },
    /// Say what an error code means and what to do; without one, list all codes.
    Explain {
        /// Like BLY0031; `31` is enough.
        code: Option<String>,
    },
    /// Print the JSON schema of belay.yaml, for editors.
    Schema,
    /// Print the completions for a shell.
    ///
    /// For bash: belay completions bash > /etc/bash_completion.d/belay
    Completions { shell: clap_complete::Shell },
    /// Print the version, and what it was built for.
    Version {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct ConfigFile {
    /// The configuration file.
    #[arg(
        long,
        short,
        value_name = "FILE",
        env = "BELAY_CONFIG",
        default_value = "belay.yaml"
    )]
    config: PathBuf,
}

/// What a command has to say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub stdout: String,
    pub stderr: String,
    pub exit: Exit,
}

/// Runs a Belay until it is told to stop.
pub type Serve = fn(Loaded) -> base::Result<()>;

/// Does what the arguments say.
pub fn run(arguments: impl IntoIterator<Item = OsString>, serve: Serve) -> Exit {
    let outcome = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.command.outcome(serve),
        Err(error) => usage(&error),
    };
    print(&outcome);
    outcome.exit
}

impl Command {
    fn outcome(self, serve: Serve) -> Outcome {
        match self {
            Command::Dev {
                print_config: true, ..
            } => Outcome::ok(crate::config::DEV),
            Command::Dev { settings, .. } => start::start(&Source::Dev, settings, serve),
            Command::Run { config, settings } => start::start(&Source::File(config.config), settings, serve),
            Command::Client(command) => client::run(&command),
            Command::Check { config, json } => check::check(&Source::File(config.config), json),
            Command::Components {
                driver,
                json,
                markdown,
            } => components::components(
                &drivers::all(),
                driver.as_deref(),
                components::Form::of(json, markdown),
            ),
            Command::Explain { code } => explain::explain(code.as_deref()),
            Command::Schema => Outcome::json(crate::config::schema().as_value()),
            Command::Completions { shell } => completions(shell),
            Command::Version { json } => version::version(json),
        }
    }
}

impl Outcome {
    fn ok(stdout: impl Into<String>) -> Outcome {
        Outcome {
            stdout: stdout.into(),
            ..Outcome::default()
        }
    }

    fn json(value: &serde_json::Value) -> Outcome {
        Outcome::ok(format!("{value:#}\n"))
    }

    fn failed(error: &Error) -> Outcome {
        Outcome {
            stderr: Report::of(error).to_string(),
            exit: Exit::of(error),
            ..Outcome::default()
        }
    }
}

/// Help and version are answers; everything else that cannot be parsed is a mistake.
fn usage(error: &clap::Error) -> Outcome {
    let text = error.render().to_string();
    if error.use_stderr() {
        return Outcome {
            stderr: text,
            exit: Exit::Usage,
            ..Outcome::default()
        };
    }
    Outcome::ok(text)
}

fn completions(shell: clap_complete::Shell) -> Outcome {
    let mut script = vec![];
    clap_complete::generate(shell, &mut Cli::command(), "belay", &mut script);
    Outcome::ok(String::from_utf8_lossy(&script))
}

/// A reader that has gone away (`belay components | head`) is no failure.
fn print(outcome: &Outcome) {
    drop(std::io::stdout().lock().write_all(outcome.stdout.as_bytes()));
    drop(std::io::stderr().lock().write_all(outcome.stderr.as_bytes()));
}

#[cfg(test)]
mod tests;
