//! Entry points for fuzzers: stored bytes. `fuzz/` drives them with libFuzzer, the tests here with damaged samples. None may
//! panic, whatever the bytes are.

use std::collections::BTreeMap;

use base::Timestamp;
use bytes::Bytes;

use crate::engine::{PartPage, PartScan};
use crate::key::{Address, Key, Table};
use crate::message::Message;
use crate::row::Stored;
use crate::step::{self, Answer, At, Command, Request};
use crate::view::{Found, Rows, Stop, View};

mod commands;

/// More than any step asks for.
const LOADS_MAX: usize = 16;

/// Rows that machines find: each piece of the bytes is one, in the order they are asked for. Every machine takes every
/// command and query on them; what a step leaves can be read.
pub fn steps(bytes: &[u8]) {
    for command in commands::all() {
        apply(&command, bytes);
    }
    let address = address();
    for query in commands::queries() {
        run(bytes, |view| {
            step::read(view, Timestamp(1_000), &address, &query).map(drop)
        });
    }
}

/// A message, and behind it the rows that it finds.
pub fn messages(bytes: &[u8]) {
    let mut rows = Pieces(bytes);
    let Ok(message) = Message::from_row(&rows.next().unwrap_or_default()) else {
        return;
    };
    assert_eq!(Message::from_row(&message.to_row()).ok(), Some(message.clone()));
    apply(&Command::Message(message), rows.0);
}

/// Names of rows. What is read is written the same.
pub fn keys(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Some((due, address)) = Key::decode_timer(&bytes) {
        assert!(bytes.starts_with(&Key::timer(due, &address, &[]).bytes));
    }
    if let Some((address, session)) = Key::decode_session(&bytes) {
        assert_eq!(Key::session(&address, session).bytes, bytes);
    }
}

/// Pieces of an input: two bytes of length, little endian, then so many bytes, or what there is.
struct Pieces<'b>(&'b [u8]);

impl Iterator for Pieces<'_> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_le_bytes(*length)).min(rest.len());
        let (piece, rest) = rest.split_at(length);
        self.0 = rest;
        Some(Bytes::copy_from_slice(piece))
    }
}

/// What steps have asked for.
#[derive(Default)]
struct Asked(BTreeMap<Key, Option<Bytes>>);

impl Rows for Asked {
    fn get(&self, key: &Key) -> Found {
        match self.0.get(key) {
            Some(Some(row)) => Found::Row(row.clone()),
            Some(None) => Found::Absent,
            None => Found::NotLoaded,
        }
    }

    fn range(&self, _: &PartScan) -> Option<PartPage> {
        Some(PartPage::default())
    }
}

