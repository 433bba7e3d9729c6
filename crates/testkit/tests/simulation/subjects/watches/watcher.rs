//! One who watches, again and again, until the run ends.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base::{Error, codes};
use fastrand::Rng;
use futures::{FutureExt, StreamExt};
use machines::Engine;
use machines::engine::{Happened, Watch};

use super::book::Book;
use super::mirror::{Mirror, Watched};
use super::{BRIEF, NAME};
use crate::world::{Process, World};

/// Pauses before the first watch, between two watches of one watcher, and between two events that a slow one takes.
const START_MS_MAX: u64 = 300;
const PAUSE_MS_MAX: u64 = 20;
const SLOW_MS_MAX: u64 = 40;
/// After one of so many events a watcher compares.
const COMPARES: u32 = 4;

pub(super) struct Watcher {
    number: usize,
    watched: Watched,
    book: Arc<Book>,
    random: Rng,
    slow: bool,
}

impl Watcher {
    pub(super) fn new(number: usize, watched: Watched, book: Arc<Book>, mut random: Rng) -> Watcher {
        let slow = random.bool();
        Watcher {
            number,
            watched,
            book,
            random,
            slow,
        }
    }

    pub(super) async fn watch(mut self, world: World) {
        world.pause(self.random.u64(..START_MS_MAX)).await;
        loop {
            if let Some(process) = world.process(&mut self.random) {
                let mut dead = pin!(process.storm.dead.cancelled().fuse());
                let mut follow = pin!(self.follow(&world, &process).fuse());
                let ended = futures::select_biased! {
                    () = dead => Ok(()),
                    ended = follow => ended,
                };
                if let Err(fault) = ended {
                    world.fault(fault);
                }
            }
            self.book.end(self.number);
            world.pause(self.random.u64(1..PAUSE_MS_MAX)).await;
        }
    }

    /// To the end of one watch. An error is a fault.
    async fn follow(&mut self, world: &World, process: &Process) -> Result<(), String> {
        let mut watch = match process.host.watch(&self.watched.address()) {
            Ok(watch) => watch,
            Err(error) => return self.ended(process, &error),
        };
        let rows = match self.watched.rows(&process.host).await {
            Ok(rows) => rows,
            Err(error) => return self.ended(process, &error),
        };
        let mirror = Mirror::of(rows, watch.since);
        self.book.begin(self.number, &self.watched, watch.since, mirror);
        while let Some(happened) = self.next(process, &mut watch).await? {
            world.note((self.number, happened.index));
            self.book.hear(self.number, happened)?;
            if self.slow && !self.book.is_hurried() {
                let pause = self.random.u64(..SLOW_MS_MAX);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            let compares = self.watched == Watched::Map(NAME) && self.random.u32(..COMPARES) == 0;
            if compares && !self.compare(process, &mut watch).await? {
                break;
            }
        }
        Ok(())
    }

    /// `None`: the watch has ended as it should.
    async fn next(&self, process: &Process, watch: &mut Watch) -> Result<Option<Happened>, String> {
        match watch.events.next().await {
            Some(Ok(happened)) => Ok(Some(happened)),
            Some(Err(error)) if watch.events.next().await.is_none() => {
                self.ended(process, &error).map(|()| None)
            }
            other => {
                let watched = &self.watched;
                Err(format!(
                    "{watched:?}: ends without an error, or goes on: {other:?}"
                ))
            }
        }
    }

    /// Where nobody writes, the mirror agrees with the machine once it has heard all there is to hear. Says whether the watch
    /// goes on.
    async fn compare(&self, process: &Process, watch: &mut Watch) -> Result<bool, String> {
        let _alone = self.book.writers.write().await;
        while let Some(next) = self.next(process, watch).now_or_never() {
            match next? {
                Some(happened) => self.book.hear(self.number, happened)?,
                None => return Ok(false),
            }
        }
        let rows = self.watched.rows(&process.host).await;
        match (rows, self.book.mirror(self.number)) {
            (Ok(rows), Some(mirror)) if process.is_well() => {
                let may_be_gone = |text: &str| text.starts_with(BRIEF);
                mirror.agrees(&rows, may_be_gone)?;
            }
            _ => {}
        }
        Ok(true)
    }

    fn ended(&self, process: &Process, error: &Error) -> Result<(), String> {
        let watched = &self.watched;
        match error.code() {
            codes::WATCH_BEHIND if self.book.is_flooded() => Ok(()),
            _ if process.is_well() => Err(format!("{watched:?}: a host that is well says {error}")),
            _ => Ok(()),
        }
    }
}
