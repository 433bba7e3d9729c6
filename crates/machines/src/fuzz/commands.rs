//! Commands and queries of every type, for steps on rows of any bytes.

use std::time::Duration;

use base::Timestamp;
use bytes::Bytes;

use crate::key::Session;
use crate::primitive::{
    Type, counter, countermap, election, indexedmap, list, lock, map, multimap, set, topic, value,
};
use crate::step::{Command, Query, Request};

const SESSION: Session = Session(1);
const TTL: Option<Duration> = Some(Duration::from_secs(1));
const DATA: Bytes = Bytes::from_static(b"v");

fn key() -> String {
    "k".into()
}

fn names<T: FromIterator<String>>(names: &[&str]) -> T {
    names.iter().map(|name| String::from(*name)).collect()
}

pub(super) fn all() -> Vec<Command> {
    let of_types = [
        of_counters(),
        of_values(),
        of_indexed_maps(),
        of_maps(),
        of_sets_and_multimaps(),
        of_lists(),
        of_counter_maps(),
        of_locks(),
        of_elections(),
    ];
    of_types.into_iter().flatten().collect()
}

fn of_counters() -> Vec<Command> {
    vec![
        counter::Command::Add(i64::MAX).into(),
        counter::Command::Update { check: 0, value: 1 }.into(),
    ]
}

fn of_values() -> Vec<Command> {
    let payload = DATA;
    vec![
        value::Command::Set {
            value: DATA,
            ttl: TTL,
        }
        .into(),
        value::Command::Delete { expect: 0 }.into(),
        topic::Command::Publish { payload }.into(),
    ]
}

fn of_indexed_maps() -> Vec<Command> {
    let (value, ttl, expect) = (DATA, TTL, 0);
    let which = indexedmap::Which::Both { index: 1, key: key() };
    let append = indexedmap::Command::Append {
        key: key(),
        value: DATA,
        ttl,
    };
    let update = indexedmap::Command::Update {
        which,
        value,
        ttl,
        expect,
    };
    let which = indexedmap::Which::Key(key());
    let remove = indexedmap::Command::Remove { which, expect };
    vec![
        append.into(),
        update.into(),
        remove.into(),
        indexedmap::Command::Clear.into(),
    ]
}

/// Changes, and locks of keys: some are held in the samples, some are not.
fn of_maps() -> Vec<Command> {
    let (value, ttl, expect) = (DATA, TTL, 0);
    let put = map::To::Put { value, ttl, expect };
    let change = |key: &str, to: map::To| map::Change { key: key.into(), to };
    let lock = |timeout| map::Command::Lock {
        keys: names(&["k", "l"]),
        session: SESSION,
        timeout,
    };
    let unlock = map::Command::Unlock {
        keys: names(&["k"]),
        session: SESSION,
    };
    vec![
        map::Command::Change(change("k", put.clone())).into(),
        map::Command::Commit(vec![change("k", put), change("l", map::To::Remove { expect })]).into(),
        map::Command::Clear.into(),
        lock(None).into(),
        lock(Some(Duration::ZERO)).into(),
        lock(TTL).into(),
        unlock.into(),
        abandoned(Type::Map),
    ]
}

fn of_sets_and_multimaps() -> Vec<Command> {
    let (element, ttl) = (key(), TTL);
    let pairs = || multimap::Pairs::from([(key(), names(&["v", "w"]))]);
    let values = || names(&["v", "w"]);
    let value = || "v".to_owned();
    vec![
        set::Command::Add { element, ttl }.into(),
        set::Command::Remove { element: key() }.into(),
        set::Command::Clear.into(),
        multimap::Command::Put {
            key: key(),
            value: value(),
        }
        .into(),
        multimap::Command::Add(pairs()).into(),
        multimap::Command::Replace {
            key: key(),
            values: values(),
        }
        .into(),
        multimap::Command::Remove {
            key: key(),
            value: value(),
        }
        .into(),
        multimap::Command::RemoveAll {
            key: key(),
            values: values(),
        }
        .into(),
        multimap::Command::RemoveEntries(pairs()).into(),
        multimap::Command::Clear.into(),
    ]
}

fn of_lists() -> Vec<Command> {
    let (value, index) = (DATA, 1);
    vec![
        list::Command::Append { value }.into(),
        list::Command::Insert {
            index: 0,
            value: DATA,
        }
        .into(),
        list::Command::Insert { index, value: DATA }.into(),
        list::Command::Set { index, value: DATA }.into(),
        list::Command::Remove { index: 0 }.into(),
        list::Command::Remove { index }.into(),
        list::Command::Clear.into(),
    ]
}

fn of_counter_maps() -> Vec<Command> {
    let (value, expect, delta) = (1, 0, i64::MAX);
    vec![
        countermap::Command::Set { key: key(), value }.into(),
        countermap::Command::Insert { key: key(), value }.into(),
        countermap::Command::Update {
            key: key(),
            value,
            expect,
        }
        .into(),
        countermap::Command::Add { key: key(), delta }.into(),
        countermap::Command::Remove { key: key(), expect }.into(),
        countermap::Command::Clear.into(),
        countermap::Command::Lock {
            keys: [key()].into(),
            session: SESSION,
            timeout: None,
        }
        .into(),
        countermap::Command::Unlock {
            keys: [key()].into(),
            session: SESSION,
        }
        .into(),
    ]
}

fn of_locks() -> Vec<Command> {
    let (session, timeout) = (SESSION, TTL);
    let over_at = Timestamp(2_000);
    vec![
        lock::Command::Lock { session, timeout }.into(),
        lock::Command::Unlock { session }.into(),
        abandoned(Type::Lock),
        Command::SessionLost { session, over_at },
    ]
}

fn of_elections() -> Vec<Command> {
    let (candidate, session) = ("a".to_owned(), SESSION);
    let other = || "b".to_owned();
    vec![
        election::Command::Enter { candidate, session }.into(),
        election::Command::Withdraw { candidate: other() }.into(),
        election::Command::Anoint { candidate: other() }.into(),
        election::Command::Promote { candidate: other() }.into(),
        election::Command::Demote {
            candidate: "a".into(),
        }
        .into(),
        election::Command::Evict {
            candidate: "a".into(),
        }
        .into(),
    ]
}

fn abandoned(primitive: Type) -> Command {
    let request = Request::default();
    Command::Abandoned { primitive, request }
}

pub(super) fn queries() -> Vec<Query> {
    let element = key();
    let value = "v".to_owned();
    vec![
        counter::Query::Get.into(),
        value::Query::Get.into(),
        indexedmap::Query::Get(indexedmap::Which::Key(key())).into(),
        indexedmap::Query::Overview.into(),
        lock::Query::Get.into(),
        map::Query::Get { key: key() }.into(),
        map::Query::Size.into(),
        set::Query::Contains { element }.into(),
        multimap::Query::Contains { key: key(), value }.into(),
        multimap::Query::Get { key: key() }.into(),
        list::Query::Size.into(),
        list::Query::Get { index: 1 }.into(),
        list::Query::Items { from: 0 }.into(),
        countermap::Query::Get { key: key() }.into(),
        election::Query::GetTerm.into(),
        topic::Query::Last.into(),
    ]
}
