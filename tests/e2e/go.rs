//! The unmodified Atomix Go SDK: a test for each scenario of the program in `tests/go`, so that a failure has a name.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tests::Belay;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

mod participants;

/// Longest that one scenario may take; the program ends itself a little earlier, and says so.
const DEADLINE: Duration = Duration::from_secs(200);

/// What the program says when it wants the server restarted.
const RESTART: &str = "# restart the server";

fn program() -> PathBuf {
    let program = tests::sdk::folder("go").join("target/atomix");
    let advice = "run `go build -o target/atomix .` in tests/go";
    assert!(program.exists(), "{} is not built: {advice}", program.display());
    program
}

/// The program at work on one scenario.
struct Scenario {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    said: Vec<String>,
}

impl Scenario {
    fn start(name: &str, belay: &Belay) -> Scenario {
        let mut child = Command::new(program())
            .args(["-address", &belay.primitives, "-control", &belay.control, name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // The SDK logs every refused call there.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let input = child.stdin.take().expect("it is piped");
        let output = child.stdout.take().expect("it is piped");
        Scenario {
            child,
            input,
            output: BufReader::new(output).lines(),
            said: vec![],
        }
    }

    /// Reads until the program wants a restart, or ends. False: it has ended.
    async fn wants_restart(&mut self) -> bool {
        while let Some(line) = self.output.next_line().await.expect("a text") {
            let restart = line == RESTART;
            self.said.push(line);
            if restart {
                return true;
            }
        }
        false
    }

    async fn passed(mut self, belay: &Belay) {
        assert!(!self.wants_restart().await, "nobody restarts the server now");
        let status = self.child.wait().await.expect("it can be waited for");
        let good = self.said.iter().filter(|line| line.starts_with("ok ")).count();
        let bad = self.said.iter().filter(|line| !line.starts_with("ok "));
        let bad: Vec<&str> = bad.map(String::as_str).collect();
        assert!(
            status.success() && good > 0,
            "{status}, {good} good checks\n{}\nbelay: {}",
            bad.join("\n"),
            belay.log()
        );
    }
}

async fn passes(name: &str) {
    let belay = Belay::run("{}").await;
    let scenario = Scenario::start(name, &belay);
    let passed = tokio::time::timeout(DEADLINE, scenario.passed(&belay));
    passed.await.expect("the scenario ends");
}

/// The program asks for a restart once, and is told when it is done.
async fn passes_over_a_restart(name: &str) {
    let belay = Belay::run("{}").await;
    let mut scenario = Scenario::start(name, &belay);
    let whole = async {
        if !scenario.wants_restart().await {
            return scenario.passed(&belay).await;
        }
        let belay = belay.restart_in_place().await;
        let told = scenario.input.write_all(b"restarted\n").await;
        told.expect("the program listens");
        scenario.passed(&belay).await;
    };
    tokio::time::timeout(DEADLINE, whole)
        .await
        .expect("the scenario ends");
}

macro_rules! scenarios {
    ($($test:ident: $name:literal),* $(,)?) => {
        /// Every scenario that a test runs.
        const TESTED: &[&str] = &[$($name),*, "restart", "restart-session"];

        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                passes($name).await;
            }
        )*
    };
}

scenarios! {
    counters_work: "counter",
    counter_maps_work: "countermap",
    maps_work: "map",
    transactions_of_maps_work: "map-transaction",
    maps_tell_their_changes: "map-stream",
    indexed_maps_work: "indexedmap",
    indexed_maps_tell_their_changes: "indexedmap-stream",
    multimaps_work: "multimap",
    sets_work: "set",
    lists_work: "list",
    values_work: "value",
    locks_work: "lock",
    elections_work: "election",
    topics_work: "topic",
    names_have_one_type: "registry",
    every_codec_works: "codec",
    what_a_connection_holds_goes_with_it: "session",
    stores_are_connected_and_routed_to: "routes",
    caches_of_three_clients_agree: "cached",
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handles_work_on_after_a_restart() {
    passes_over_a_restart("restart").await;
}

/// Takes more than a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_comes_back_for_is_free_after_a_restart() {
    if !tests::long() {
        println!("not tested: `cargo xtask test --long` does");
        return;
    }
    passes_over_a_restart("restart-session").await;
}

#[tokio::test]
async fn no_scenario_is_left_out() {
    let listed = Command::new(program()).arg("scenarios").output().await;
    let listed = String::from_utf8(listed.expect("the program starts").stdout).expect("a text");
    let mut listed: Vec<&str> = listed.lines().collect();
    let mut tested = TESTED.to_vec();
    listed.sort_unstable();
    tested.sort_unstable();
    assert_eq!(listed, tested);
}
