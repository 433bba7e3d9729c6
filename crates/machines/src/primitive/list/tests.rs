use proptest::prelude::*;

use super::*;
use crate::key::{Key, Table};
use crate::row::Stored;
use crate::testing::{Bench, Got};

fn append(value: impl Into<Bytes>) -> Command {
    let value = value.into();
    Command::Append { value }
}

fn insert(index: u32, value: impl Into<Bytes>) -> Command {
    let value = value.into();
    Command::Insert { index, value }
}

fn set(index: u32, value: impl Into<Bytes>) -> Command {
    let value = value.into();
    Command::Set { index, value }
}

fn remove(index: u32) -> Command {
    Command::Remove { index }
}

/// What a command did: the position and value it answered with, or the code it was refused with.
fn outcome(got: Got) -> Result<Option<(u32, Bytes)>, &'static str> {
    match got {
        Got::Now(reply) => Ok(match Reply::try_from(reply).expect("a list's reply") {
            Reply::Item(item) => Some((item.index, item.value)),
            Reply::Cleared => None,
            Reply::Size(_) | Reply::Items(_) => panic!("a command is not a query"),
        }),
        Got::Refused(error) => Err(error.code().id),
        Got::Later(_) => panic!("a list answers at once"),
    }
}

fn page(bench: &mut Bench, from: u32) -> Page {
    let reply = bench.read(Query::Items { from }).expect("a page");
    match Reply::try_from(reply) {
        Ok(Reply::Items(page)) => page,
        other => panic!("a page is asked for: {other:?}"),
    }
}

fn size(bench: &mut Bench) -> u32 {
    match Reply::try_from(bench.read(Query::Size).expect("a size")) {
        Ok(Reply::Size(size)) => size,
        other => panic!("a size is asked for: {other:?}"),
    }
}

/// All items, page by page.
fn items(bench: &mut Bench) -> Vec<Bytes> {
    let mut items = vec![];
    loop {
        let page = page(bench, u32::try_from(items.len()).expect("a short list"));
        items.extend(page.values);
        if !page.more {
            return items;
        }
    }
}

