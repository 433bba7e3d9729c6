//! Trap 5: clients repeat what is UNAVAILABLE for a quarter of an hour, unasked. What may have been done is UNKNOWN.

use testkit::{Fault, Faulty};
use wire::atomix::counter;

use counter::counter_server::Counter;

use super::*;

const NAME: &str = "hits";
/// More than the calls that a write makes of its store.
const CALLS: u64 = 8;

async fn increment(service: &Service) -> Code {
    let increment = counter::IncrementRequest {
        id: id(NAME),
        delta: 1,
    };
    code(Counter::increment(service, Request::new(increment)).await)
}

async fn get(service: &Service) -> i64 {
    let get = counter::GetRequest { id: id(NAME) };
    let answer = Counter::get(service, Request::new(get)).await;
    answer.expect("it is there").into_inner().value
}

/// An increment while the store has these faults, and what has become of it when the next process looks.
async fn check(fault: fn(u64) -> Fault, done: i64) {
    let world = World::new();
    let kv = Faulty::new(world.kv.clone());
    let options = Options::new(testkit::engine(kv.clone()).await, Arc::new(Stores));
    let service = Service::start(options).await.expect("a family");
    let (own, tags) = (id(NAME), vec![]);
    let create = counter::CreateRequest { id: own, tags };
    assert_eq!(
        code(Counter::create(&service, Request::new(create)).await),
        Code::Ok
    );
    kv.inject((1..=CALLS).map(fault));
    assert_eq!(increment(&service).await, Code::Unknown);
    kv.inject([]);
    assert_eq!(
        increment(&service).await,
        Code::Unknown,
        "its partition has stopped"
    );
    assert_eq!(get(&world.start().await).await, done);
}

#[tokio::test]
async fn a_write_that_was_done_and_not_heard_of_is_not_asked_for_again() {
    check(|n| Fault::FailAfter { n }, 1).await;
}

#[tokio::test]
async fn nor_is_one_that_was_not_done_when_nobody_can_tell() {
    check(|n| Fault::FailBefore { n }, 0).await;
}
