//! Random histories against a naive model: nothing that was acknowledged comes again, everything else comes, and events of
//! a key come in order.

use std::collections::BTreeMap;

use base::time::ManualClock;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use tokio::runtime::Runtime;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// Events of these keys, in one call; key 0 is none.
    Publish(Vec<u8>),
    /// A consumer takes the next event, if one comes.
    Take(prop::sample::Index),
    /// A consumer answers one that it has, and all is written.
    Settle(prop::sample::Index, Settlement),
    /// The same, but something else happens at once.
    Hasten(prop::sample::Index, Settlement),
    /// Time for retries.
    Wait(u16),
    /// Another consumer joins the group.
    Join,
    /// A consumer takes no more, and can still settle.
    Close(prop::sample::Index),
    /// A consumer leaves, and perhaps it was the last.
    Leave(prop::sample::Index),
    /// All leave, and one begins anew.
    Resubscribe,
    /// The process ends after it has written what it has to.
    Restart,
    /// The process ends where it stands.
    Kill,
    Sweep,
}

fn step() -> impl Strategy<Value = Step> {
    let settlement = || {
        prop_oneof![
            5 => Just(Settlement::Ack),
            3 => Just(Settlement::Retry),
            1 => Just(Settlement::Drop),
        ]
    };
    let index = any::<prop::sample::Index>;
    prop_oneof![
        4 => prop::collection::vec(0..4_u8, 1..6).prop_map(Step::Publish),
        8 => index().prop_map(Step::Take),
        6 => (index(), settlement()).prop_map(|(index, settlement)| Step::Settle(index, settlement)),
        4 => (index(), settlement()).prop_map(|(index, settlement)| Step::Hasten(index, settlement)),
        2 => (0..1_000_u16).prop_map(Step::Wait),
        2 => Just(Step::Join),
        1 => index().prop_map(Step::Close),
        1 => index().prop_map(Step::Leave),
        1 => Just(Step::Resubscribe),
        1 => Just(Step::Restart),
        1 => Just(Step::Kill),
        1 => Just(Step::Sweep),
    ]
}

/// What should be true of each event, by number, which is its order of publication.
#[derive(Default)]
struct Model {
    keys: Vec<u8>,
    settled: BTreeMap<usize, Settled>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Settled {
    /// And stored.
    ForGood,
    /// Perhaps not stored yet.
    JustNow,
    /// Perhaps not stored when the process was killed.
    InDoubt,
}

impl Model {
    fn publish(&mut self, keys: &[u8]) -> Vec<Event> {
        let first = self.keys.len();
        self.keys.extend_from_slice(keys);
        let key = |key: u8| if key == 0 { String::new() } else { key.to_string() };
        keys.iter()
            .enumerate()
            .map(|(index, number)| keyed(&key(*number), &(first + index).to_string()))
            .collect()
    }

    fn unsettled_before(&self, number: usize) -> Option<usize> {
        let key = self.keys[number];
        (0..number)
            .find(|earlier| key != 0 && self.keys[*earlier] == key && !self.settled.contains_key(earlier))
    }

    fn settle(&mut self, number: usize, settlement: Settlement, settled: Settled) {
        match settlement {
            Settlement::Ack | Settlement::Drop => drop(self.settled.insert(number, settled)),
            // What came again after a kill was not stored then.
            Settlement::Retry => drop(self.settled.remove(&number)),
        }
    }

    fn just_now_becomes(&mut self, becomes: Settled) {
        let just_now = self
            .settled
            .values_mut()
            .filter(|settled| **settled == Settled::JustNow);
        just_now.for_each(|settled| *settled = becomes);
    }

    fn check_delivery(&self, number: usize, out: &[Out]) -> TestCaseResult {
        let settled = self
            .settled
            .get(&number)
            .is_some_and(|settled| *settled != Settled::InDoubt);
        prop_assert!(!settled, "event {} was settled", number);
        let twice = out.iter().any(|other| other.number == number);
        prop_assert!(!twice, "event {} is out twice", number);
        let before = self.unsettled_before(number);
        prop_assert_eq!(before, None, "event {} came before one of its key", number);
        Ok(())
    }
}

/// The process, as long as it lives.
struct Life {
    runtime: Runtime,
    tasks: Tasks,
    pubsub: Arc<PubSub>,
    consumers: Vec<(usize, Box<dyn Deliveries>)>,
    joined: usize,
    out: Vec<Out>,
}

/// An event that is with a consumer.
struct Out {
    number: usize,
    consumer: usize,
    delivery: Delivery,
}

/// More would only make histories longer.
const CONSUMERS_MAX: usize = 3;

impl Life {
    fn begin(kv: &Arc<Probe>, in_flight_max: usize) -> Life {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let tasks = Tasks::default();
        let over = async { PubSub::over(kv.clone(), "bus", Retention::default(), tasks.clone()) };
        let pubsub = runtime.block_on(over);
        let mut life = Life {
            runtime,
            tasks,
            pubsub,
            consumers: vec![],
            joined: 0,
            out: vec![],
        };
        life.join(in_flight_max);
        life
    }

    fn join(&mut self, in_flight_max: usize) {
        if self.consumers.len() < CONSUMERS_MAX {
            let subscribed = subscribe(&self.pubsub, wanted(in_flight_max));
            let subscribed = self.runtime.block_on(subscribed);
            self.consumers.push((self.joined, subscribed));
            self.joined += 1;
        }
    }

    fn leave(&mut self, index: usize) {
        let (left, consumer) = self.consumers.remove(index);
        drop(consumer);
        self.out.retain(|out| out.consumer != left);
    }

