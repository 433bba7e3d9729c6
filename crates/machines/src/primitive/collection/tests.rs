use base::limits;
use bytes::Bytes;

use super::*;
use crate::Table;
use crate::primitive::map::{Change, Command, Event, Query, Reply, To};
use crate::testing::{Bench, Got};

fn put(key: &str, ttl: Option<u64>) -> Command {
    Command::Change(Change {
        key: key.into(),
        to: To::Put {
            value: Bytes::from_static(b"v"),
            ttl: ttl.map(Duration::from_millis),
            expect: 0,
        },
    })
}

fn done(got: Got) {
    assert!(matches!(got, Got::Now(_)), "{got:?}");
}

fn size(bench: &mut Bench) -> u64 {
    match bench.read(Query::Size).map(Reply::try_from) {
        Ok(Ok(Reply::Size(size))) => size,
        other => panic!("a size, not {other:?}"),
    }
}

fn rows(bench: &Bench, generation: u64) -> usize {
    let scan = PartScan {
        part: ENTRIES,
        prefix: suffix(generation, &[]),
        after: None,
        limit: usize::MAX,
        descending: false,
    };
    bench.scan(&scan).rows.len()
}

fn sweep_pause() -> u64 {
    u64::try_from(limits::COLLECTION_SWEEP_PAUSE.as_millis()).expect("a short pause")
}

#[test]
fn a_clear_is_one_event_and_leaves_the_rows_for_a_while() {
    let mut bench = Bench::new();
    for key in ["a", "b", "c"] {
        done(bench.apply(put(key, None)));
    }
    let before = bench.events.len();
    done(bench.apply(Command::Clear));
    assert_eq!(bench.events[before..], [Event::Cleared { generation: 0 }.into()]);
    assert_eq!(size(&mut bench), 0);
    bench.advance(sweep_pause() - 1);
    assert_eq!(rows(&bench, 0), 3);
    bench.advance(1);
    assert_eq!(rows(&bench, 0), 0);
}

#[test]
fn clearing_what_is_empty_is_not_told() {
    let mut bench = Bench::new();
    done(bench.apply(Command::Clear));
    assert_eq!(bench.events, []);
    assert_eq!(bench.count(Table::Timer), 0);
}

#[test]
fn many_rows_are_removed_in_many_steps() {
    let mut bench = Bench::new();
    let entries = limits::COLLECTION_SWEEP_ROWS * 2 + 1;
    for key in 0..entries {
        done(bench.apply(put(&key.to_string(), None)));
    }
    done(bench.apply(Command::Clear));
    done(bench.apply(put("new", None)));
    bench.advance(sweep_pause());
    assert_eq!(rows(&bench, 0), entries - limits::COLLECTION_SWEEP_ROWS);
    bench.advance(sweep_pause());
    assert_eq!(rows(&bench, 0), 0);
    assert_eq!(rows(&bench, 1), 1);
    assert_eq!(size(&mut bench), 1);
    assert_eq!(bench.count(Table::Timer), 0);
}

#[test]
fn what_was_cleared_takes_its_timers_along() {
    let mut bench = Bench::new();
    let year = 365 * 24 * 60 * 60 * 1_000;
    done(bench.apply(put("a", Some(year))));
    done(bench.apply(Command::Clear));
    // The same key with the same end: another row, another timer.
    done(bench.apply(put("a", Some(year))));
    bench.advance(sweep_pause());
    assert_eq!(bench.count(Table::Timer), 1);
    bench.advance(year);
    assert_eq!(size(&mut bench), 0);
}

#[test]
fn two_clears_at_once_are_both_swept() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        done(bench.apply(put("a", None)));
        done(bench.apply(Command::Clear));
    }
    bench.advance(sweep_pause());
    assert_eq!((rows(&bench, 0), rows(&bench, 1)), (0, 0));
}

#[test]
fn a_timer_of_a_cleared_entry_finds_nothing() {
    let mut bench = Bench::new();
    done(bench.apply(put("a", Some(50))));
    done(bench.apply(Command::Clear));
    done(bench.apply(put("a", None)));
    let before = bench.events.len();
    bench.advance(100);
    assert_eq!(bench.events.len(), before);
    assert_eq!(size(&mut bench), 1);
}

#[test]
fn a_key_that_is_too_long_is_refused() {
    let mut bench = Bench::new();
    let long = "k".repeat(limits::ENTRY_KEY_BYTES_MAX + 1);
    match bench.apply(put(&long, None)) {
        Got::Refused(error) => assert_eq!(error.code(), codes::KEY_INVALID),
        other => panic!("{other:?}"),
    }
    done(bench.apply(put(&long[1..], None)));
}

#[test]
fn stored_rows_are_read_for_ever() {
    let row = Row {
        value: Bytes::from_static(b"v"),
        version: 7,
        ends: Some(9),
    };
    assert_eq!(row.to_row(), Bytes::from_static(b"\x01\x0a\x01v\x10\x07\x18\x09"));
    let head = Head {
        generation: 1,
        size: 2,
        swept: 3,
    };
    assert_eq!(head.to_row(), Bytes::from_static(b"\x01\x08\x01\x10\x02\x18\x03"));
}
