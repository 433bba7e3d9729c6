//! The people's client: commands that talk to a running Belay over Layotto's runtime API, as every other client does.
//!
//! A command prints as it goes, because events and ids come one by one and values may be any bytes; what is left at its end
//! is an [`Outcome`]. People get short texts, programs get `--json`: one object per line, answers on standard output, and a
//! [`Failure`] as `{"error": ...}` on standard error.

use std::io::{self, Read, Write};

use base::{Error, codes};
use clap::{Args, Subcommand};

mod place;

mod admin;
mod connection;
mod failure;

mod console;
mod payload;

mod deployments;
mod entities;
mod id;
mod invocations;
mod lock;
mod publish;
mod sql;
mod state;
mod status;
mod stores;
mod subscribe;

#[cfg(test)]
mod tests;

use super::{Exit, Outcome};
use connection::Connection;
use console::{Console, Form};
use failure::Failure;

/// Commands of the client.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read, write and delete state of a running Belay.
    #[command(subcommand)]
    State(state::Command),
    /// Publish one event to a topic.
    ///
    /// It is durable when this command ends, whether anybody subscribes or not.
    Publish(publish::Publish),
    /// Print the events of a topic as they come, until Ctrl-C.
    ///
    /// An event is settled after it was printed, so a group gets each of them at least once. Groups are independent of each
    /// other; a new one begins with the oldest event that is kept, and those that every other group has settled are not. This
    /// command's group is `cli` unless --group says otherwise; one that reads that topic already is refused, so a second
    /// terminal needs a group of its own.
    Subscribe(subscribe::Subscribe),
    /// Take a lock, and hold it while a command runs.
    ///
    /// Without a command the lock stays until its time is over or `belay unlock` gives it back; the fencing token is printed.
    /// With one, the lock is renewed while that runs and given back after it; the token is in its environment as
    /// BELAY_FENCING_TOKEN, and standard output is the command's alone.
    ///
    /// Exit code: the command's own, 127 or 126 if it cannot be started, 1 if the lock is held by another, or was lost while
    /// the command ran (which goes on all the same: let what it writes to check the token).
    Lock(lock::Lock),
    /// Give a lock back. Exit code 1 if it is not locked, or held by another.
    Unlock(lock::Unlock),
    /// Print the next id of a sequence: unique, and larger than every id before it.
    Id(id::Id),
    /// List, connect and disconnect the stores that distributed primitives are kept in.
    #[command(subcommand)]
    Stores(stores::Command),
    /// Register, list and remove deployments: where the services of durable execution are.
    #[command(subcommand)]
    Deployments(deployments::Command),
    /// List and look at invocations, and cancel, kill, pause, resume or purge them.
    #[command(subcommand)]
    Invocations(invocations::Command),
    /// List and look at entities of user functions: how they stand, and what they keep.
    #[command(subcommand)]
    Entities(entities::Command),
    /// Ask a question in SQL: about invocations, journals, state, services, entities.
    ///
    /// `belay sql "SHOW TABLES"` lists the tables, `belay sql "DESCRIBE sys_invocation"` the columns of one. Nothing can be
    /// changed by it.
    Sql(sql::Ask),
    /// Say whether a Belay runs and is ready, and where it listens.
    ///
    /// Exit code: 0 if it is ready, 1 if it runs but is not ready, 5 if none runs there.
    Status(status::Status),
}

/// What every command takes.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Which Belay, and how to answer")]
struct Common {
    #[command(flatten)]
    place: place::Arguments,
    /// Print JSON, one object per line; an error too, on standard error.
    #[arg(long)]
    json: bool,
}

impl Common {
    async fn connect(&self) -> Result<Connection, Failure> {
        Connection::open(self.place.layotto()?).await
    }

    fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }
}

/// Runs one command on a runtime of this thread.
pub(super) fn run(command: &Command) -> Outcome {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(cause) => {
            return Outcome::failed(
                &Error::new(codes::INTERNAL, "a runtime cannot be started").because(cause),
            );
        }
    };
    let (mut input, mut out, mut notes) = (io::stdin().lock(), io::stdout().lock(), io::stderr().lock());
    runtime.block_on(command.outcome(&mut Console::new(&mut input, &mut out, &mut notes)))
}

impl Command {
    async fn outcome(&self, console: &mut Console<'_>) -> Outcome {
        match self.run(console).await {
            Ok(exit) => Outcome {
                exit,
                ..Outcome::default()
            },
            Err(failure) => failure.outcome(self.common().form()),
        }
    }

    fn common(&self) -> &Common {
        match self {
            Command::State(command) => command.common(),
            Command::Publish(publish) => &publish.common,
            Command::Subscribe(subscribe) => &subscribe.common,
            Command::Lock(lock) => &lock.common,
            Command::Unlock(unlock) => &unlock.common,
            Command::Id(id) => &id.common,
            Command::Stores(command) => command.common(),
            Command::Deployments(command) => command.common(),
            Command::Invocations(command) => command.common(),
            Command::Entities(command) => command.common(),
            Command::Sql(ask) => ask.common(),
            Command::Status(status) => &status.common,
        }
    }

    async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        match self {
            Command::State(command) => command.run(console).await,
            Command::Publish(publish) => publish.run(console).await,
            Command::Subscribe(subscribe) => subscribe.run(console).await,
            Command::Lock(lock) => lock.run(console).await,
            Command::Unlock(unlock) => unlock.run(console).await,
            Command::Id(id) => id.run(console).await,
            Command::Stores(command) => command.run(console).await,
            Command::Deployments(command) => command.run(console).await,
            Command::Invocations(command) => command.run(console).await,
            Command::Entities(command) => command.run(console).await,
            Command::Sql(ask) => ask.run(console).await,
            Command::Status(status) => status.run(console).await,
        }
    }
}

/// Streams of bytes, as a console has them.
type Input<'a> = &'a mut dyn Read;
type Output<'a> = &'a mut dyn Write;
