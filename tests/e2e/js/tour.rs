//! The README's tour: its own lines and programs, in its order.
//!
//! | the README says | here |
//! |---|---|
//! | `cargo run --release -- dev` | the binary under test in `belay dev`'s configuration, on free ports |
//! | `npm install layotto@VERSION` | the modules of `tests/js`, if they are of that version |
//! | ports of the SDK | its own variables name the ones that were picked |
//! | `sleep` | no time |

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;
use tests::belay::{FREE_PORTS, binary, dev_config};
use tests::sdk::free_port;
use tests::{PATIENCE, eventually};
use tokio::process::{Child, Command};
use tonic::transport::Endpoint;
use wire::layotto::app_callback_client::AppCallbackClient;

use super::readme::Section;

/// The only way in which the README starts Belay.
const START: &str = "cargo run --release -- dev";

const CARGO: &str = r#"#!/bin/sh
[ "$*" = "run --release -- dev" ] || { echo "the tour has no cargo $*" >&2; exit 64; }
exec target/release/belay run --config dev.yaml --layotto-listen 127.0.0.1:0 --admin-listen 127.0.0.1:0
"#;

const NPM: &str = r#"#!/bin/sh
case "$*" in
  "init -y") echo '{}' > package.json ;;
  "install layotto@$LAYOTTO_VERSION") ln -s "$LAYOTTO_MODULES" node_modules ;;
  *) echo "the tour has no npm $*" >&2; exit 64 ;;
esac
"#;

/// A reader's folder, with what the tour expects to be there.
struct Reader {
    folder: TempDir,
    app_port: u16,
}

/// A program that runs in a terminal of its own.
struct Terminal {
    child: Child,
    output: PathBuf,
}

fn program(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("our own file");
}

fn modules() -> PathBuf {
    let modules = tests::sdk::folder("js").join("node_modules");
    assert!(modules.join("layotto").exists(), "run `npm ci` in tests/js");
    modules
}

fn layotto_version() -> String {
    let text = std::fs::read(modules().join("layotto/package.json")).expect("the SDK is installed");
    let package: serde_json::Value = serde_json::from_slice(&text).expect("npm wrote it");
    package["version"].as_str().expect("a version").to_owned()
}

