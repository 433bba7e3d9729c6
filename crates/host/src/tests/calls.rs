//! Calls of user code: their first steps, which wait with their changes for the next one that looks at them; and those whose time came
//! while nobody was there.

use std::sync::atomic::{AtomicU32, Ordering};

use machines::engine::Talk;
use machines::invocation::rows::{Input, Origin, Outcome, Pin, Rules, Status, Target, TargetKind};
use machines::invocation::{Command, Control, Id, Op, Query, Reply, Start, Word, Words};
use machines::{Callee, Table};
use parking_lot::Mutex;
use ports::kv::{Keyspace, Scan};

use super::*;

/// User code that notes who it is called for, and whether it is hung up on.
#[derive(Default)]
struct Code(Mutex<Vec<(Address, bool)>>);

impl Callee for Code {
    fn talk(&self, _engine: Arc<dyn Engine>, address: &Address, talk: Talk) {
        assert!(talk.known.is_some(), "the store may not have it yet");
        self.0.lock().push((address.clone(), true));
    }

    fn hang_up(&self, address: &Address) {
        self.0.lock().push((address.clone(), false));
    }
}

struct Calls {
    world: World,
    code: Arc<Code>,
    host: Host,
}

fn id(number: u8) -> Id {
    let mut id = [7; 24];
    id[23] = number;
    Id(id)
}

fn call(number: u8) -> Address {
    Address::invocation(&id(number))
}

fn start(kind: TargetKind) -> Command {
    let rules = Rules {
        result_ms: 86_400_000,
        journal_ms: 86_400_000,
        ..Rules::default()
    };
    let target = Target {
        service: "Counter".into(),
        handler: "add".into(),
        key: "k".into(),
        kind: kind.into(),
    };
    Command::Start(Box::new(Start {
        fresh: true,
        origin: Origin {
            target,
            rules,
            ..Origin::default()
        },
        input: Input::default(),
        wait: true,
        copied: vec![],
        pin: None,
    }))
}

fn says(words: Vec<Word>) -> Command {
    Command::Said(Words {
        attempt: 1,
        number: Some(0),
        pin: Pin::default(),
        words,
    })
}

fn ends() -> Command {
    let output = Word::Command {
        kind: 1,
        body: Bytes::from_static(b"out"),
        op: Op::Output(Outcome::value("out")),
    };
    says(vec![output, Word::Ended])
}

impl Calls {
    async fn new() -> Calls {
        let (world, code) = (World::new(), Arc::new(Code::default()));
        let options = Options {
            callee: Some(code.clone()),
            ..Options::default()
        };
        let host = world.open_with(options).await;
        world.kv.inject([]);
        Calls { world, code, host }
    }

    /// In the background: it is answered when it is over.
    async fn begin(&self, number: u8, kind: TargetKind) -> tokio::task::JoinHandle<Result<Reply>> {
        let answer = start(kind).call(&self.host, &call(number));
        let waiting = base::task::spawn("caller", answer);
        tokio::time::sleep(Duration::from_millis(1)).await;
        waiting
    }

    async fn say(&self, number: u8, command: Command) -> Reply {
        let said = command.call(&self.host, &call(number));
        said.await.expect("it is taken")
    }

    async fn stored(&self, number: u8) -> Option<Status> {
        match Query::Look.ask(&self.host, &call(number)).await {
            Ok(Reply::Look(look)) => Some(look.0.status()),
            _ => None,
        }
    }

    fn told(&self) -> Vec<bool> {
        self.code.0.lock().iter().map(|(_, talks)| *talks).collect()
    }

    async fn conversations(&self) -> usize {
        let mut rows = 0;
        for partition in 0..4 {
            let prefix = keys::table(partition, Table::Conversation);
            let mut scan = Scan::prefix(Keyspace::State, prefix);
            loop {
                let page = self.world.kv.scan(scan.clone()).await.expect("a scan");
                rows += page.rows.len();
                match page.rows.last() {
                    Some((last, _)) if page.more => scan = scan.after(last),
                    _ => break,
                }
            }
        }
        rows
    }
}

