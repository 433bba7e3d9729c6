//! `belay id`.

use wire::layotto::sequencer_options::AutoIncrement::{Strong, Weak};

use super::*;

#[tokio::test]
async fn ids_come_one_per_line() {
    let server = Server::start().await;
    server
        .belay(&["id", "order", "--count", "3"])
        .await
        .check(Exit::Ok, "1\n2\n3\n", "");
    let id = server.belay(&["id", "order", "--json"]).await;
    id.check(
        Exit::Ok,
        "{\"store\":\"sequencer_demo\",\"key\":\"order\",\"id\":4}\n",
        "",
    );
}

#[tokio::test]
async fn ids_grow_strictly_unless_weak_ones_will_do() {
    let server = Server::start().await;
    server.belay(&["id", "order"]).await;
    server.belay(&["id", "order", "--weak"]).await;
    assert_eq!(server.fake.0.lock().increments, [Strong as i32, Weak as i32]);
}
