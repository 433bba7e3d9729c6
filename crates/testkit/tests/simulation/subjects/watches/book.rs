//! What all watchers have heard.

use std::collections::BTreeMap;
use std::sync::Arc;

use machines::Event;
use machines::engine::Happened;
use parking_lot::Mutex;
use tokio::sync::RwLock;

use super::mirror::{Mirror, Watched};

#[derive(Default)]
pub(super) struct Book {
    state: Mutex<State>,
    /// Whoever writes to the map that is mirrored shares it; who has it alone finds nobody writing.
    pub(super) writers: RwLock<()>,
}

#[derive(Default)]
struct State {
    /// By watcher; `None` between two watches.
    watching: Vec<Option<Watching>>,
    watches: Vec<Watch>,
    answered: usize,
    is_flooded: bool,
    is_hurried: bool,
}

/// A watch that goes on.
struct Watching {
    /// Its place in the list.
    watch: usize,
    mirror: Mirror,
}

struct Watch {
    watched: Watched,
    since: u64,
    heard: Vec<Happened>,
}

/// Events of one machine, by the index of their steps.
type Told = BTreeMap<u64, Vec<Arc<Event>>>;

impl Book {
    pub(super) fn new(watchers: usize) -> Book {
        let book = Book::default();
        book.state.lock().watching.resize_with(watchers, || None);
        book
    }

    pub(super) fn watchers(&self) -> usize {
        self.state.lock().watching.len()
    }

    pub(super) fn begin(&self, watcher: usize, watched: &Watched, since: u64, mirror: Mirror) {
        let mut state = self.state.lock();
        let watch = state.watches.len();
        state.watches.push(Watch {
            watched: watched.clone(),
            since,
            heard: vec![],
        });
        state.watching[watcher] = Some(Watching { watch, mirror });
    }

    pub(super) fn end(&self, watcher: usize) {
        self.state.lock().watching[watcher] = None;
    }

    pub(super) fn hear(&self, watcher: usize, happened: Happened) -> Result<(), String> {
        let mut state = self.state.lock();
        let State {
            watching, watches, ..
        } = &mut *state;
        let Some(Watching { watch, mirror }) = &mut watching[watcher] else {
            return Err("nobody watches".into());
        };
        let Watch {
            watched,
            since,
            heard,
        } = &mut watches[*watch];
        let last = heard.last().map_or(*since + 1, |last| last.index);
        if happened.index < last {
            return Err(format!(
                "{watched:?}: {last} is next, and then comes {happened:?}"
            ));
        }
        let changed = mirror.hear(&happened.event);
        heard.push(happened);
        changed.map_err(|fault| format!("{watched:?}: {fault}"))
    }

    pub(super) fn note_answer(&self) {
        self.state.lock().answered += 1;
    }

    /// From now on watchers may fall behind.
    pub(super) fn note_flood(&self) {
        self.state.lock().is_flooded = true;
    }

    pub(super) fn is_flooded(&self) -> bool {
        self.state.lock().is_flooded
    }

    /// From now on nobody is slow.
    pub(super) fn hurry(&self) {
        self.state.lock().is_hurried = true;
    }

    pub(super) fn is_hurried(&self) -> bool {
        self.state.lock().is_hurried
    }

    /// What that watcher has.
    pub(super) fn mirror(&self, watcher: usize) -> Option<Mirror> {
        let state = self.state.lock();
        state.watching[watcher]
            .as_ref()
            .map(|watching| watching.mirror.clone())
    }

    /// What each watcher has; `None`: it does not watch.
    pub(super) fn mirrors(&self) -> Vec<Option<(Watched, Mirror)>> {
        let state = self.state.lock();
        let mirror = |watching: &Watching| {
            let watched = state.watches[watching.watch].watched.clone();
            (watched, watching.mirror.clone())
        };
        let watching = state.watching.iter();
        watching.map(|watching| watching.as_ref().map(mirror)).collect()
    }

    /// Answers, and what was told unasked.
    pub(super) fn count(&self) -> usize {
        let state = self.state.lock();
        let heard = state.watches.iter().map(|watch| watch.heard.len());
        state.answered + heard.sum::<usize>()
    }

    /// Nobody has missed what another one has heard, and all have heard the same.
    pub(super) fn check(&self) -> Result<(), String> {
        let watches = &self.state.lock().watches;
        let mut told = BTreeMap::<&Watched, Told>::new();
        for watch in watches {
            let told = told.entry(&watch.watched).or_default();
            for (index, events) in by_index(watch) {
                let known = told.entry(index).or_default();
                if known.len() < events.len() {
                    *known = events;
                }
            }
        }
        for watch in watches {
            check(watch, &told[&watch.watched])?;
        }
        Ok(())
    }
}

fn by_index(watch: &Watch) -> Told {
    let mut told = Told::new();
    for happened in &watch.heard {
        told.entry(happened.index)
            .or_default()
            .push(happened.event.clone());
    }
    told
}

fn check(watch: &Watch, told: &Told) -> Result<(), String> {
    let Some(last) = watch.heard.last() else {
        return Ok(());
    };
    let heard = by_index(watch);
    for (index, events) in told.range(watch.since + 1..=last.index) {
        let own = heard.get(index).map_or(&[][..], Vec::as_slice);
        // Of the last step it may have heard a part.
        let same = own == events.as_slice() || (*index == last.index && events.starts_with(own));
        if !same {
            let (watched, since) = (&watch.watched, watch.since);
            return Err(format!(
                "{watched:?}, watched since {since}: of step {index} one has heard {own:?}, another {events:?}"
            ));
        }
    }
    Ok(())
}
