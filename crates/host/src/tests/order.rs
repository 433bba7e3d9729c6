//! Who is told first must not depend on chance: a simulation could not repeat a run.

use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use super::*;

const MANY: u64 = 16;

async fn host() -> Host {
    let options = Options {
        partitions: 1,
        ..Options::default()
    };
    World::new().open_with(options).await
}

#[tokio::test]
async fn those_who_wait_hear_of_the_end_in_the_order_of_their_calls() {
    let host = host().await;
    lock(&host, A).await.expect("it was free");
    let calls = (0..MANY).map(|number| lock(&host, B).map(move |_| number));
    let calls: FuturesUnordered<_> = calls.collect();
    behind_all_others(&host).await;
    host.close();
    let told: Vec<_> = calls.collect().await;
    assert_eq!(told, (0..MANY).collect::<Vec<_>>());
}

#[tokio::test]
async fn those_who_watch_hear_of_the_end_in_the_order_of_addresses() {
    let host = host().await;
    let watches = (0..MANY).map(|number| {
        let name = format!("value {number:02}");
        let mut watch = host.watch(&address(&name)).expect("a watch");
        async move { watch.events.next().await.map(|_| number) }
    });
    let mut watches: FuturesUnordered<_> = watches.collect();
    assert!(watches.next().now_or_never().is_none(), "nothing happens");
    host.close();
    let told: Vec<_> = watches.collect().await;
    assert_eq!(told, (0..MANY).map(Some).collect::<Vec<_>>());
}
