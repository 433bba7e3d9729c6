//! Watchers that mirror machines while others change them: what is there, then what happens.
//!
//! | a watch | must |
//! |---|---|
//! | begins | be followed by every later event, once and in order: no watcher may have heard of one that another has missed |
//! | goes on | tell of each entry what it was before, as the mirror has it |
//! | ends | do so with an error: its process is over, or it fell behind. Its watcher begins anew |
//! | is there when nobody writes, and at the end | have made its mirror agree with the machine |
//!
//! What was written and answered has been told to all who watched by then.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base::{codes, task};
use bytes::Bytes;
use fastrand::Rng;
use futures::future::join_all;
use futures::{FutureExt, StreamExt};
use machines::primitive::map::{Change, Changed, Command, Reply, To};
use machines::{Call, Engine};

use super::{Client, Subject, address};
use crate::world::World;

mod book;
mod mirror;
mod watcher;

use book::Book;
use mirror::Watched;
use watcher::Watcher;

/// The map that this one's clients write to.
const NAME: &str = "mirrored";
const KEYS: [&str; 3] = ["ann", "bob", "eve"];
const WATCHERS_MAX: usize = 3;
/// More than what is kept for those who watch.
const FLOOD: usize = base::limits::WATCH_EVENTS_MAX + 76;
const TTL_MS_MAX: u64 = 200;
/// What a value begins with whose time to live may be over before its end is told.
const BRIEF: &str = "brief";
/// When everything is written that will be, all times to live are over, and watchers have heard of it.
const QUIET_MS: u64 = 4_000;

pub(super) struct Watches {
    world: World,
    book: Arc<Book>,
}

impl Watches {
    pub(super) fn new(world: World, mut random: Rng) -> Watches {
        let book = Arc::new(Book::new(random.usize(1..=WATCHERS_MAX)));
        let watcher = |number| {
            let watched = Watched::any(&mut random);
            Watcher::new(number, watched, book.clone(), random.fork()).watch(world.clone())
        };
        let watchers: Vec<_> = (0..book.watchers()).map(watcher).collect();
        // One task: who of several tasks that watch one machine wakes up first is left to chance.
        drop(task::spawn("watchers", join_all(watchers)));
        Watches { world, book }
    }

    async fn change(&self, client: &mut Client) {
        let key = KEYS[client.random.usize(..KEYS.len())].to_owned();
        let to = match client.random.u32(..4) {
            0 => To::Remove { expect: 0 },
            _ => put(&mut client.random),
        };
        let _writing = self.book.writers.read().await;
        let answer = client.call(NAME, Command::Change(Change { key, to })).await;
        if let Some(Ok(_)) = answer {
            self.book.note_answer();
        }
    }

    async fn flood(&self, client: &mut Client) {
        self.book.note_flood();
        let value = Bytes::from(client.random.u32(..).to_string());
        let put = |number: usize| Change {
            key: format!("flood {number}"),
            to: To::Put {
                value: value.clone(),
                ttl: None,
                expect: 0,
            },
        };
        let changes = (0..FLOOD).map(put).collect();
        let _writing = self.book.writers.read().await;
        client.call(NAME, Command::Commit(changes)).await;
    }

    /// Writes, and looks whether it was told of it before it was answered.
    async fn write_and_see(&self, client: &mut Client) {
        let _writing = self.book.writers.read().await;
        let Some(process) = client.process() else {
            return;
        };
        let address = address(NAME);
        let Ok(mut watch) = process.host.watch(&address) else {
            return;
        };
        let key = KEYS[client.random.usize(..KEYS.len())].to_owned();
        let to = put(&mut client.random);
        let call = Command::Change(Change { key, to }).call(&process.host, &address);
        let Some(Ok(Reply::Changed(Changed::Written { version, .. }))) = client.told(&process, call).await
        else {
            return;
        };
        self.book.note_answer();
        loop {
            match watch.events.next().now_or_never() {
                Some(Some(Ok(happened))) if happened.index < version => {}
                Some(Some(Ok(happened))) if happened.index == version => return,
                Some(Some(Err(error))) if error.code() == codes::WATCH_BEHIND && self.book.is_flooded() => {
                    return;
                }
                other => {
                    let since = watch.since;
                    let fault = format!("{version} was answered, told since {since}: {other:?}");
                    return self.world.fault(fault);
                }
            }
        }
    }
}

fn put(random: &mut Rng) -> To {
    let (value, ttl) = (random.u32(..), random.u64(..TTL_MS_MAX));
    let (value, ttl) = if random.bool() {
        (format!("{BRIEF} {value}"), Some(Duration::from_millis(ttl)))
    } else {
        (value.to_string(), None)
    };
    To::Put {
        value: value.into(),
        ttl,
        expect: 0,
    }
}

#[async_trait]
impl Subject for Watches {
    async fn act(&self, client: &mut Client) {
        match client.random.u32(..80) {
            0..40 => self.change(client).await,
            79 => self.flood(client).await,
            _ => self.write_and_see(client).await,
        }
    }

    async fn end(&self, client: &mut Client) {
        self.book.hurry();
        client.pause(QUIET_MS).await;
        let Some(process) = client.process() else {
            return;
        };
        for mirror in self.book.mirrors() {
            let Some((watched, mirror)) = mirror else {
                self.world.fault("a watcher has not begun anew".into());
                continue;
            };
            let agrees = match watched.rows(&process.host).await {
                Ok(rows) => mirror.agrees(&rows, |_| false),
                Err(error) => Err(error.to_string()),
            };
            if let Err(fault) = agrees {
                self.world.fault(format!("{watched:?}: {fault}"));
            }
        }
    }

    fn answered(&self) -> usize {
        self.book.count()
    }

    fn check(&self) -> Result<(), String> {
        self.book.check()
    }
}