/// Gives the step a piece for each row it asks for. An empty one is a row that is not there.
fn run<T>(bytes: &[u8], step: impl Fn(&mut View<'_>) -> Result<T, Stop>) {
    let mut asked = Asked::default();
    let mut pieces = Pieces(bytes);
    for _ in 0..LOADS_MAX {
        let mut view = View::new(&asked);
        let missing = match step(&mut view) {
            Err(Stop::Missing(missing)) => missing,
            // Every range is there, and empty.
            Err(Stop::Refused(_) | Stop::MissingRange(_)) => return,
            Ok(_) => {
                let stepped = view.finish();
                let timers = stepped.of(Table::Timer).filter_map(|(_, row)| row);
                for row in timers {
                    assert!(Message::from_row(row).is_ok());
                }
                return;
            }
        };
        for key in missing {
            let row = pieces.next().filter(|row| !row.is_empty());
            asked.0.insert(key, row);
        }
    }
    panic!("it asks for rows again and again");
}

fn apply(command: &Command, bytes: &[u8]) {
    let at = At {
        now: Timestamp(1_000),
        index: 7,
        request: Request { epoch: 1, number: 1 },
    };
    let address = address();
    run(bytes, |view| -> Result<Answer, Stop> {
        step::apply(view, at, &address, command)
    });
}

fn address() -> Address {
    Address::primitive("store", "name")
}

#[cfg(test)]
mod tests {
    use testkit::mutate::storm;

    use super::*;
    use crate::key::Session;
    use crate::message::{Body, Expire, StoredRequest, StoredSession, WaitOver};
    use crate::primitive::{Type, countermap, election, list, lock, map, multimap};
    use crate::testing::{Bench, Got};

    fn pieces(rows: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![];
        for row in rows {
            let length = u16::try_from(row.len()).expect("a short row");
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(row);
        }
        bytes
    }

    #[track_caller]
    fn check(samples: &[Vec<u8>], inputs: usize, target: impl Fn(&[u8])) {
        let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
        storm(&samples, inputs, target);
    }

    const HEAD: &[u8] = b"\x01\x08\x01\x10\x02\x18\x03";
    const LAST: &[u8] =
        b"\x01\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x18\x01";
    /// The largest number, in the first field.
    const MOST: &[u8] = b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
    const ENTRY: &[u8] = b"\x01\x0a\x01k\x12\x01w\x18\x05\x20\xe8\x0f";
    const OVER: &[u8] = b"\x01\x0a\x01k\x12\x01w\x18\x05\x20\x01";

    /// The row that two sessions leave, of whom one holds what the other waits for.
    fn held<C: Into<Command>>(key: impl Fn(&Address) -> Key, command: impl Fn(Session) -> C) -> Bytes {
        let mut bench = Bench::new();
        assert!(matches!(bench.apply(command(Session(1))), Got::Now(_)));
        assert!(matches!(bench.apply(command(Session(2))), Got::Later(_)));
        bench.row(&key(&bench.address)).expect("one holds it")
    }

    /// Of a lock.
    fn lock() -> Bytes {
        let timeout = None;
        held(Key::head, |session| lock::Command::Lock { session, timeout })
    }

    /// Of a map: its keys that are locked are part 2.
    fn map_locks() -> Bytes {
        let key = |address: &Address| Key::part(address, 2, &[]);
        held(key, |session| map::Command::Lock {
            keys: [String::from("k")].into(),
            session,
            timeout: None,
        })
    }

    /// Rows that commands leave: the head, and others of it.
    fn rows<C: Into<Command>>(commands: impl IntoIterator<Item = C>, others: &[(u8, &[u8])]) -> Vec<u8> {
        let mut bench = Bench::new();
        for command in commands {
            assert!(matches!(bench.apply(command), Got::Now(_)));
        }
        let others = others
            .iter()
            .map(|(part, name)| Key::part(&bench.address, *part, name));
        let keys = std::iter::once(Key::head(&bench.address)).chain(others);
        let rows: Vec<Bytes> = keys.map(|key| bench.row(&key).expect("a row of its")).collect();
        pieces(&rows.iter().map(|row| &row[..]).collect::<Vec<_>>())
    }

    fn list_of_two() -> Vec<u8> {
        let append = |text: &'static str| list::Command::Append {
            value: Bytes::from_static(text.as_bytes()),
        };
        rows([append("v"), append("w")], &[(1, &1_u64.to_be_bytes())])
    }

    fn counters_of_a_map() -> Vec<u8> {
        let set = countermap::Command::Set {
            key: "k".into(),
            value: 1,
        };
        rows([set], &[(1, b"\0\0\0\0\0\0\0\0k")])
    }

    fn values_of_a_key() -> Vec<u8> {
        let put = |value: &str| multimap::Command::Put {
            key: "k".into(),
            value: value.into(),
        };
        rows([put("v"), put("x")], &[])
    }

    /// The first of an election's fields is its term: of two, the last one counts.
    fn two_candidates(fields: &[u8]) -> Vec<u8> {
        let enter = |candidate: &str, session| election::Command::Enter {
            candidate: candidate.into(),
            session: Session(session),
        };
        let head = rows([enter("a", 1), enter("b", 2)], &[]);
        let head = Pieces(&head).next().expect("a row");
        pieces(&[&[&head, fields].concat()])
    }

    #[test]
    fn steps_on_rows_of_any_bytes_end() {
        let samples = [
            pieces(&[HEAD, b"\x01\x08\x02", ENTRY]),
            pieces(&[HEAD, b"\x01\x08\x02", OVER]),
            pieces(&[HEAD, ENTRY]),
            pieces(&[LAST]),
            pieces(&[b"\x01\x0a\x01v\x10\x05\x18\xe8\x0f"]),
            pieces(&[b"\x01\x08\x02\x10\x05"]),
            pieces(&[&lock()]),
            pieces(&[&map_locks()]),
            list_of_two(),
            counters_of_a_map(),
            values_of_a_key(),
            two_candidates(b""),
            two_candidates(MOST),
        ];
        // Each is for all commands of all types.
        check(&samples, 3_000, steps);
    }

    #[test]
    fn messages_of_any_bytes_are_done_or_refused() {
        let expire = |primitive: Type, entry: &'static [u8]| Expire {
            primitive: primitive.number(),
            entry: Bytes::from_static(entry),
            version: 5,
        };
        let message = |body: Body| Message::from(body).to_row();
        let request = StoredRequest { epoch: 1, number: 2 };
        let wait_over = |primitive: Type| {
            let primitive = primitive.number();
            message(Body::WaitOver(WaitOver { primitive, request }))
        };
        let session = StoredSession::from(Session(1 << 70));
        let indexed = expire(Type::IndexedMap, b"\0\0\0\0\0\0\0\x01");
        let samples = [
            pieces(&[&message(Body::Expire(indexed)), HEAD, OVER]),
            pieces(&[&message(Body::Expire(expire(Type::Value, b""))), b"\x01\x10\x05"]),
            pieces(&[&wait_over(Type::Lock), &lock()]),
            pieces(&[&wait_over(Type::Map), &map_locks()]),
            pieces(&[&message(Body::SessionOver(session))]),
        ];
        check(&samples, 20_000, messages);
    }

    #[test]
    fn keys_of_any_bytes_are_read_or_refused() {
        let address = address();
        let samples = [
            Key::timer(7, &address, b"id").bytes.to_vec(),
            Key::session(&address, Session(9)).bytes.to_vec(),
        ];
        check(&samples, 20_000, keys);
    }
}
