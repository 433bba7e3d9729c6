use std::sync::Arc;

use base::Timestamp;
use base::time::ManualClock;
use ports::conformance::state as conformance;

use super::*;
use crate::Options;
use crate::stores::{Driver, Opener, StoreId};

struct NoStores;

#[async_trait]
impl Opener for NoStores {
    async fn open(&self, _: &StoreId, _: &Driver, _: &Bytes) -> Result<Arc<dyn machines::Engine>> {
        Err(Error::new(codes::DRIVER_UNKNOWN, "there are no drivers here"))
    }
}

async fn service(clock: &ManualClock) -> Service {
    let engine = testkit::engine(Arc::new(testkit::Memory::new(Arc::new(clock.clone())))).await;
    let options = Options::new(engine, Arc::new(NoStores));
    Service::start(options).await.expect("a service")
}

#[tokio::test]
async fn a_face_is_a_state_store() {
    let clock = ManualClock::at(Timestamp(1_000));
    let face = service(&clock).await.face();
    conformance::all(Arc::new(face), &|by| clock.advance(by)).await;
}

#[tokio::test]
async fn a_counter_has_one_version_on_both_faces() {
    let service = service(&ManualClock::at(Timestamp(1_000))).await;
    let face = service.face();
    let (counter, _) = service
        .primitives
        .create("hits", Type::Counter, &[])
        .await
        .expect("a counter");
    let add = counter::Command::Add(41)
        .call(&*counter.engine, &counter.address)
        .await
        .expect("a sum");
    let keys = ["hits".to_owned()];
    let read = face
        .get(&keys)
        .await
        .expect("a read")
        .remove(0)
        .expect("an item")
        .expect("it is there");
    assert_eq!(
        (&read.data[..], read.etag),
        (&b"41"[..], Etag(add.version.to_string()))
    );

    let put = |data: &str, etag: u64| Change {
        expect: Expect::Etag(Etag(etag.to_string())),
        ..conformance::put("hits", data)
    };
    let saved = face
        .apply(vec![put("-7", add.version)], Atomicity::BestEffort)
        .await;
    assert_eq!(saved.expect("a save"), Applied::Done);
    let now = counter::Query::Get
        .ask(&*counter.engine, &counter.address)
        .await
        .expect("a read");
    assert_eq!((now.value, now.version > add.version), (-7, true));
    let stale = face
        .apply(vec![put("1", add.version)], Atomicity::BestEffort)
        .await;
    assert_eq!(stale.expect("an answer"), Applied::Mismatch { index: 0 });
    let text = face
        .apply(vec![conformance::put("hits", "many")], Atomicity::BestEffort)
        .await;
    assert_eq!(text.expect_err("no number").code(), codes::INVALID_ARGUMENT);
}

#[tokio::test]
async fn an_entry_of_a_map_has_one_version_on_both_faces() {
    let service = service(&ManualClock::at(Timestamp(1_000))).await;
    let face = service.face();
    let saved = face
        .apply(
            vec![conformance::put("users/ann/1", "new")],
            Atomicity::BestEffort,
        )
        .await;
    assert_eq!(saved.expect("a save"), Applied::Done);
    let map = service
        .primitives
        .find("users", Type::Map)
        .await
        .expect("it was created with its entry");
    let get = map::Query::Get { key: "ann/1".into() };
    let Ok(map::Reply::Found(found)) = get.ask(&*map.engine, &map.address).await else {
        panic!("the entry is there");
    };
    let read = face
        .get(&["users/ann/1".to_owned()])
        .await
        .expect("a read")
        .remove(0);
    let read = read.expect("an item").expect("it is there");
    assert_eq!(
        (read.data, read.etag),
        (found.value, Etag(found.version.to_string()))
    );
    let wrong = face.get(&["users".to_owned()]).await.expect("a read").remove(0);
    assert_eq!(
        wrong.expect_err("a map has no single value").code(),
        codes::UNIMPLEMENTED
    );
}
