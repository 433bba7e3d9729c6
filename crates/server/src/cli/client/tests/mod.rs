//! The commands, against a server that plays Belay's part.

use std::ffi::OsString;
use std::io::{self, Read, Write};

use clap::Parser;

use super::{Command, Console};
use crate::cli::{self, Cli, Exit};

mod fake;

mod arguments;
mod id;
mod lock;
mod pubsub;
mod state;
mod status;

use fake::Server;

/// What a command has printed, and how it has ended.
#[derive(Debug)]
struct Ran {
    exit: Exit,
    out: Vec<u8>,
    err: String,
}

impl Ran {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("a text")
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    #[track_caller]
    fn check(&self, exit: Exit, out: &str, err: &str) {
        assert_eq!((self.exit, self.text(), self.err.as_str()), (exit, out, err));
    }
}

/// Parses a command of the client.
fn parse(arguments: &[&str]) -> Result<Command, clap::Error> {
    let all = std::iter::once("belay").chain(arguments.iter().copied());
    match Cli::try_parse_from(all.map(OsString::from))?.command {
        cli::Command::Client(command) => Ok(command),
        other => panic!("{other:?} is no command of the client"),
    }
}

impl Server {
    /// Runs a command that finds this server by its address.
    async fn belay(&self, arguments: &[&str]) -> Ran {
        self.with_input(arguments, &[]).await
    }

    async fn with_input(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut out = vec![];
        let (exit, err) = self.with_streams(arguments, &mut { input }, &mut out).await;
        Ran { exit, out, err }
    }

    async fn with_streams(
        &self,
        arguments: &[&str],
        input: &mut dyn Read,
        out: &mut dyn Write,
    ) -> (Exit, String) {
        at(&self.address, arguments, input, out).await
    }
}

async fn at(address: &str, arguments: &[&str], input: &mut dyn Read, out: &mut dyn Write) -> (Exit, String) {
    let mut all = arguments.to_vec();
    let end = all
        .iter()
        .position(|argument| *argument == "--")
        .unwrap_or(all.len());
    all.splice(end..end, ["--address", address]);
    let command = parse(&all).unwrap_or_else(|error| panic!("{error}"));
    let mut notes = vec![];
    let outcome = command.outcome(&mut Console::new(input, out, &mut notes)).await;
    assert_eq!(outcome.stdout, "", "a command of the client prints itself");
    let notes = String::from_utf8(notes).expect("a text");
    (outcome.exit, notes + &outcome.stderr)
}

/// An address where nobody listens any more.
async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    listener.local_addr().expect("it is bound").to_string()
}

#[tokio::test]
async fn where_nobody_listens_the_address_is_named_and_what_to_do() {
    let address = nobody().await;
    for arguments in [
        &["state", "get", "k"][..],
        &["publish", "t", "d"],
        &["subscribe", "t"],
        &["lock", "l"],
        &["unlock", "l", "--owner", "o"],
        &["id", "k"],
    ] {
        let (exit, err) = at(&address, arguments, &mut io::empty(), &mut io::sink()).await;
        assert_eq!(exit, Exit::NotRunning, "{err}");
        let start = format!("error BLY0023: no belay answers on {address}: Connection refused");
        assert!(err.starts_with(&start) && err.contains("belay dev"), "{err}");
    }
}

#[tokio::test]
async fn somebody_else_who_listens_is_no_belay() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let stranger = base::task::spawn("stranger", async move {
        let (mut stream, _) = listener.accept().await.expect("a client comes");
        let answer = b"SSH-2.0-stranger, who has never heard of HTTP\r\n";
        tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
            .await
            .expect("it reads");
    });
    let (exit, err) = at(&address, &["id", "k"], &mut io::empty(), &mut io::sink()).await;
    stranger.await.expect("no panic");
    assert_eq!(exit, Exit::NotRunning, "{err}");
    assert!(err.starts_with("error BLY0023: no belay answers on"), "{err}");
}
