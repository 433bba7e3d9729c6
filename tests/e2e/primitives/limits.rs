//! Limits of the primitives' own listener (trap 35).

use futures::StreamExt;
use tests::{Belay, PATIENCE};
use tokio::time::timeout;
use tonic::Code;
use wire::atomix::value as pb;
use wire::atomix::value::value_client::ValueClient;
use wire::atomix::value::values_client::ValuesClient;

use super::{connect, id};

const NAME: &str = "value";
/// Of one connection: more than servers allow that count them in hundreds.
const WATCHES: usize = 300;

fn set(bytes: usize) -> pb::SetRequest {
    let (id, value, ttl) = (id(NAME), vec![b'v'; bytes].into(), None);
    pb::SetRequest { id, value, ttl }
}

async fn client(belay: &Belay) -> ValueClient<tonic::transport::Channel> {
    let channel = connect(belay).await;
    let (id, tags) = (id(NAME), vec![]);
    let create = pb::CreateRequest { id, tags };
    let created = ValuesClient::new(channel.clone()).create(create).await;
    created.expect("it is there, or new");
    ValueClient::new(channel)
}

#[tokio::test]
async fn hundreds_of_watches_leave_room_for_calls_on_their_connection() {
    let belay = Belay::run("{}\n").await;
    let mut client = client(&belay).await;
    let mut watches = vec![];
    for _ in 0..WATCHES {
        let events = client.events(pb::EventsRequest { id: id(NAME) }).await;
        let mut events = events.expect("events").into_inner();
        let opening = timeout(PATIENCE, events.next()).await.expect("in time");
        assert!(matches!(opening, Some(Ok(pb::EventsResponse { event: None }))));
        watches.push(events);
    }
    let written = timeout(PATIENCE, client.set(set(1))).await.expect("in time");
    written.expect("it is set");
    for mut events in watches {
        let event = timeout(PATIENCE, events.next()).await.expect("in time");
        let event = event.expect("an event").expect("no error").event;
        assert!(event.is_some_and(|event| event.event.is_some()));
    }
}

#[tokio::test]
async fn a_message_over_four_mib_is_refused_and_the_connection_goes_on() {
    let belay = Belay::run("{}\n").await;
    let mut client = client(&belay).await;
    let refused = client.set(set(5 << 20)).await.expect_err("over 4 MiB");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    client.set(set(10)).await.expect("the connection is unharmed");
}
