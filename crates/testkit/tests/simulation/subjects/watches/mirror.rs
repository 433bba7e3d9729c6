//! What a watcher knows of a machine: its rows when the watch began, and what it has heard since.

use std::collections::BTreeMap;

use base::{Result, codes};
use fastrand::Rng;
use host::Host;
use machines::primitive::collection::Listing;
use machines::primitive::election::{self, Term};
use machines::primitive::map::Event as Map;
use machines::primitive::value::{self, Event as Value};
use machines::primitive::{Event as Primitive, Versioned};
use machines::{Address, Event, Question};

use crate::subjects::{address, elections, leases, maps, values};

/// A machine that somebody watches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Watched {
    Value(String),
    Map(&'static str),
    Election(&'static str),
}

/// An entry of a map; a value and an election have one at most, without a key.
pub(super) struct Row {
    key: String,
    version: u64,
    text: String,
}

/// What an event says of one key, or of all of them.
enum Heard {
    Changed {
        key: String,
        /// `None`: it does not say.
        before: Option<Option<String>>,
        now: Option<String>,
    },
    Cleared,
}

#[derive(Clone)]
pub(super) struct Mirror {
    /// By key. What is missing is not known.
    entries: BTreeMap<String, Option<String>>,
    /// What is missing is known not to be there.
    complete: bool,
}

impl Watched {
    pub(super) fn any(random: &mut Rng) -> Watched {
        match random.u32(..8) {
            0 => Watched::Value(values::NAMES[random.usize(..values::NAMES.len())].into()),
            1 => Watched::Value(leases::name(random.u64(..crate::CLIENTS))),
            2 => Watched::Map(maps::NAMES[random.usize(..maps::NAMES.len())]),
            3 => Watched::Election(elections::NAMES[random.usize(..elections::NAMES.len())]),
            _ => Watched::Map(super::NAME),
        }
    }

    pub(super) fn address(&self) -> Address {
        match self {
            Watched::Value(name) => address(name),
            Watched::Map(name) | Watched::Election(name) => address(name),
        }
    }

    /// Read as families read them.
    pub(super) async fn rows(&self, host: &Host) -> Result<Vec<Row>> {
        let address = self.address();
        let mut rows = vec![];
        match self {
            Watched::Value(_) => match value::Query::Get.ask(host, &address).await {
                Ok(value::Reply::Found(found)) => rows.push(Row::of("", &found)),
                Ok(_) => {}
                Err(error) if error.code() == codes::ENTRY_NOT_FOUND => {}
                Err(error) => return Err(error),
            },
            Watched::Map(_) => {
                let mut listing = Listing::live();
                while let Some(page) = listing.next(host, &address).await? {
                    rows.extend(page.into_iter().map(|listed| {
                        let (value, version) = (listed.value, listed.version);
                        Row::of(&listed.key, &Versioned { value, version })
                    }));
                }
            }
            Watched::Election(_) => {
                let term = election::Query::GetTerm.ask(host, &address).await?;
                rows.extend((term.term > 0).then(|| Row {
                    key: String::new(),
                    version: term.version,
                    text: told(&term),
                }));
            }
        }
        Ok(rows)
    }
}

impl Row {
    fn of(key: &str, found: &Versioned) -> Row {
        Row {
            key: key.to_owned(),
            version: found.version,
            text: text(found),
        }
    }
}

impl Mirror {
    /// What is newer than the watch comes as an event.
    pub(super) fn of(rows: Vec<Row>, since: u64) -> Mirror {
        let known = rows.into_iter().filter(|row| row.version <= since);
        Mirror {
            entries: known.map(|row| (row.key, Some(row.text))).collect(),
            complete: false,
        }
    }

    pub(super) fn hear(&mut self, event: &Event) -> Result<(), String> {
        let (key, before, now) = match heard(event)? {
            Heard::Changed { key, before, now } => (key, before, now),
            Heard::Cleared => {
                self.entries.clear();
                self.complete = true;
                return Ok(());
            }
        };
        let known = self.entries.get(&key).cloned().or(self.complete.then_some(None));
        if let (Some(known), Some(before)) = (&known, &before)
            && known != before
        {
            return Err(format!("{key:?} was {known:?}, and then {event:?}"));
        }
        self.entries.insert(key, now);
        Ok(())
    }

    /// Some texts `may_be_gone` without a word so far.
    pub(super) fn agrees(&self, rows: &[Row], may_be_gone: impl Fn(&str) -> bool) -> Result<(), String> {
        let there: BTreeMap<_, _> = rows.iter().map(|row| (&row.key, &row.text)).collect();
        let here = self.entries.iter();
        let here: BTreeMap<_, _> = here.filter_map(|(key, row)| Some((key, row.as_ref()?))).collect();
        let differs = |key: &&String| here.get(*key) != there.get(*key);
        let is_gone = |key: &&String| !there.contains_key(*key) && may_be_gone(here[*key]);
        let mut keys = here.keys().chain(there.keys()).copied();
        match keys.find(|key| differs(key) && !is_gone(key)) {
            None => Ok(()),
            Some(key) => Err(format!(
                "{key:?} is {:?}, a watcher has {:?}",
                there.get(key),
                here.get(key)
            )),
        }
    }
}

fn heard(event: &Event) -> Result<Heard, String> {
    let changed = |key: &str, before: Option<&Versioned>, now: Option<&Versioned>| Heard::Changed {
        key: key.to_owned(),
        before: Some(before.map(text)),
        now: now.map(text),
    };
    Ok(match event {
        Event::Primitive(Primitive::Value(event)) => match event {
            Value::Created(now) => changed("", None, Some(now)),
            Value::Updated { now, before } => changed("", Some(before), Some(now)),
            Value::Deleted { was, .. } => changed("", Some(was), None),
        },
        Event::Primitive(Primitive::Map(event)) => match event {
            Map::Inserted { key, now } => changed(key, None, Some(now)),
            Map::Updated { key, now, before } => changed(key, Some(before), Some(now)),
            Map::Removed { key, was, .. } => changed(key, Some(was), None),
            Map::Cleared { .. } => Heard::Cleared,
        },
        Event::Primitive(Primitive::LeaderElection(election::Event(term))) => Heard::Changed {
            key: String::new(),
            before: None,
            now: Some(told(term)),
        },
        other => return Err(format!("another machine's event: {other:?}")),
    })
}

fn text(found: &Versioned) -> String {
    format!("{} at {}", String::from_utf8_lossy(&found.value), found.version)
}

fn told(term: &Term) -> String {
    format!("{term:?}")
}
