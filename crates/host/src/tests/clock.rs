//! Somebody sets the machine's clock by an hour (case C84). What lasts for a while lasts for that long: times are elapsed ones.

use base::time::{ManualMachine, SystemClock};
use futures::FutureExt;
use machines::primitive::{self, map};
use parking_lot::Mutex;

use super::*;

const NOON: Timestamp = Timestamp(43_200_000);
const HOUR_MS: u64 = 3_600_000;
const JUMPS: [Timestamp; 2] = [Timestamp(NOON.0 + HOUR_MS), Timestamp(NOON.0 - HOUR_MS)];
/// How long the entry lives, and how long somebody waits for the lock.
const MINUTE: Duration = Duration::from_secs(60);
const MILLISECOND: Duration = Duration::from_millis(1);

/// The clock that a process has made of its machine's, anew at each start.
struct OfProcess(Mutex<SystemClock<ManualMachine>>);

impl Clock for OfProcess {
    fn now(&self) -> Timestamp {
        self.0.lock().now()
    }
}

/// A machine, its store, and the process that has it open.
struct Place {
    machine: ManualMachine,
    clock: Arc<OfProcess>,
    kv: Arc<Memory>,
}

impl Place {
    fn new() -> Place {
        let machine = ManualMachine::at(NOON);
        let clock = SystemClock::on(machine.clone(), Timestamp(0));
        let clock = Arc::new(OfProcess(Mutex::new(clock)));
        let kv = Arc::new(Memory::new(clock.clone()));
        Place { machine, clock, kv }
    }

    async fn start(&self) -> Host {
        let ownership = Arc::new(testkit::Ownership::over(self.kv.clone()));
        let here = [Handle::current()];
        let opened = Host::open(self.kv.clone(), ownership, Options::default(), &here);
        opened.await.expect("a host")
    }

    /// Another process, which takes its time as the engine does: not from before the last one that was written.
    async fn restart(&self, host: Host) -> Host {
        host.close();
        let seen = self.clock.now();
        *self.clock.0.lock() = SystemClock::on(self.machine.clone(), seen);
        self.start().await
    }

    /// Time passes, and whoever has a timer looks.
    async fn pass(&self, time: Duration) {
        self.machine.pass(time);
        tokio::time::sleep(limits::TIMER_SLEEP_MAX * 2).await;
    }
}

async fn put(host: &Host) {
    let to = map::To::Put {
        value: Bytes::from_static(b"v"),
        ttl: Some(MINUTE),
        expect: 0,
    };
    let put = map::Command::Change(map::Change { key: "k".into(), to });
    put.call(host, &address("map")).await.expect("a put");
}

async fn is_there(host: &Host) -> bool {
    let get = map::Query::Get { key: "k".into() };
    match get.ask(host, &address("map")).await {
        Ok(_) => true,
        Err(error) => error.code() != codes::ENTRY_NOT_FOUND,
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_lives_its_minute_while_the_wall_clock_jumps() {
    for jump in JUMPS {
        let place = Place::new();
        let host = place.start().await;
        put(&host).await;
        let mut watch = host.watch(&address("map")).expect("a watch");
        place.machine.set_wall(jump);
        place.pass(MINUTE - MILLISECOND).await;
        assert!(is_there(&host).await, "{jump:?}");
        assert!(watch.events.next().now_or_never().is_none(), "{jump:?}");
        place.pass(MILLISECOND).await;
        assert!(!is_there(&host).await, "{jump:?}");
        let told = watch.events.next().await.expect("an event").expect("no error");
        let removed = matches!(
            &*told.event,
            Event::Primitive(primitive::Event::Map(map::Event::Removed { expired: true, .. }))
        );
        assert!(removed, "{jump:?}: {told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_lock_lasts_its_minute_while_the_wall_clock_jumps() {
    for jump in JUMPS {
        let place = Place::new();
        let host = place.start().await;
        lock(&host, A).await.expect("it was free");
        let timeout = Some(MINUTE);
        let mut waiting = Box::pin(lock::Command::Lock { session: B, timeout }.call(&host, &address("lock")));
        behind_all_others(&host).await;
        place.machine.set_wall(jump);
        place.pass(MINUTE - MILLISECOND).await;
        assert!(waiting.as_mut().now_or_never().is_none(), "{jump:?}");
        place.machine.pass(MILLISECOND);
        let error = waiting.await.expect_err("it stays with the first");
        assert_eq!(error.code(), codes::LOCK_HELD, "{jump:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_a_new_start_finds_set_back_makes_no_entry_live_longer() {
    let place = Place::new();
    let host = place.start().await;
    put(&host).await;
    place.pass(MINUTE / 2).await;
    place.machine.set_wall(JUMPS[1]);
    let host = place.restart(host).await;
    place.pass(MINUTE / 2 - MILLISECOND).await;
    assert!(is_there(&host).await);
    place.pass(MILLISECOND).await;
    assert!(!is_there(&host).await);
}

/// Set forward between two processes, it looks like time in which nobody ran, and such time counts.
#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_a_new_start_finds_set_forward_is_time_that_has_passed() {
    let place = Place::new();
    let host = place.start().await;
    put(&host).await;
    place.machine.set_wall(JUMPS[0]);
    assert!(is_there(&host).await);
    let host = place.restart(host).await;
    assert!(!is_there(&host).await);
}
