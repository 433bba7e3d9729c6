//! How many bytes a command holds beyond its own size: a host bounds what waits for it.

use std::collections::BTreeSet;

use super::{Command, countermap, indexedmap, list, map, multimap, set, topic, value};

pub(super) fn held_bytes(command: &Command) -> usize {
    match command {
        Command::Value(command) => value(command),
        Command::Map(command) => map(command),
        Command::Set(set::Command::Add { element, .. } | set::Command::Remove { element }) => element.len(),
        Command::MultiMap(command) => multimap(command),
        Command::List(command) => list(command),
        Command::Topic(topic::Command::Publish { payload }) => payload.len(),
        Command::IndexedMap(command) => indexedmap(command),
        Command::CounterMap(
            countermap::Command::Lock { keys, .. } | countermap::Command::Unlock { keys, .. },
        ) => texts(keys),
        // A name of limited length, or nothing.
        Command::Counter(_)
        | Command::CounterMap(_)
        | Command::Set(set::Command::Clear)
        | Command::Lock(_)
        | Command::LeaderElection(_) => 0,
    }
}

fn value(command: &value::Command) -> usize {
    match command {
        value::Command::Set { value, .. }
        | value::Command::Insert { value, .. }
        | value::Command::Update { value, .. } => value.len(),
        value::Command::Delete { .. } => 0,
    }
}

fn map(command: &map::Command) -> usize {
    let change = |change: &map::Change| {
        let value = match &change.to {
            map::To::Put { value, .. } | map::To::Insert { value, .. } | map::To::Update { value, .. } => {
                value.len()
            }
            map::To::Remove { .. } => 0,
        };
        size_of::<map::Change>() + change.key.len() + value
    };
    match command {
        map::Command::Change(one) => change(one),
        map::Command::Commit(changes) => changes.iter().map(change).sum(),
        map::Command::Lock { keys, .. } | map::Command::Unlock { keys, .. } => texts(keys),
        map::Command::Clear => 0,
    }
}

fn multimap(command: &multimap::Command) -> usize {
    let texts = |texts: &std::collections::BTreeSet<String>| {
        texts
            .iter()
            .map(|text| size_of::<String>() + text.len())
            .sum::<usize>()
    };
    match command {
        multimap::Command::Put { key, value } | multimap::Command::Remove { key, value } => {
            key.len() + value.len()
        }
        multimap::Command::Replace { key, values } | multimap::Command::RemoveAll { key, values } => {
            key.len() + texts(values)
        }
        multimap::Command::Add(pairs) | multimap::Command::RemoveEntries(pairs) => {
            pairs.iter().map(|(key, values)| key.len() + texts(values)).sum()
        }
        multimap::Command::Clear => 0,
    }
}

fn texts(texts: &BTreeSet<String>) -> usize {
    texts.iter().map(|text| size_of::<String>() + text.len()).sum()
}

fn list(command: &list::Command) -> usize {
    match command {
        list::Command::Append { value }
        | list::Command::Insert { value, .. }
        | list::Command::Set { value, .. } => value.len(),
        list::Command::Remove { .. } | list::Command::Clear => 0,
    }
}

fn indexedmap(command: &indexedmap::Command) -> usize {
    match command {
        indexedmap::Command::Append { key, value, .. } => key.len() + value.len(),
        indexedmap::Command::Update { value, .. } => value.len(),
        indexedmap::Command::Remove { .. } | indexedmap::Command::Clear => 0,
    }
}
