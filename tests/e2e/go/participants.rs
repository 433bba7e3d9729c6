//! Locks between processes that use the Go SDK: what one of them holds when it closes, ends, is killed or frozen.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tests::{Belay, PATIENCE};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::program;

/// Shorter than by default, so that these tests are short.
const CONFIG: &str = r"
limits: { session_keep_alive_interval_ms: 1000, session_keep_alive_timeout_ms: 1000, session_grace_ms: 1000 }
";
const GRACE: Duration = Duration::from_secs(1);
/// The server counts in whole ones.
const MILLISECOND: Duration = Duration::from_millis(1);
/// A ping comes after a second, must be answered within another one, and then the grace begins.
const VANISHED: Duration = Duration::from_secs(3);
/// What a busy machine may take beyond that.
const LATE: Duration = Duration::from_secs(5);

/// A process that holds locks and does what it is told.
struct Participant {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Participant {
    fn start(belay: &Belay) -> Participant {
        let mut child = Command::new(program())
            .args(["-address", &belay.primitives, "participant"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Participant { child, input, output }
    }

    async fn told(&mut self, order: &str) {
        let line = format!("{order}\n");
        let written = self.input.write_all(line.as_bytes()).await;
        written.expect("the program listens");
    }

    /// The next answer, which must be to this order.
    async fn answer(&mut self, order: &str) -> String {
        let line = tokio::time::timeout(PATIENCE, self.output.next_line()).await;
        let line = line.expect("an answer in time").expect("a text");
        let line = line.expect("the program runs");
        let answer = line.strip_prefix(order);
        let answer = answer.unwrap_or_else(|| panic!("{line:?} is no answer to {order:?}"));
        answer.trim().to_owned()
    }

    async fn does(&mut self, order: &str) -> String {
        self.told(order).await;
        self.answer(order).await
    }

    async fn version(&mut self, order: &str) -> u64 {
        version(&self.does(order).await)
    }

    async fn granted(&mut self, order: &str) -> u64 {
        version(&self.answer(order).await)
    }

    fn signal(&self, signal: Signal) {
        let pid = self.child.id().expect("it runs");
        let pid = Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid is not zero");
        kill_process(pid, signal).expect("it can be signalled");
    }
}

fn version(answer: &str) -> u64 {
    answer
        .parse()
        .unwrap_or_else(|_| panic!("{answer} is no version"))
}

/// How a holder goes, and when what it held must be free: not before the first, not after the second.
#[derive(Clone, Copy)]
enum Going {
    Closes,
    Ends,
    IsKilled,
    Freezes,
}

impl Going {
    async fn happen(self, holder: &mut Participant) {
        match self {
            Going::Closes => assert_eq!(holder.does("close lock").await, "done"),
            Going::Ends => holder.told("exit").await,
            Going::IsKilled => holder.signal(Signal::KILL),
            Going::Freezes => holder.signal(Signal::STOP),
        }
    }

    fn free_within(self) -> (Duration, Duration) {
        match self {
            Going::Closes => (Duration::ZERO, Duration::ZERO),
            // Who ends without a word may as well come back: a connection that has gone says no more than that.
            Going::Ends | Going::IsKilled => (GRACE, GRACE),
            Going::Freezes => (GRACE, VANISHED),
        }
    }
}

/// C66: three processes; the first holds, the others wait without a time-out.
async fn the_queue_moves(going: Going) {
    let belay = Belay::run(CONFIG).await;
    let mut holder = Participant::start(&belay);
    let (mut second, mut third) = (Participant::start(&belay), Participant::start(&belay));
    let mut idle = Participant::start(&belay);
    let kept = idle.version("try kept").await;
    let first_version = holder.version("try lock").await;
    second.told("lock lock").await;
    assert_eq!(second.does("try lock").await, "Conflict", "it is held");
    let begin = Instant::now();
    going.happen(&mut holder).await;
    let second_version = second.granted("lock lock").await;
    let (earliest, latest) = going.free_within();
    let after = begin.elapsed();
    assert!(
        after + MILLISECOND >= earliest && after < latest + LATE,
        "free after {after:?}"
    );
    assert!(second_version > first_version, "a later grant is a later version");
    third.told("lock lock").await;
    assert_eq!(third.does("try lock").await, "Conflict", "one holder at a time");
    assert_eq!(third.version("held lock").await, second_version);
    assert_eq!(second.does("unlock lock").await, "done");
    let third_version = third.granted("lock lock").await;
    assert!(third_version > second_version, "a later grant is a later version");
    assert_eq!(third.version("held lock").await, third_version);
    // Silent for longer than the frozen one had, but alive.
    assert_eq!(
        third.version("held kept").await,
        kept,
        "who is idle keeps its lock"
    );
    assert_eq!(idle.does("unlock kept").await, "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_closes_frees_its_lock_at_once() {
    the_queue_moves(Going::Closes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_ends_frees_its_lock_after_the_grace() {
    the_queue_moves(Going::Ends).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_is_killed_frees_its_lock_after_the_grace() {
    the_queue_moves(Going::IsKilled).await;
}

/// Its connection stays open: as with a machine that vanishes, pings find it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_freezes_frees_its_lock_and_an_idle_one_keeps_it() {
    the_queue_moves(Going::Freezes).await;
}