fn is_over(reply: Reply) -> bool {
    matches!(reply, Reply::Over(over) if over.outcome == Outcome::value("out"))
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ends_soon_is_one_commit() {
    let calls = Calls::new().await;
    let waiting = calls.begin(1, TargetKind::Service).await;
    assert_eq!(calls.told(), [true], "user code hears of it before it is stored");
    assert_eq!((calls.world.kv.calls(), calls.stored(1).await), (0, None));
    calls.world.kv.inject([]);
    assert_eq!(calls.say(1, ends()).await, Reply::Taken);
    assert!(is_over(waiting.await.expect("no panic").expect("an answer")));
    assert_eq!(calls.world.kv.calls(), 1);
    assert_eq!(calls.stored(1).await, Some(Status::Completed));
    assert_eq!(
        (calls.conversations().await, calls.told()),
        (0, vec![true, false])
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_longer_is_stored_meanwhile() {
    let calls = Calls::new().await;
    let waiting = calls.begin(1, TargetKind::Service).await;
    tokio::time::sleep(limits::STEP_HELD * 2).await;
    assert_eq!(calls.stored(1).await, Some(Status::Running));
    assert_eq!(calls.conversations().await, 1, "it goes on after a crash");
    assert_eq!(calls.told(), [true], "it is not told twice");
    calls.say(1, ends()).await;
    assert!(is_over(waiting.await.expect("no panic").expect("an answer")));
    assert_eq!(calls.conversations().await, 0);
}

/// The second one waits behind the first one: its place rests on that one's.
#[tokio::test(start_paused = true)]
async fn whoever_rests_on_it_takes_it_along() {
    let calls = Calls::new().await;
    let first = calls.begin(1, TargetKind::Exclusive).await;
    assert_eq!(calls.stored(1).await, None);
    let second = calls.begin(2, TargetKind::Exclusive).await;
    let both = (calls.stored(1).await, calls.stored(2).await);
    assert_eq!(both, (Some(Status::Running), Some(Status::Inboxed)));
    calls.say(1, ends()).await;
    calls.say(2, ends()).await;
    for waiting in [first, second] {
        assert!(is_over(waiting.await.expect("no panic").expect("an answer")));
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_killed_at_once_is_over() {
    let calls = Calls::new().await;
    let waiting = calls.begin(1, TargetKind::Service).await;
    let killed = calls.say(1, Command::Control(Control::Kill)).await;
    assert!(matches!(killed, Reply::Changed(_)));
    assert!(matches!(waiting.await.expect("no panic"), Ok(Reply::Over(_))));
    assert_eq!(calls.stored(1).await, Some(Status::Completed));
    assert_eq!(
        (calls.conversations().await, calls.told()),
        (0, vec![true, false])
    );
}

/// Its own batch, or that of somebody else in its partition.
#[tokio::test(start_paused = true)]
async fn a_refused_batch_ends_what_was_begun_on_it() {
    for own in [true, false] {
        let calls = Calls::new().await;
        let waiting = calls.begin(1, TargetKind::Service).await;
        calls.world.kv.inject([Fault::Refuse { n: 1 }]);
        let refused = if own {
            says(vec![]).call(&calls.host, &call(1)).await
        } else {
            // An object of the same partition key.
            let stored = Command::Start(Box::new(Start {
                wait: false,
                ..match start(TargetKind::Service) {
                    Command::Start(start) => *start,
                    _ => unreachable!("a start"),
                }
            }));
            stored.call(&calls.host, &call(2)).await
        };
        refused.expect_err("the store refuses it");
        waiting.await.expect("no panic").expect_err("it was not stored");
        assert_eq!((calls.stored(1).await, calls.told().last()), (None, Some(&false)));
        assert_eq!(calls.conversations().await, 0);
    }
}

/// An answer that rests on nothing new, and a call that begins, in one turn: only the answer is refused.
#[tokio::test(start_paused = true)]
async fn a_refused_answer_does_not_concern_it() {
    let calls = Calls::new().await;
    let name = (0..100).map(|number| format!("counter-{number}"));
    let mut beside = name.map(|name| address(&name));
    let beside = beside
        .find(|other| calls.host.partition(other) == calls.host.partition(&call(1)))
        .expect("one in the same partition");
    let update = |check| counter::Command::Update { check, value: 7 }.call(&calls.host, &beside);
    update(0).await.expect("it is there now");
    calls.world.kv.inject([Fault::Refuse { n: 1 }]);
    let begins = start(TargetKind::Service).call(&calls.host, &call(1));
    let refused = update(99);
    let (waiting, refused) = (base::task::spawn("caller", begins), refused.await);
    assert_eq!(
        refused.expect_err("the store").kind(),
        base::Kind::ResourceExhausted
    );
    calls.world.kv.inject([]);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(calls.told(), [true]);
    calls.say(1, ends()).await;
    assert!(is_over(waiting.await.expect("no panic").expect("an answer")));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_closes_stores_it() {
    let calls = Calls::new().await;
    let waiting = calls.begin(1, TargetKind::Service).await;
    calls.host.close();
    waiting
        .await
        .expect("no panic")
        .expect_err("nobody is there to answer");
    assert_eq!(calls.stored(1).await, Some(Status::Running));
}

/// Ten times more at once than may be held, of which none says anything in time: what is on top is stored at once, the others soon.
#[tokio::test(start_paused = true)]
async fn a_crowd_is_stored_in_batches_that_fit() {
    let calls = Calls::new().await;
    let id = |number: u16| {
        let mut id = [7; 24];
        id[22..].copy_from_slice(&number.to_be_bytes());
        Address::invocation(&Id(id))
    };
    let many = 0..u16::try_from(2 * limits::STEPS_HELD_ROWS_MAX).expect("a small limit");
    let begin = |number| {
        let (host, address) = (calls.host.clone(), id(number));
        async move { start(TargetKind::Service).call(&host, &address).await }
    };
    let waiting: Vec<_> = many
        .clone()
        .map(|number| base::task::spawn("caller", begin(number)))
        .collect();
    tokio::time::sleep(limits::STEP_HELD * 2).await;
    assert_eq!(calls.conversations().await, many.len());
    assert_eq!(calls.told().len(), many.len(), "each is told once");
    for number in many {
        ends().call(&calls.host, &id(number)).await.expect("it is taken");
    }
    for waiting in waiting {
        assert!(is_over(waiting.await.expect("no panic").expect("an answer")));
    }
    assert_eq!(calls.conversations().await, 0);
}

/// C12 of the users' cases: the host stops before their time and starts long after it.
#[tokio::test(start_paused = true)]
async fn all_that_is_overdue_begins_at_once() {
    const MANY: u32 = 20_000;
    let calls = Calls::new().await;
    let due = calls.world.clock.now().0 + 60_000;
    let sent = (0..MANY).map(|number| {
        let Command::Start(start) = start(TargetKind::Service) else {
            unreachable!("a start");
        };
        let mut start = Start {
            wait: false,
            ..*start
        };
        start.origin.due = due;
        let mut id = [0; 24];
        id[..4].copy_from_slice(&number.to_le_bytes());
        id[20..].copy_from_slice(&number.to_le_bytes());
        let address = Address::invocation(&Id(id));
        let host = &calls.host;
        async move { Command::Start(Box::new(start)).call(host, &address).await }
    });
    for accepted in futures::future::join_all(sent).await {
        assert!(matches!(accepted, Ok(Reply::Accepted { new: true, .. })));
    }
    calls.host.close();
    calls.world.clock.advance(Duration::from_secs(90));
    let code = Arc::new(Count::default());
    let options = Options {
        callee: Some(code.clone()),
        ..Options::default()
    };
    let host = calls.world.open_with(options).await;
    let all = async {
        while code.0.load(Ordering::Relaxed) < MANY {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let begun = tokio::time::timeout(Duration::from_secs(5), all);
    begun.await.expect("none of them waits for another one's time");
    host.close();
}

#[derive(Default)]
struct Count(AtomicU32);

impl Callee for Count {
    fn talk(&self, _engine: Arc<dyn Engine>, _address: &Address, _talk: Talk) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn hang_up(&self, _address: &Address) {}
}
