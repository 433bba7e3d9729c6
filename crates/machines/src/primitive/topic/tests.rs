use proptest::prelude::*;

use super::*;
use crate::testing::{Bench, Got};

fn publish(bench: &mut Bench, payload: &[u8]) -> Reply {
    let payload = Bytes::copy_from_slice(payload);
    match bench.apply(Command::Publish { payload }) {
        Got::Now(reply) => Reply::try_from(reply).expect("a topic's reply"),
        other => panic!("a topic answers at once: {other:?}"),
    }
}

fn last(bench: &mut Bench) -> Reply {
    Reply::try_from(bench.read(Query::Last).expect("a read")).expect("a topic's reply")
}

#[test]
fn before_the_first_message_the_offset_is_0() {
    let reply = last(&mut Bench::new());
    assert_eq!((reply.offset, reply.published), (0, Timestamp(0)));
}

#[test]
fn a_payload_is_counted_with_what_watchers_hold() {
    let mut bench = Bench::new();
    publish(&mut bench, &[7; 3_000]);
    assert_eq!(bench.events[0].held_bytes(), 3_000);
}

#[test]
fn a_row_is_as_the_first_version_wrote_it() {
    let mut bench = Bench::new();
    publish(&mut bench, b"a");
    let row = [1, 8, 1, 16, 0xe8, 7];
    assert_eq!(bench.row(&Key::head(&bench.address)).as_deref(), Some(&row[..]));
}

proptest! {
    /// Against a vector of what was published and when. Equal payloads, and empty ones, are messages like others.
    #[test]
    fn everything_is_told_once_and_in_order(
        history in prop::collection::vec((0_u64..20, prop::collection::vec(any::<u8>(), 0..4)), 0..40),
    ) {
        let mut bench = Bench::new();
        let mut model = vec![];
        for (pause, payload) in history {
            bench.advance(pause);
            let before = last(&mut bench);
            let reply = publish(&mut bench, &payload);
            prop_assert!(reply.offset > before.offset);
            prop_assert_eq!(last(&mut bench), reply);
            let event = Event { offset: reply.offset, published: bench.now, payload: payload.into() };
            model.push(event.into());
        }
        prop_assert_eq!(&bench.events, &model);
    }
}