impl Reader {
    fn new() -> Reader {
        let folder = tempfile::tempdir().expect("a folder");
        let app_port = free_port();
        let at = |path: &str| folder.path().join(path);
        std::fs::create_dir_all(at("target/release")).expect("a folder");
        std::os::unix::fs::symlink(binary(), at("target/release/belay")).expect("a link");
        std::fs::write(at("dev.yaml"), dev_config(app_port)).expect("a file");
        std::fs::create_dir(at("bin")).expect("a folder");
        program(&at("bin/cargo"), CARGO);
        program(&at("bin/npm"), NPM);
        program(&at("bin/sleep"), "#!/bin/sh\n");
        Reader { folder, app_port }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn endpoints(&self) -> Option<serde_json::Value> {
        let text = std::fs::read(self.at(".belay/endpoints.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// The line as bash takes it, in that folder.
    fn bash(&self, folder: &str, script: &str) -> Command {
        let path = std::env::var("PATH").expect("programs are found by it");
        let endpoints = self.endpoints().unwrap_or_default();
        let layotto = endpoints["layotto"].as_str().unwrap_or_default();
        let port = layotto.rsplit(':').next().unwrap_or_default();
        let mut command = Command::new("bash");
        command
            .args(["-c", &format!("shopt -s expand_aliases\n{script}")])
            .current_dir(self.at(folder))
            .env("PATH", format!("{}:{path}", self.at("bin").display()))
            .envs(FREE_PORTS)
            .env("LAYOTTO_VERSION", layotto_version())
            .env("LAYOTTO_MODULES", modules())
            .env("runtime_GRPC_PORT", port)
            .env("appcallback_GRPC_PORT", self.app_port.to_string())
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Runs it to its end, which must be a good one; says what was printed.
    async fn types(&self, folder: &str, script: &str) -> String {
        let ran = tokio::time::timeout(PATIENCE, self.bash(folder, script).output()).await;
        let ran = ran
            .unwrap_or_else(|_| panic!("no end: {script}"))
            .expect("bash starts");
        let (out, err) = (
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr),
        );
        assert!(
            ran.status.success(),
            "{script}\nended with {}\n{out}{err}",
            ran.status
        );
        out.into_owned()
    }

    fn opens_terminal(&self, folder: &str, script: &str) -> Terminal {
        let output = self.at(&format!("terminal-{}", fastrand::u64(..)));
        let file = std::fs::File::create(&output).expect("a file");
        let child = self
            .bash(folder, script)
            .stderr(file.try_clone().expect("a second descriptor"))
            .stdout(file)
            .spawn()
            .expect("bash starts");
        Terminal { child, output }
    }

    /// The SDK prints an event before it answers it. An answer to a later question shows that both are done, so that the
    /// end of the application does not make Belay deliver the event again, rightly.
    async fn application_has_answered(&self) {
        let address = format!("http://127.0.0.1:{}", self.app_port);
        let channel = Endpoint::from_shared(address)
            .expect("an address")
            .connect()
            .await;
        let mut client = AppCallbackClient::new(channel.expect("it listens"));
        let asked = client.list_topic_subscriptions(()).await;
        asked.expect("it answers");
    }

    /// Starts Belay, and waits until it serves.
    async fn starts(&self, command: &str) -> Terminal {
        let terminal = self.opens_terminal(".", &format!("exec {command}"));
        let pid = terminal.child.id().expect("it was just started");
        let what = format!("`{command}` to serve");
        eventually(&what, || async {
            self.endpoints().filter(|endpoints| endpoints["pid"] == pid)
        })
        .await;
        terminal
    }
}

impl Terminal {
    fn printed(&self) -> String {
        std::fs::read_to_string(&self.output).expect("its output")
    }

    async fn prints(&self, part: &str, count: usize) {
        let what = format!("{count} times '{part}'");
        eventually(&what, || async {
            (self.printed().matches(part).count() >= count).then_some(())
        })
        .await;
        let printed = self.printed();
        assert_eq!(printed.matches(part).count(), count, "{printed}");
    }

    async fn ends(mut self) {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.expect("it ends").expect("it can be waited for");
    }

    /// Ctrl-C.
    async fn interrupted(self) {
        let id = self.child.id().expect("it runs") as i32;
        let group = Pid::from_raw(id).expect("a pid is not zero");
        kill_process_group(group, Signal::INT).expect("it can be signalled");
        self.ends().await;
    }
}

/// Five minutes with the SDK: state, a lock, events, and `kill -9` in the middle.
async fn with_an_sdk(reader: &Reader) -> (Terminal, Terminal) {
    let section = Section::of_the_readme("Five minutes with a real SDK");
    let [install, break_it] = section.shell();
    let commands = section.commands();
    let expected = [
        START,
        "node state.js",
        "node subscribe.js",
        "node publish.js",
        START,
    ];
    assert_eq!(
        commands, expected,
        "the tour has other commands: so must its test"
    );
    let belay = reader.starts(&commands[0]).await;
    reader.types(".", &install.join("\n")).await;
    for (file, text) in section.files() {
        std::fs::write(reader.at(&file), text).expect("the tour has made its folder");
    }
    let printed = reader.types("tour", &commands[1]).await;
    assert_eq!(without_etag(&printed), without_etag(&section.printed()));

    let subscribe = format!("exec {}", commands[2]);
    let subscriber = reader.opens_terminal("tour", &subscribe);
    reader.types("tour", &commands[3]).await;
    subscriber.prints("got ", 3).await;
    reader.application_has_answered().await;
    subscriber.interrupted().await;

    reader.types("tour", &break_it.join("\n")).await;
    belay.ends().await;
    let belay = reader.starts(&commands[4]).await;
    let subscriber = reader.opens_terminal("tour", &subscribe);
    subscriber.prints("got ", 3).await;
    (belay, subscriber)
}

/// Etags count commits, and a store that is made on more cores has made more before the first one.
fn without_etag(printed: &str) -> String {
    let (before, rest) = printed.split_once("etag ").expect("an etag");
    let rest = rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    format!("{before}etag ...{rest}")
}

/// The same without an SDK, line by line; an alias lasts as long as its terminal.
async fn without_an_sdk(reader: &Reader) {
    let [lines] = Section::of_the_readme("The same without an SDK").shell();
    let (alias, lines) = lines.split_first().expect("it has lines");
    assert!(alias.starts_with("alias belay="), "{alias}");
    let line = |line: &str| format!("{alias}\n{line}");
    let before = reader.types(".", &line("belay state get greeting")).await;
    assert_eq!(before, "hello again\n", "the state outlived the kill");
    let mut listening = None;
    for typed in lines {
        if typed.contains("leave it running") {
            let terminal = reader.opens_terminal(".", &line(typed));
            terminal.prints("subscribed", 1).await;
            listening = Some(terminal);
            continue;
        }
        let printed = reader.types(".", &line(typed)).await;
        if typed.starts_with("belay id") {
            let id: u64 = printed.trim().parse().expect("an id is a number");
            assert!(id > 1, "{id} was handed out before the kill");
        }
    }
    let listening = listening.expect("a line subscribes");
    listening.prints("number four", 1).await;
    listening.interrupted().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tour_of_the_readme_works_as_it_is_written() {
    let [start] = Section::of_the_readme("Two commands").shell();
    assert!(start[0].starts_with(START), "{}", start[0]);
    let reader = Reader::new();
    let (belay, subscriber) = with_an_sdk(&reader).await;
    without_an_sdk(&reader).await;
    subscriber.interrupted().await;
    belay.interrupted().await;
}