#[track_caller]
fn check(history: &[Command], expected: &[&'static str]) {
    let mut bench = Bench::new();
    for command in history {
        outcome(bench.apply(command.clone())).expect("a command that is taken");
    }
    assert_eq!(items(&mut bench), expected);
    assert_eq!(size(&mut bench) as usize, expected.len());
}

#[track_caller]
fn check_refused(history: &[Command], refused: &Command) {
    let mut bench = Bench::new();
    for command in history {
        outcome(bench.apply(command.clone())).expect("a command that is taken");
    }
    let (before, events) = (page(&mut bench, 0), bench.events.len());
    assert_eq!(
        outcome(bench.apply(refused.clone())),
        Err(codes::ENTRY_NOT_FOUND.id)
    );
    assert_eq!((page(&mut bench, 0), bench.events.len()), (before, events));
}

#[test]
fn an_append_comes_last() {
    check(&[append("a"), append("b"), append("c")], &["a", "b", "c"]);
}

#[test]
fn an_insert_moves_later_items_up() {
    check(&[append("a"), append("b"), insert(1, "x")], &["a", "x", "b"]);
}

#[test]
fn an_insert_at_the_size_is_an_append() {
    check(&[insert(0, "a"), insert(1, "b")], &["a", "b"]);
}

#[test]
fn a_remove_moves_later_items_down() {
    check(&[append("a"), append("b"), append("c"), remove(0)], &["b", "c"]);
}

#[test]
fn a_set_replaces() {
    check(&[append("a"), append("b"), set(1, "x")], &["a", "x"]);
}

#[test]
fn after_a_clear_it_begins_at_0() {
    check(&[append("a"), append("b"), Command::Clear, append("c")], &["c"]);
}

#[test]
fn what_is_behind_the_end_is_not_found() {
    let one = [append("a")];
    check_refused(&one, &insert(2, "x"));
    check_refused(&one, &set(1, "x"));
    check_refused(&one, &remove(1));
    check_refused(&one, &remove(u32::MAX));
    check_refused(&[], &remove(0));
}

#[test]
fn a_position_answers_with_its_item() {
    let mut bench = Bench::new();
    bench.apply(append("a"));
    let got = |index: u32, value: &'static str| Ok(Some((index, Bytes::from_static(value.as_bytes()))));
    assert_eq!(outcome(bench.apply(append("b"))), got(1, "b"));
    assert_eq!(outcome(bench.apply(set(1, "c"))), got(1, "c"));
    assert_eq!(outcome(bench.apply(remove(1))), got(1, "c"));
    assert!(bench.read(Query::Get { index: 0 }).is_ok());
    assert!(bench.read(Query::Get { index: 1 }).is_err());
}

#[test]
fn an_append_is_told_as_inserted_at_the_size() {
    let mut bench = Bench::new();
    bench.apply(append("a"));
    bench.apply(append("b"));
    let told = Event::Inserted(item(1, &Bytes::from_static(b"b")));
    assert_eq!(bench.events.last(), Some(&told.into()));
}

#[test]
fn a_clear_is_told_with_what_was_there() {
    let mut bench = Bench::new();
    bench.apply(append("a"));
    bench.apply(append("b"));
    bench.apply(Command::Clear);
    let told = Event::Cleared(Some(vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")]));
    assert_eq!(bench.events.last(), Some(&told.into()));
    assert_eq!(
        bench.count(Table::Machine),
        1,
        "only the head with its version stays"
    );
}

#[test]
fn clearing_what_is_empty_is_not_told() {
    let mut bench = Bench::new();
    bench.apply(Command::Clear);
    assert_eq!((bench.events.len(), bench.count(Table::Machine)), (0, 0));
}

#[test]
fn a_list_that_is_too_large_to_be_told_is_cleared_all_the_same() {
    let mut bench = Bench::new();
    for _ in 0..5 {
        bench.apply(append(vec![0; 1 << 20]));
    }
    bench.apply(Command::Clear);
    assert_eq!(bench.events.last(), Some(&Event::Cleared(None).into()));
    assert_eq!((size(&mut bench), bench.count(Table::Machine)), (0, 1));
}

#[test]
fn chunks_are_full_when_items_are_appended() {
    let mut bench = Bench::new();
    for number in 0..3_000_u32 {
        bench.apply(append(number.to_be_bytes().to_vec()));
    }
    // 20 bytes each, of 32 KiB.
    assert_eq!(bench.count(Table::Machine), 1 + 2);
    let expected: Vec<Bytes> = (0..3_000_u32)
        .map(|number| Bytes::copy_from_slice(&number.to_be_bytes()))
        .collect();
    assert_eq!(items(&mut bench), expected);
}

#[test]
fn chunks_go_with_their_items() {
    let mut bench = Bench::new();
    for _ in 0..100 {
        bench.apply(append(vec![7; 2_000]));
    }
    assert!(bench.count(Table::Machine) > 6);
    for index in (0..98).rev() {
        bench.apply(remove(index));
    }
    assert_eq!((size(&mut bench), bench.count(Table::Machine)), (2, 1 + 1));
}

#[test]
fn a_page_says_whether_more_follow() {
    let mut bench = Bench::new();
    for _ in 0..50 {
        bench.apply(append(vec![7; 30_000]));
    }
    let first = page(&mut bench, 0);
    assert!(first.more && first.values.len() < 50);
    assert_eq!(first.version, 50);
    let last = page(&mut bench, 49);
    assert_eq!((last.values.len(), last.more), (1, false));
    assert_eq!(page(&mut bench, 50).values.len(), 0);
}

#[test]
fn rows_are_as_the_first_version_wrote_them() {
    let mut bench = Bench::new();
    bench.apply(append("a"));
    bench.apply(append("bc"));
    let head = [1, 8, 2, 16, 1, 26, 1, 1, 34, 1, 2, 42, 1, 35];
    assert_eq!(bench.row(&Key::head(&bench.address)).as_deref(), Some(&head[..]));
    let chunk = Key::part(&bench.address, 1, &1_u64.to_be_bytes());
    let items = [1, 10, 1, b'a', 10, 2, b'b', b'c'];
    assert_eq!(bench.row(&chunk).as_deref(), Some(&items[..]));
}

/// A list with as many chunks as there may be, without the steps that made it.
fn largest() -> Bench {
    let mut bench = Bench::new();
    bench.apply(append(vec![7; 20_000]));
    let address = bench.address.clone();
    let chunk = bench
        .row(&Key::part(&address, 1, &1_u64.to_be_bytes()))
        .expect("a chunk");
    let count = limits::LIST_CHUNKS_MAX;
    for number in 1..=count as u64 {
        bench.put(Key::part(&address, 1, &number.to_be_bytes()), chunk.clone());
    }
    let head = chunks::Head {
        version: 1,
        next: count as u64,
        numbers: (1..=count as u64).collect(),
        counts: vec![1; count],
        weights: vec![20_016; count],
    };
    bench.put(Key::head(&address), head.to_row());
    bench
}

#[test]
fn a_full_list_refuses_more_and_takes_less() {
    let mut bench = largest();
    let refused = Err(codes::TOO_MANY_REQUESTS.id);
    assert_eq!(outcome(bench.apply(append(vec![7; 20_000]))), refused);
    assert_eq!(outcome(bench.apply(insert(5, vec![7; 20_000]))), refused);
    assert!(outcome(bench.apply(append("small"))).is_ok());
    assert!(outcome(bench.apply(remove(17))).is_ok());
    assert!(outcome(bench.apply(append(vec![7; 20_000]))).is_ok());
}

#[test]
fn the_largest_list_is_cleared_in_one_step() {
    let mut bench = largest();
    assert!(outcome(bench.apply(Command::Clear)).is_ok());
    assert_eq!(bench.count(Table::Machine), 1);
}

fn command() -> impl Strategy<Value = Command> {
    // Few bytes, many, and more than a chunk has.
    let value = (0..5_usize, any::<u8>()).prop_map(|(which, byte)| {
        let length = [0, 1, 3_000, 9_000, 40_000][which];
        Bytes::from(vec![byte; length])
    });
    (0..16, 0_u32..45, value).prop_map(|(which, index, value)| match which {
        0..5 => Command::Insert { index, value },
        5..8 => Command::Append { value },
        8..11 => Command::Set { index, value },
        11..15 => Command::Remove { index },
        _ if index < 5 => Command::Clear,
        _ => Command::Remove { index: 0 },
    })
}

/// Does to a vector what the command says, if it can be done.
fn model_apply(model: &mut Vec<Bytes>, command: &Command) -> bool {
    match command.clone() {
        Command::Append { value } => model.push(value),
        Command::Insert { index, value } if index as usize <= model.len() => {
            model.insert(index as usize, value);
        }
        Command::Set { index, value } if (index as usize) < model.len() => model[index as usize] = value,
        Command::Remove { index } if (index as usize) < model.len() => drop(model.remove(index as usize)),
        Command::Clear => model.clear(),
        _ => return false,
    }
    true
}

/// What one who follows the events makes of them.
fn follow(mirror: &mut Vec<Bytes>, event: &crate::step::Event) {
    let crate::step::Event::Primitive(crate::primitive::Event::List(event)) = event else {
        panic!("a list's event");
    };
    match event.clone() {
        Event::Inserted(Item { index, value }) => mirror.insert(index as usize, value),
        Event::Updated { now, before } => {
            assert_eq!(mirror[now.index as usize], before);
            mirror[now.index as usize] = now.value;
        }
        Event::Removed(was) => assert_eq!(mirror.remove(was.index as usize), was.value),
        Event::Cleared(all) => assert_eq!(Some(std::mem::take(mirror)), all),
    }
}

proptest! {
    /// Against a vector; who follows the events has the same one, and chunks are neither too large nor too many.
    #[test]
    fn it_is_a_vector(history in prop::collection::vec(command(), 0..120)) {
        let mut bench = Bench::new();
        let (mut model, mut mirror) = (vec![], vec![]);
        for command in history {
            let taken = model_apply(&mut model, &command);
            prop_assert_eq!(outcome(bench.apply(command)).is_ok(), taken);
            for event in std::mem::take(&mut bench.events) {
                follow(&mut mirror, &event);
            }
            check_chunks(&bench);
        }
        prop_assert_eq!(&items(&mut bench), &model);
        prop_assert_eq!(&mirror, &model);
        prop_assert_eq!(size(&mut bench) as usize, model.len());
    }
}

fn check_chunks(bench: &Bench) {
    let Some(head) = bench.row(&Key::head(&bench.address)) else {
        return;
    };
    let head = chunks::Head::from_row(&head).expect("a head");
    assert_eq!(bench.count(Table::Machine), 1 + head.numbers.len());
    for (weight, count) in head.weights.iter().zip(&head.counts) {
        assert!(*weight <= limits::LIST_CHUNK_BYTES || *count == 1, "{head:?}");
    }
    for pair in head.weights.windows(2) {
        assert!(pair[0] + pair[1] > limits::LIST_CHUNK_BYTES / 2, "{head:?}");
    }
}
