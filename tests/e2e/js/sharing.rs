//! The npm SDK's callback server and a stream, of one consumer group on one topic.

use std::collections::BTreeSet;
use std::ops::Range;
use std::process::Stdio;

use tests::sdk::{folder, free_port};
use tests::{Belay, Layotto, PATIENCE};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::pubsub::{Stream, publish, text};

const TOPIC: &str = "shared";

/// A program whose callback server prints the events that it gets, a line each.
struct Application {
    child: Child,
    events: Lines<BufReader<ChildStdout>>,
}

impl Application {
    fn start(port: u16) -> Application {
        let mut child = Command::new("node")
            .arg(folder("js").join("share.js"))
            .args([&port.to_string(), TOPIC])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node starts");
        let events = child.stdout.take().expect("it is piped");
        Application {
            child,
            events: BufReader::new(events).lines(),
        }
    }

    async fn next(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.events.next_line()).await;
        let line = line.expect("an event in time").expect("it prints text");
        line.expect("the program runs")
    }
}

/// Publishes these numbers, and acknowledges what comes to the stream, until all have come to both, each once. Says which
/// came to whom, in order.
async fn share(
    app: &mut Application,
    stream: &mut Stream,
    client: &mut Layotto,
    (numbers, metadata): (Range<u32>, &[(&str, &str)]),
) -> [Vec<u32>; 2] {
    let publishing = async {
        for number in numbers.clone() {
            publish(client, TOPIC, &number.to_string(), metadata).await;
        }
    };
    let taking = async {
        let mut seen = [vec![], vec![]];
        while seen[0].len() + seen[1].len() < numbers.len() {
            tokio::select! {
                event = app.next() => seen[0].push(event.parse().expect("a number")),
                event = stream.next() => {
                    stream.acknowledge(&event).await;
                    seen[1].push(text(&event).parse().expect("a number"));
                }
            }
        }
        seen
    };
    let ((), seen) = tokio::join!(publishing, taking);
    let mut all = seen.concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(numbers), "each comes once: {seen:?}");
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_and_a_stream_share_the_events() {
    let port = free_port();
    let mut app = Application::start(port);
    let belay = Belay::dev(port).await;
    let mut client = belay.client().await;
    publish(&mut client, TOPIC, "first", &[]).await;
    assert_eq!(app.next().await, "first", "the callback alone gets everything");

    let mut stream = Stream::open(&mut client, TOPIC).await;
    let seen = share(&mut app, &mut stream, &mut client, (0..100, &[])).await;
    assert!(
        seen.iter().all(|seen| seen.len() >= 10),
        "both have their share: {seen:?}"
    );
    let keyed = (100..140, &[("partitionKey", "k")][..]);
    for seen in share(&mut app, &mut stream, &mut client, keyed).await {
        assert!(seen.is_sorted(), "an ordering key keeps its order: {seen:?}");
    }

    goes_to_the_callback_when_the_stream_ends(&mut app, stream, &belay).await;
    goes_to_a_stream_when_the_application_dies(app, &belay).await;
}

/// Also what the stream has and has not answered.
async fn goes_to_the_callback_when_the_stream_ends(app: &mut Application, mut stream: Stream, belay: &Belay) {
    let mut client = belay.client().await;
    let mut unanswered = BTreeSet::new();
    for n in 0..20 {
        publish(&mut client, TOPIC, &format!("unanswered {n}"), &[]).await;
        tokio::select! {
            event = app.next() => drop(event),
            event = stream.next() => drop(unanswered.insert(text(&event))),
        }
    }
    assert!(
        !unanswered.is_empty(),
        "a stream that does not answer has some all the same"
    );
    drop(stream);
    while !unanswered.is_empty() {
        let event = app.next().await;
        assert!(unanswered.remove(&event), "{event} came twice");
    }
}

async fn goes_to_a_stream_when_the_application_dies(mut app: Application, belay: &Belay) {
    let mut client = belay.client().await;
    let mut stream = Stream::open(&mut client, TOPIC).await;
    app.child.kill().await.expect("it runs");
    let sent: BTreeSet<String> = (0..10).map(|n| format!("left {n}")).collect();
    for data in &sent {
        publish(&mut client, TOPIC, data, &[]).await;
    }
    let mut seen = BTreeSet::new();
    while seen != sent {
        let event = stream.next().await;
        stream.acknowledge(&event).await;
        seen.insert(text(&event));
    }
}