    /// `None` as well when that consumer takes no more.
    fn take(&mut self, index: usize) -> Option<Out> {
        let (consumer, deliveries) = &mut self.consumers[index];
        self.runtime.block_on(async {
            quiet().await;
            let next = tokio::time::timeout(Duration::ZERO, deliveries.next()).await;
            let delivery = next.ok()??;
            Some(Out {
                number: text(&delivery).parse().expect("a number"),
                consumer: *consumer,
                delivery,
            })
        })
    }

    fn index(&self, index: &prop::sample::Index) -> usize {
        index.index(self.consumers.len())
    }

    fn quiet(&self) {
        self.runtime.block_on(quiet());
    }

    fn resubscribe(&mut self, in_flight_max: usize) {
        self.consumers.clear();
        self.out.clear();
        self.join(in_flight_max);
    }

    fn stop(mut self) {
        self.consumers.clear();
        self.runtime.block_on(self.tasks.ended());
    }
}

fn wanted(in_flight_max: usize) -> Subscription {
    Subscription {
        in_flight_max,
        deadline: Duration::from_secs(1_000_000),
        ..subscription("t")
    }
}

/// Moves the store's clock and the runtime's by the same.
fn wait(clock: &ManualClock, life: &Life, by: Duration) {
    clock.advance(by);
    life.runtime.block_on(async {
        tokio::time::advance(by.max(Duration::from_secs(1))).await;
        quiet().await;
    });
}

fn run(steps: &[Step], in_flight_max: usize, slow: bool) -> TestCaseResult {
    let clock = ManualClock::at(Timestamp(1_000_000));
    let kv = Probe::over(Arc::new(clock.clone()));
    kv.slow.store(slow, SeqCst);
    let mut model = Model::default();
    let mut life = Life::begin(&kv, in_flight_max);
    for step in steps {
        match step {
            Step::Publish(keys) => {
                let events = model.publish(keys);
                let published = life.runtime.block_on(life.pubsub.publish("t", events));
                published.expect("the topic takes events");
            }
            Step::Take(index) => {
                model.just_now_becomes(Settled::ForGood);
                if let Some(out) = life.take(life.index(index)) {
                    model.check_delivery(out.number, &life.out)?;
                    let consumer = out.consumer;
                    life.out.push(out);
                    let with_it = life.out.iter().filter(|out| out.consumer == consumer);
                    prop_assert!(with_it.count() <= in_flight_max);
                }
            }
            Step::Settle(index, settlement) if !life.out.is_empty() => {
                let out = life.out.remove(index.index(life.out.len()));
                settle(out.delivery, *settlement);
                life.quiet();
                model.settle(out.number, *settlement, Settled::ForGood);
            }
            Step::Hasten(index, settlement) if !life.out.is_empty() => {
                let out = life.out.remove(index.index(life.out.len()));
                settle(out.delivery, *settlement);
                model.settle(out.number, *settlement, Settled::JustNow);
            }
            Step::Settle(..) | Step::Hasten(..) => (),
            Step::Wait(millis) => wait(&clock, &life, Duration::from_millis(u64::from(*millis))),
            Step::Join => life.join(in_flight_max),
            Step::Close(index) => {
                let index = life.index(index);
                life.consumers[index].1.close();
            }
            Step::Leave(index) => {
                life.leave(life.index(index));
                if life.consumers.is_empty() {
                    life.join(in_flight_max);
                }
            }
            Step::Resubscribe => life.resubscribe(in_flight_max),
            Step::Restart => {
                life.stop();
                life = Life::begin(&kv, in_flight_max);
            }
            Step::Kill => {
                drop(life);
                kv.queue.lock().clear();
                model.just_now_becomes(Settled::InDoubt);
                life = Life::begin(&kv, in_flight_max);
            }
            Step::Sweep => life
                .runtime
                .block_on(life.pubsub.sweep())
                .expect("the store works"),
        }
    }
    drain(model, life, &clock, &kv)
}

/// Everything that is not settled comes now; then no row is left but the group's.
fn drain(mut model: Model, mut life: Life, clock: &ManualClock, kv: &Probe) -> TestCaseResult {
    for out in std::mem::take(&mut life.out) {
        settle(out.delivery, Settlement::Ack);
        model.settle(out.number, Settlement::Ack, Settled::ForGood);
    }
    life.resubscribe(64);
    life.join(64);
    let mut silent = 0;
    while silent < 6 {
        match life.take(silent % 2) {
            Some(out) => {
                silent = 0;
                model.check_delivery(out.number, &life.out)?;
                settle(out.delivery, Settlement::Ack);
                model.settle(out.number, Settlement::Ack, Settled::ForGood);
            }
            None => {
                silent += 1;
                wait(clock, &life, base::limits::RETRY_PAUSE_MAX);
            }
        }
    }
    prop_assert_eq!(model.settled.len(), model.keys.len(), "every event was delivered");
    life.quiet();
    let rows = life.runtime.block_on(async {
        life.pubsub.sweep().await.expect("the store works");
        (kv.rows(Keyspace::Journal).await, kv.rows(Keyspace::State).await)
    });
    prop_assert_eq!(rows, (0, 1));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn histories_are_as_the_model_says(
        steps in prop::collection::vec(step(), 1..120),
        in_flight_max in prop_oneof![Just(1_usize), Just(3), Just(64)],
        slow: bool,
    ) {
        run(&steps, in_flight_max, slow)?;
    }
}
