//! Entry points for fuzzers: stored bytes. `fuzz/` drives them with libFuzzer, the tests here with damaged samples. None may
//! panic, whatever the bytes are.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use base::Timestamp;
use bytes::Bytes;

use crate::engine::{PartPage, PartScan};
use crate::key::{Address, Key, Session, Table};
use crate::message::Message;
use crate::primitive::{Type, counter, indexedmap, value};
use crate::row::Stored;
use crate::step::{self, Answer, At, Command, Query, Request};
use crate::view::{Found, Rows, Stop, View};

/// More than any step asks for.
const LOADS_MAX: usize = 16;

/// Rows that machines find: each piece of the bytes is one, in the order they are asked for. Every machine takes every
/// command and query on them; what a step leaves can be read.
pub fn steps(bytes: &[u8]) {
    for command in commands() {
        apply(&command, bytes);
    }
    let address = address();
    for query in queries() {
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

fn commands() -> VecDeque<Command> {
    let (data, ttl) = (Bytes::from_static(b"v"), Some(Duration::from_secs(1)));
    let (key, expect) = (|| "k".to_owned(), 0);
    let which = || indexedmap::Which::Both { index: 1, key: key() };
    VecDeque::from([
        counter::Command::Add(i64::MAX).into(),
        counter::Command::Update { check: 0, value: 1 }.into(),
        value::Command::Set {
            value: data.clone(),
            ttl,
        }
        .into(),
        value::Command::Delete { expect }.into(),
        indexedmap::Command::Append {
            key: key(),
            value: data.clone(),
            ttl,
        }
        .into(),
        indexedmap::Command::Update {
            which: which(),
            value: data,
            ttl,
            expect,
        }
        .into(),
        indexedmap::Command::Remove {
            which: indexedmap::Which::Key(key()),
            expect,
        }
        .into(),
        indexedmap::Command::Clear.into(),
        Command::Abandoned {
            primitive: Type::Lock,
            request: Request::default(),
        },
        Command::SessionLost {
            session: Session(1),
            over_at: Timestamp(2_000),
        },
    ])
}

fn queries() -> [Query; 4] {
    [
        counter::Query::Get.into(),
        value::Query::Get.into(),
        indexedmap::Query::Get(indexedmap::Which::Key("k".to_owned())).into(),
        indexedmap::Query::Overview.into(),
    ]
}

#[cfg(test)]
mod tests {
    use testkit::mutate::storm;

    use super::*;
    use crate::message::{Body, Expire, StoredRequest, StoredSession, WaitOver};

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
    fn check(samples: &[Vec<u8>], target: impl Fn(&[u8])) {
        let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
        storm(&samples, 20_000, target);
    }

    const HEAD: &[u8] = b"\x01\x08\x01\x10\x02\x18\x03";
    const LAST: &[u8] =
        b"\x01\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x18\x01";
    const ENTRY: &[u8] = b"\x01\x0a\x01k\x12\x01w\x18\x05\x20\xe8\x0f";
    const OVER: &[u8] = b"\x01\x0a\x01k\x12\x01w\x18\x05\x20\x01";

    #[test]
    fn steps_on_rows_of_any_bytes_end() {
        let samples = [
            pieces(&[HEAD, b"\x01\x08\x02", ENTRY]),
            pieces(&[HEAD, b"\x01\x08\x02", OVER]),
            pieces(&[HEAD, ENTRY]),
            pieces(&[LAST]),
            pieces(&[b"\x01\x0a\x01v\x10\x05\x18\xe8\x0f"]),
            pieces(&[b"\x01\x08\x02\x10\x05"]),
        ];
        check(&samples, steps);
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
        let session = StoredSession::from(Session(1 << 70));
        let indexed = expire(Type::IndexedMap, b"\0\0\0\0\0\0\0\x01");
        let samples = [
            pieces(&[&message(Body::Expire(indexed)), HEAD, OVER]),
            pieces(&[&message(Body::Expire(expire(Type::Value, b""))), b"\x01\x10\x05"]),
            pieces(&[&message(Body::WaitOver(WaitOver {
                primitive: Type::Lock.number(),
                request,
            }))]),
            pieces(&[&message(Body::SessionOver(session))]),
        ];
        check(&samples, messages);
    }

    #[test]
    fn keys_of_any_bytes_are_read_or_refused() {
        let address = address();
        let samples = [
            Key::timer(7, &address, b"id").bytes.to_vec(),
            Key::session(&address, Session(9)).bytes.to_vec(),
        ];
        check(&samples, keys);
    }
}
