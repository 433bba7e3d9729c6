//! Letters between partitions: each once in effect, whatever the carrier does.

use machines::relay::{Command, Get, TOKENS};
use parking_lot::Mutex;

use super::*;

/// So many relays, over all partitions.
const RELAYS: usize = 12;

fn relay(number: usize) -> Address {
    Address::relay(&format!("relay {number}"))
}

async fn tokens(host: &Host) -> Vec<u64> {
    let asking = (0..RELAYS).map(|number| async move {
        let address = relay(number);
        Get.ask(host, &address).await.expect("a relay").tokens
    });
    futures::future::join_all(asking).await
}

/// Until as many tokens are there as there should be; there must never be more.
async fn settle(host: &Host) -> Vec<u64> {
    for _ in 0..1_000 {
        let tokens = tokens(host).await;
        match tokens.iter().sum::<u64>().cmp(&(TOKENS * RELAYS as u64)) {
            std::cmp::Ordering::Equal => return tokens,
            std::cmp::Ordering::Greater => panic!("tokens were made: {tokens:?}"),
            std::cmp::Ordering::Less => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    panic!("tokens were lost: {:?}", tokens(host).await);
}

async fn pass<const N: usize>(host: &Host, from: usize, way: [usize; N], tokens: u64) -> Result<()> {
    let way = way.into_iter().map(relay).collect();
    let pass = Command::Pass { tokens, way };
    pass.call(host, &relay(from)).await.map(drop)
}

/// Loses one parcel of so many, doubles one of one more, and holds one of two more back until another one comes.
struct Bad {
    one_of: u64,
    state: Mutex<(u64, Option<Parcel>)>,
}

impl Carrier for Bad {
    fn carry(&self, host: &Host, parcel: Parcel) {
        let (count, late) = {
            let mut state = self.state.lock();
            state.0 += 1;
            let late = state.1.take();
            if state.0.is_multiple_of(self.one_of + 2) {
                state.1 = Some(parcel.clone());
            }
            (state.0, late)
        };
        if !count.is_multiple_of(self.one_of) && !count.is_multiple_of(self.one_of + 2) {
            host.deliver(parcel.clone());
        }
        if count.is_multiple_of(self.one_of + 1) {
            host.deliver(parcel);
        }
        if let Some(late) = late {
            host.deliver(late);
        }
    }
}

fn bad(one_of: u64) -> Options {
    let state = Mutex::default();
    Options {
        carrier: Arc::new(Bad { one_of, state }),
        ..Options::default()
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_passed_on_arrives_once() {
    let host = World::new().open().await;
    pass(&host, 0, [1, 2, 3, 0, 4], 30).await.expect("it has them");
    pass(&host, 1, [1, 5], 10).await.expect("it has them");
    let tokens = settle(&host).await;
    assert_eq!((tokens[0], tokens[4]), (TOKENS - 30, TOKENS + 30));
    assert_eq!((tokens[1], tokens[5]), (TOKENS - 10, TOKENS + 10));
}

#[tokio::test(start_paused = true)]
async fn a_bad_carrier_loses_and_doubles_nothing() {
    let host = World::new().open_with(bad(3)).await;
    for round in 0..200 {
        let way = [
            (round * 7) % RELAYS,
            (round * 5 + 1) % RELAYS,
            (round * 3 + 2) % RELAYS,
        ];
        // Those who have none left pass none on.
        drop(pass(&host, round % RELAYS, way, 3).await);
    }
    settle(&host).await;
}

/// Whatever the store refuses and whenever the process goes.
#[tokio::test(start_paused = true)]
async fn letters_survive_refusals_and_new_starts() {
    let world = World::new();
    for round in 0..20 {
        world.kv.inject([]);
        let host = world.open_with(bad(3)).await;
        world
            .kv
            .inject((0..4).map(|n| Fault::Refuse { n: n * 5 + round }));
        let passing = (0..50).map(|n| {
            let way = [(n * 7) % RELAYS, (n * 5 + 1) % RELAYS];
            pass(&host, n % RELAYS, way, 2)
        });
        drop(futures::future::join_all(passing).await);
        host.close();
    }
    world.kv.inject([]);
    let host = world.open().await;
    settle(&host).await;
}

/// The window is closed until receipts come, and rows of what was received go.
#[tokio::test(start_paused = true)]
async fn more_letters_than_the_window_holds_arrive_and_leave_nothing_behind() {
    let world = World::new();
    let host = world.open_with(bad(301)).await;
    let far: Vec<usize> = (1..RELAYS)
        .filter(|number| host.partition(&relay(*number)) != host.partition(&relay(0)))
        .collect();
    let before = TOKENS * RELAYS as u64;
    // Nobody's tokens are enough for so many letters; what is carried are letters, one token each, back and forth.
    for _ in 0..40 {
        let passing = (0..TOKENS).map(|_| pass(&host, 0, [far[0], 0], 1));
        drop(futures::future::join_all(passing).await);
    }
    assert_eq!(settle(&host).await.iter().sum::<u64>(), before);
    pass(&host, 0, [far[0], 0], 1)
        .await
        .expect("one more takes what was received away");
    settle(&host).await;
    let letters = (0..host.partitions()).map(|number| {
        let prefix = keys::table(number, machines::Table::Letter);
        world
            .kv
            .scan(ports::kv::Scan::prefix(ports::kv::Keyspace::State, prefix))
    });
    let letters = futures::future::try_join_all(letters).await.expect("pages");
    let rows: usize = letters.iter().map(|page| page.rows.len()).sum();
    assert!(
        rows <= 2 * usize::from(host.partitions()).pow(2),
        "{rows} letters are kept"
    );
}
