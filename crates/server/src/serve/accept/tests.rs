use std::fs::File;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Type};
use tokio::net::TcpStream;

use super::*;
use crate::serve::listener::bind_all;
use crate::serve::tests::closes;
use crate::serve::{Listen, MovedBy};

const MOVED_BY: MovedBy = MovedBy {
    flag: "--test-listen",
    variable: "BELAY_LISTEN_TEST",
    setting: "listen.test",
};

struct Harness {
    address: SocketAddr,
    metrics: Metrics,
    stop: CancellationToken,
    lanes: Vec<mpsc::Receiver<Accepted>>,
}

impl Harness {
    fn start(lanes: usize, connections_max: usize, budget: Option<usize>) -> Harness {
        let address = "127.0.0.1:0".parse().expect("a good address");
        let mut listen = Listen::new("test", address, MOVED_BY);
        listen.connections_max = connections_max;
        let bound = bind_all(&[listen]).expect("a free port").remove(0);
        let address = bound.address().parse().expect("host and port");
        let (metrics, stop) = (Metrics::new(), CancellationToken::new());
        let (lanes, receivers) = (0..lanes)
            .map(|_| {
                let (queue, dealt) = mpsc::channel(8);
                (Lane::new(queue), dealt)
            })
            .unzip();
        let budget = budget.map(|max| {
            Arc::new(Budget {
                open: Arc::default(),
                max,
            })
        });
        let acceptor =
            Acceptor::new(bound, Protocol::Grpc, lanes, budget, &metrics).expect("inside a runtime");
        drop(task::spawn("accept", acceptor.run(stop.clone())));
        Harness {
            address,
            metrics,
            stop,
            lanes: receivers,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    fn refused(&self, reason: &'static str) -> u64 {
        let labels = RefusalLabels {
            listener: "test",
            reason,
        };
        self.metrics.connections().refused.get_or_create(&labels).get()
    }
}

async fn next(lane: &mut mpsc::Receiver<Accepted>) -> Accepted {
    lane.recv().await.expect("the acceptor runs")
}

#[tokio::test]
async fn connections_are_dealt_out_in_turn() {
    let mut harness = Harness::start(3, 100, None);
    let mut held = Vec::new();
    for turn in 0..6 {
        let client = harness.connect().await;
        held.push((client, next(&mut harness.lanes[turn % 3]).await));
    }
}

#[tokio::test]
async fn a_runtime_whose_clients_have_gone_gets_the_next() {
    let mut harness = Harness::start(2, 100, None);
    let _first = (harness.connect().await, next(&mut harness.lanes[0]).await);
    let gone = (harness.connect().await, next(&mut harness.lanes[1]).await);
    let _third = (harness.connect().await, next(&mut harness.lanes[0]).await);
    drop(gone);
    let _fourth = (harness.connect().await, next(&mut harness.lanes[1]).await);
    let _fifth = (harness.connect().await, next(&mut harness.lanes[1]).await);
}

#[tokio::test]
async fn a_runtime_that_is_stuck_does_not_stop_the_listener() {
    let mut harness = Harness::start(2, 100, None);
    let mut clients = Vec::new();
    // The first never takes any: its queue fills up with 8.
    for _ in 0..20 {
        clients.push(harness.connect().await);
    }
    let mut served = Vec::new();
    for _ in 0..12 {
        served.push(next(&mut harness.lanes[1]).await);
    }
    assert_eq!(harness.lanes[0].len(), 8);
}

#[tokio::test]
async fn a_connection_over_the_limit_is_told_why() {
    let mut harness = Harness::start(1, 1, None);
    let first = (harness.connect().await, next(&mut harness.lanes[0]).await);
    let mut second = harness.connect().await;
    let mut words = Vec::new();
    second.read_to_end(&mut words).await.expect("a clean end");
    assert_eq!(words, GO_AWAY);
    assert_eq!(harness.refused("limit"), 1);
    drop(first);
    let _third = (harness.connect().await, next(&mut harness.lanes[0]).await);
}

#[tokio::test]
async fn the_process_as_a_whole_has_a_limit_too() {
    let mut harness = Harness::start(1, 100, Some(1));
    let _first = (harness.connect().await, next(&mut harness.lanes[0]).await);
    let mut words = Vec::new();
    let mut second = harness.connect().await;
    second.read_to_end(&mut words).await.expect("a clean end");
    assert_eq!(words, GO_AWAY);
}

#[tokio::test]
async fn the_refusal_is_understood_by_an_http_2_client() {
    let mut harness = Harness::start(1, 1, None);
    let _first = (harness.connect().await, next(&mut harness.lanes[0]).await);
    let (_requests, connection) = h2::client::handshake(harness.connect().await)
        .await
        .expect("a preface");
    let refused = connection.await.expect_err("refused");
    assert!(refused.is_go_away() && refused.is_remote(), "{refused}");
    assert_eq!(refused.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM));
}

#[tokio::test]
async fn a_stopped_listener_is_closed() {
    let mut harness = Harness::start(1, 100, None);
    harness.stop.cancel();
    assert!(harness.lanes[0].recv().await.is_none(), "the acceptor has let go");
    closes(&harness.address.to_string()).await;
}

/// Set for the process that runs out of descriptors in the test below: every other test of this one would suffer.
const CHILD: &str = "BELAY_TEST_OUT_OF_DESCRIPTORS";

#[test]
fn accepting_survives_running_out_of_descriptors_without_spinning() {
    if std::env::var_os(CHILD).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        return runtime.block_on(run_out_of_descriptors());
    }
    let name = "serve::accept::tests::accepting_survives_running_out_of_descriptors_without_spinning";
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .expect("this test can be started again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

async fn run_out_of_descriptors() {
    let mut harness = Harness::start(1, 1_000, None);
    let maximum = getrlimit(Resource::Nofile).maximum;
    let current = Some(64);
    setrlimit(Resource::Nofile, Rlimit { current, maximum }).expect("lowering is always allowed");
    // A socket that exists already needs no further descriptor to connect.
    let client = socket2::Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor is left");
    let hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!hoard.is_empty(), "there was room before");
    client
        .connect(&harness.address.into())
        .expect("the backlog takes it");

    let begun = Instant::now();
    while harness.refused("descriptors") < 3 {
        assert!(begun.elapsed() < Duration::from_secs(10), "no accept was put off");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Three attempts take two pauses at least; a loop that spins makes thousands in that time.
    assert!(begun.elapsed() >= limits::ACCEPT_PAUSE * 2);
    assert_eq!(harness.refused("descriptors"), 3);
    drop(hoard);
    next(&mut harness.lanes[0]).await;
}
