use base::codes::{BATCH_TOO_LARGE, ENTITY_CHANGED, ENTITY_KIND};
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::key::Table;
use crate::testing::{Bench, Got};

fn payload(text: &str) -> Payload {
    Payload {
        type_url: "type.googleapis.com/x.Y".into(),
        value: Bytes::copy_from_slice(text.as_bytes()),
    }
}

fn append(after: u64, events: &[&str], snapshot: Option<&str>) -> Command {
    Command::Append {
        after,
        events: events.iter().map(|text| payload(text)).collect(),
        snapshot: snapshot.map(payload),
    }
}

fn put(after: u64, value: Option<&str>) -> Command {
    Command::Put {
        after,
        value: value.map(payload),
    }
}

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.address = Address::entity("carts", "a");
    bench
}

#[track_caller]
fn sequence(got: Got) -> Result<u64, &'static str> {
    match got {
        Got::Now(step::Reply::Entity(Reply::Stored(sequence))) => Ok(sequence),
        Got::Refused(error) => Err(error.code().id),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn check(history: &[Command], expected: &[Result<u64, &'static str>]) -> Bench {
    let mut bench = bench();
    let got: Vec<_> = history
        .iter()
        .map(|command| sequence(bench.apply(command.clone())))
        .collect();
    assert_eq!(got, expected);
    bench
}

fn look(bench: &mut Bench, query: Query) -> (Option<Head>, Option<Payload>) {
    match bench.read(query) {
        Ok(step::Reply::Entity(Reply::Look { head, kept })) => (head, kept),
        other => panic!("{other:?}"),
    }
}

fn events(bench: &Bench) -> Vec<(u64, Payload)> {
    let scan = crate::engine::PartScan {
        part: rows::EVENT,
        prefix: Bytes::new(),
        after: None,
        limit: usize::MAX,
        descending: false,
    };
    let rows = bench.scan(&scan).rows.into_iter();
    rows.map(|(suffix, row)| {
        let event = Event::from_row(&row).expect("an event");
        (rows::sequence(&suffix).expect("a sequence"), event.payload)
    })
    .collect()
}

#[test]
fn events_are_numbered_from_one_without_gaps() {
    let bench = check(
        &[
            append(0, &["a"], None),
            append(1, &["b", "c"], None),
            append(3, &["d"], None),
        ],
        &[Ok(1), Ok(3), Ok(4)],
    );
    let expected: Vec<_> = (1..).zip(["a", "b", "c", "d"].map(payload)).collect();
    assert_eq!(events(&bench), expected);
}

#[test]
fn who_comes_second_is_refused() {
    let mut bench = check(
        &[
            append(0, &["a"], None),
            append(0, &["b"], None),
            append(2, &["b"], None),
        ],
        &[Ok(1), Err(ENTITY_CHANGED.id), Err(ENTITY_CHANGED.id)],
    );
    assert_eq!(events(&bench).len(), 1);
    assert_eq!(sequence(bench.apply(append(1, &["c"], None))), Ok(2));
}

#[test]
fn the_newest_snapshot_stays_with_its_sequence() {
    let mut bench = check(
        &[
            append(0, &["a", "b"], Some("ab")),
            append(2, &["c"], None),
            append(3, &["d"], Some("abcd")),
        ],
        &[Ok(2), Ok(3), Ok(4)],
    );
    let (head, kept) = look(&mut bench, Query::Snapshot);
    let head = head.expect("a head");
    assert_eq!((head.sequence, head.snapshot_sequence), (4, 4));
    assert_eq!(kept, Some(payload("abcd")));
    assert_eq!(events(&bench).len(), 4, "events stay");
}

#[test]
fn a_value_is_replaced_deleted_and_written_anew() {
    let mut bench = check(
        &[
            put(0, Some("a")),
            put(1, Some("b")),
            put(1, Some("c")),
            put(2, None),
            put(0, Some("d")),
        ],
        &[Ok(1), Ok(2), Err(ENTITY_CHANGED.id), Ok(0), Ok(4)],
    );
    assert_eq!(look(&mut bench, Query::Look).1, Some(payload("d")));
}

#[test]
fn a_deleted_value_leaves_nothing() {
    let mut bench = check(&[put(0, Some("a")), put(1, None)], &[Ok(1), Ok(0)]);
    assert_eq!(look(&mut bench, Query::Look), (None, None));
    assert_eq!(bench.count(Table::Machine), 0);
}

#[test]
fn a_kind_stays() {
    check(
        &[put(0, Some("a")), append(1, &["e"], None)],
        &[Ok(1), Err(ENTITY_KIND.id)],
    );
    check(
        &[append(0, &["e"], None), put(1, None)],
        &[Ok(1), Err(ENTITY_KIND.id)],
    );
}

#[test]
fn too_many_events_at_once_are_refused() {
    let many = vec!["e"; limits::ENTITY_EVENTS_PER_REPLY_MAX + 1];
    check(
        &[append(0, &many, None), append(0, &many[1..], None)],
        &[
            Err(BATCH_TOO_LARGE.id),
            Ok(limits::ENTITY_EVENTS_PER_REPLY_MAX as u64),
        ],
    );
}

#[test]
fn what_was_stored_comes_back_byte_for_byte() {
    let odd = [
        ("type.googleapis.com/x.Y", &b"\x08\x00\xff\xff\x01"[..]),
        ("json.cloudstate.io/cart", b"\x0a\x02{}"),
        ("p.cloudstate.io/string", b""),
        ("", b"\0"),
    ];
    let events_in: Vec<_> = odd
        .map(|(url, value)| Payload {
            type_url: url.into(),
            value: Bytes::from_static(value),
        })
        .into();
    let mut bench = bench();
    let command = Command::Append {
        after: 0,
        events: events_in.clone(),
        snapshot: events_in.first().cloned(),
    };
    assert_eq!(sequence(bench.apply(command)), Ok(4));
    bench.restart();
    let stored: Vec<_> = events(&bench).into_iter().map(|(_, payload)| payload).collect();
    assert_eq!(stored, events_in);
    assert_eq!(look(&mut bench, Query::Snapshot).1, events_in.first().cloned());
}

proptest! {
    /// Two writers that may know too little: what is stored is what the accepted ones said, in order.
    #[test]
    fn two_writers_leave_one_history(script in prop::collection::vec((0u64..6, 1usize..4, any::<bool>()), 1..40)) {
        let mut bench = bench();
        let mut model: Vec<String> = vec![];
        for (step, (behind, count, snapshot)) in script.into_iter().enumerate() {
            let names: Vec<String> = (0..count).map(|event| format!("{step}-{event}")).collect();
            let names_in: Vec<&str> = names.iter().map(String::as_str).collect();
            let last = model.len() as u64;
            let after = last.saturating_sub(behind);
            let got = sequence(bench.apply(append(after, &names_in, snapshot.then_some("s"))));
            if after == last {
                model.extend(names);
                prop_assert_eq!(got, Ok(model.len() as u64));
            } else {
                prop_assert_eq!(got, Err(ENTITY_CHANGED.id));
            }
        }
        let stored: Vec<_> = events(&bench).into_iter().map(|(_, payload)| payload).collect();
        let expected: Vec<_> = model.iter().map(|name| payload(name)).collect();
        prop_assert_eq!(stored, expected);
    }
}
