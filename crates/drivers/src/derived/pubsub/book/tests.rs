use ports::kv::Version;

use super::*;

fn book() -> Book {
    let cursor = Cursor {
        seen_at: Timestamp(0),
        high: Position::START,
        holes: vec![],
    };
    let (rows, age_max) = (GroupRows::of("c", "t", "g"), Duration::from_secs(3_600));
    let mut book = Book::open(rows, age_max, &cursor, vec![], vec![]);
    book.join(8);
    book
}

fn position(number: u64) -> Position {
    Position {
        version: Version(number),
        index: 0,
    }
}

fn event(key: &str) -> Stored {
    let row = Stored::encode(Timestamp(0), None, Ordering::of(key), b"{}");
    Stored::decode(row).expect("a good row")
}

fn read(book: &mut Book, keys: &[(u64, &str)]) {
    let page: Vec<_> = keys
        .iter()
        .map(|(number, key)| (position(*number), event(key)))
        .collect();
    let through = page.last().expect("there is one").0;
    book.read(page, through, Timestamp(0));
}

fn next(book: &mut Book) -> Option<u64> {
    book.next(Timestamp(0)).map(|next| next.position.version.0)
}

fn settle(book: &mut Book, number: u64, settlement: Settlement) {
    let at = At {
        now: Timestamp(0),
        pause: Duration::ZERO,
        deliveries_max: 0,
        given_up: GivenUp::Nowhere,
    };
    assert_ne!(book.settle(position(number), settlement, &at), Ended::Unknown);
}

fn changes(book: &mut Book) -> Commit {
    book.take_changes(Timestamp(0)).expect("something has changed")
}

fn holes(commit: &Commit) -> Vec<u64> {
    commit.cursor.holes.iter().map(|hole| hole.version.0).collect()
}

#[test]
fn holes_are_what_is_with_the_consumer_below_what_is_settled() {
    let mut book = book();
    read(&mut book, &[(1, ""), (2, ""), (3, ""), (4, "")]);
    while next(&mut book).is_some() {}
    settle(&mut book, 3, Settlement::Ack);
    let commit = changes(&mut book);
    assert_eq!((commit.cursor.high, holes(&commit)), (position(3), vec![1, 2]));
    settle(&mut book, 1, Settlement::Retry);
    settle(&mut book, 4, Settlement::Ack);
    let commit = changes(&mut book);
    assert_eq!((commit.cursor.high, holes(&commit)), (position(4), vec![2]));
    assert!(
        book.take_changes(Timestamp(0)).is_none(),
        "nothing has changed since"
    );
}

#[test]
fn a_parked_event_is_not_loaded_before_it_is_stored() {
    let mut book = book();
    read(&mut book, &[(1, "")]);
    next(&mut book);
    settle(&mut book, 1, Settlement::Retry);
    let commit = changes(&mut book);
    assert_eq!(book.take_due(Timestamp(1)), []);
    book.committed(commit);
    assert_eq!(book.take_due(Timestamp(1)), [position(1)]);
}

#[test]
fn a_follower_is_not_loaded_before_it_is_stored() {
    let mut book = book();
    let full: Vec<_> = (1..=limits::EVENTS_IN_MEMORY_MAX as u64)
        .map(|number| (number, "k"))
        .collect();
    read(&mut book, &full);
    assert_eq!(next(&mut book), Some(1));
    settle(&mut book, 1, Settlement::Ack);
    let first = changes(&mut book);
    read(&mut book, &[(2_000, "k")]);
    assert_eq!(book.room_for_page(), None, "what waits is parked, and on the way");
    let second = changes(&mut book);
    book.committed(first);
    assert_eq!(book.take_due(Timestamp(1)), [], "its row is on the way");
    book.committed(second);
    assert_eq!(book.take_due(Timestamp(1)), [position(2)]);
}

#[test]
fn the_next_of_a_key_waits_for_the_commit() {
    let mut book = book();
    read(&mut book, &[(1, "k"), (2, "k")]);
    assert_eq!(next(&mut book), Some(1));
    settle(&mut book, 1, Settlement::Ack);
    assert_eq!(next(&mut book), None);
    let commit = changes(&mut book);
    book.committed(commit);
    assert_eq!(next(&mut book), Some(2));
}

#[test]
fn memory_is_given_back() {
    let mut book = book();
    read(&mut book, &[(1, ""), (2, "k"), (3, "k")]);
    assert_eq!(book.in_memory(), (3, 3 * event("").bytes()));
    while next(&mut book).is_some() {}
    settle(&mut book, 1, Settlement::Ack);
    settle(&mut book, 2, Settlement::Retry);
    assert_eq!(
        book.in_memory(),
        (0, 0),
        "what waits behind a refused event is parked with it"
    );
}

#[test]
fn what_a_consumer_leaves_is_for_the_others_and_was_not_refused() {
    let mut book = book();
    read(&mut book, &[(1, ""), (2, "k"), (3, "k"), (4, "")]);
    let first = book.next(Timestamp(0)).expect("it is ready").consumer;
    while next(&mut book).is_some() {}
    book.join(8);
    assert_eq!(next(&mut book), None);
    book.leave(first);
    let again = |book: &mut Book| {
        book.next(Timestamp(0))
            .map(|next| (next.position.version.0, next.attempt))
    };
    let seen: Vec<_> = std::iter::from_fn(|| again(&mut book)).collect();
    assert_eq!(seen, [(1, 1), (2, 1), (4, 1)]);
    settle(&mut book, 4, Settlement::Ack);
    assert_eq!(holes(&changes(&mut book)), [1, 2, 3]);
}

#[test]
fn events_that_one_consumer_holds_take_no_memory_from_another() {
    let mut book = book();
    let large = |from: u64, key: &str| -> Vec<(Position, Stored)> {
        let row = vec![0; limits::EVENTS_IN_MEMORY_BYTES_MAX / 8];
        let row = Stored::encode(Timestamp(0), None, Ordering::of(key), &row);
        let event = |number| (position(number), Stored::decode(row.clone()).expect("a good row"));
        (from..from + 8).map(event).collect()
    };
    book.read(large(1, ""), position(8), Timestamp(0));
    while next(&mut book).is_some() {}
    assert_eq!(book.room_for_page(), None);
    book.join(8);
    let (_, bytes) = book.room_for_page().expect("the other may have as much");
    assert!(bytes > limits::EVENTS_IN_MEMORY_BYTES_MAX / 8 * 7);
}
