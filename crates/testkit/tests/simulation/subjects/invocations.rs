//! Invocations of objects and services: user code reads state, takes a step of its own, calls another one or sleeps, writes state and
//! ends; it fails, suspends and is called again as the weather is. Every invocation that was taken ends once, and what it
//! counts is counted once. See [`machines::invocation`].

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base::{Kind as Failed, Result, task};
use bytes::Bytes;
use fastrand::Rng;
use machines::engine::PartScan;
use machines::invocation::awaiting::Awaited;
use machines::invocation::rows::{
    self, Came, Ended, Entry, Input, Kind, Line, Name, Notification, Origin, Outcome, Pin, Rules, Status,
    Target, TargetKind, Trouble,
};
use machines::invocation::{
    About, Behavior, Command, Control, Failed as Failure, Id, Op, Query, Reply, Start, Word, Words,
};
use machines::{Address, Call, Engine, Question, Stored};
use parking_lot::Mutex;
use tokio::time::{Duration, sleep};

use super::{Client, Subject};
use crate::world::World;

const OBJECTS: u8 = 3;
/// The most that each of them is told to add.
const LOOKS_MAX: usize = 600;
const LOOK_MS: u64 = 100;

pub(super) struct Invocations {
    world: World,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    answered: usize,
    /// Each that was asked for, whether its answer came or not: on which object.
    asked: BTreeMap<Id, u8>,
    /// Those whose answer said that they will be done.
    taken: Vec<Id>,
    /// Those that somebody cancelled or killed.
    stopped: Vec<Id>,
    /// One that was not over when they were looked at last.
    open: Option<String>,
}

impl Invocations {
    pub(super) fn new(world: World) -> Invocations {
        let state = Mutex::default();
        Invocations { world, state }
    }

    /// So that no timer is left that would remove them a day later.
    async fn purge(&self, client: &mut Client) {
        let asked: Vec<Id> = self.state.lock().asked.keys().copied().collect();
        for id in asked {
            let mut callee = id;
            callee.0.rotate_left(3);
            for id in [id, callee] {
                let purge = Command::Control(Control::Purge);
                client.call_at(&Address::invocation(&id), purge).await;
            }
        }
    }

    /// `None` as long as something is not over.
    async fn settled(&self, client: &mut Client) -> Option<Result<(), String>> {
        let (asked, kept) = {
            let state = self.state.lock();
            let mut kept = state.taken.clone();
            kept.retain(|id| !state.stopped.contains(id));
            (state.asked.clone(), kept)
        };
        let mut counts: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
        for (id, object) in &asked {
            match client.ask_at(&Address::invocation(id), Query::Look).await? {
                Ok(Reply::Look(look)) => match (look.0.status(), &look.0.outcome) {
                    (Status::Completed, Some(outcome)) => {
                        // Others were cancelled, or killed.
                        if let Some(Ended::Value(value)) = &outcome.ended {
                            counts.entry(*object).or_default().push(number(value));
                        }
                    }
                    (Status::Paused, _) => return Some(Err(format!("{id:?} was paused"))),
                    _ => {
                        self.state.lock().open = Some(format!("{id:?} {:?}", look.0));
                        return None;
                    }
                },
                Err(error) if error.kind() == Failed::NotFound && kept.contains(id) => {
                    return Some(Err(format!("{id:?} was taken, and is not there")));
                }
                _ => {}
            }
        }
        for object in 0..OBJECTS {
            let mut counts = counts.remove(&object).unwrap_or_default();
            counts.sort_unstable();
            let before = counts.len();
            counts.dedup();
            let held = client.ask_at(&address(object), Query::Object).await?.ok()?;
            let Reply::Object(held) = held else { return None };
            if before != counts.len() || !held.holder.is_empty() {
                return Some(Err(format!(
                    "object {object}: {before} counts, {counts:?}, held by {:?}",
                    held.holder
                )));
            }
        }
        Some(Ok(()))
    }
}

#[async_trait]
impl Subject for Invocations {
    async fn act(&self, client: &mut Client) {
        if client.random.u32(..6) == 0 {
            let asked: Vec<Id> = self.state.lock().asked.keys().copied().collect();
            if let Some(id) = client.random.choice(&asked).copied() {
                // Nothing is kept of one that had not begun.
                self.state.lock().stopped.push(id);
                let control = if client.random.bool() {
                    Control::Cancel
                } else {
                    Control::Kill
                };
                client
                    .call_at(&Address::invocation(&id), Command::Control(control))
                    .await;
            }
            return;
        }
        let object = client.random.u8(..OBJECTS);
        let id = fresh(object, &mut client.random);
        self.state.lock().asked.insert(id, object);
        let due = match client.random.u32(..4) {
            0 => client.now().0 + client.random.u64(1..50),
            _ => 0,
        };
        let start = Command::Start(Box::new(Start {
            fresh: false,
            origin: Origin {
                due,
                ..origin(TargetKind::Exclusive, object)
            },
            input: Input::default(),
            wait: false,
            copied: vec![],
            pin: None,
        }));
        if let Some(Ok(Reply::Accepted { .. })) = client.call_at(&Address::invocation(&id), start).await {
            let mut state = self.state.lock();
            state.answered += 1;
            state.taken.push(id);
        }
    }

    async fn end(&self, client: &mut Client) {
        let mut last = None;
        for _ in 0..LOOKS_MAX {
            match self.settled(client).await {
                Some(Ok(())) => return self.purge(client).await,
                Some(Err(fault)) => last = Some(fault),
                None => {}
            }
            client.pause(LOOK_MS).await;
        }
        let open = self.state.lock().open.clone().unwrap_or_default();
        let fault = last.unwrap_or_else(|| format!("an invocation is never over: {open}"));
        self.world.fault(fault);
    }

    fn answered(&self) -> usize {
        self.state.lock().answered
    }

    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

fn fresh(object: u8, random: &mut Rng) -> Id {
    let mut id = [object; 24];
    random.fill(&mut id[8..]);
    Id(id)
}

fn address(object: u8) -> Address {
    Address::object([object; 8], "Counter", "k")
}

fn origin(kind: TargetKind, object: u8) -> Origin {
    const DAY_MS: u64 = 86_400_000;
    Origin {
        target: Target {
            service: "Counter".into(),
            handler: "add".into(),
            key: "k".into(),
            kind: kind.into(),
        },
        random_seed: u64::from(object),
        rules: Rules {
            result_ms: DAY_MS,
            journal_ms: DAY_MS,
            retry_first_ms: 5,
            retry_max_ms: 20,
            retry_factor_milli: 2_000,
            attempts_max: 0,
            kill_after_attempts: false,
        },
        ..Origin::default()
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

/// User code of one attempt, and who talks for it.
pub(crate) struct UserCode {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) address: Address,
    pub(crate) about: About,
    pub(crate) random: Rng,
}

/// What is to be done next.
enum Next {
    Say(Vec<Word>),
    WaitFor(u32),
}

impl UserCode {
    pub(crate) fn begin(self) {
        drop(task::spawn("user code", self.run()));
    }

    async fn run(mut self) {
        // Another process may have been heard in this attempt.
        let Ok(Some(mut said)) = self.heard().await else {
            return self.fail().await;
        };
        loop {
            if self.random.u32(..20) == 0 {
                return self.fail().await;
            }
            let next = match self.next().await {
                Ok(Some(next)) => next,
                Ok(None) => return,
                Err(_) => return self.fail().await,
            };
            let words = match next {
                Next::Say(words) => words,
                Next::WaitFor(id) if self.random.u32(..8) == 0 => {
                    vec![Word::Suspended(Awaited::any(vec![id], vec![1], vec![]))]
                }
                Next::WaitFor(_) => {
                    sleep(Duration::from_millis(self.random.u64(1..20))).await;
                    continue;
                }
            };
            let over = matches!(words.last(), Some(Word::Ended | Word::Suspended(_)));
            match self.say(Some(said), words).await {
                Ok(Reply::Taken) if over => return,
                Ok(Reply::Taken) => said += 1,
                Ok(_) => return,
                Err(error) if error.kind() == Failed::ResourceExhausted => return self.fail().await,
                Err(_) => return,
            }
        }
    }

    async fn say(&self, number: Option<u64>, words: Vec<Word>) -> Result<Reply> {
        let words = Words {
            attempt: self.about.attempt,
            number,
            pin: Pin::default(),
            words,
        };
        Command::Said(words).call(&*self.engine, &self.address).await
    }

    /// Told until it is heard, as by one who talks for user code.
    async fn fail(&self) {
        let failed = Word::Failed(Failure {
            trouble: Trouble::default(),
            delay_ms: None,
            behavior: Behavior::Retry,
            counts: true,
            jitter_milli: 0,
        });
        while let Err(error) = self.say(None, vec![failed.clone()]).await {
            if error.kind() != Failed::ResourceExhausted {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn heard(&self) -> Result<Option<u64>> {
        match Query::Look.ask(&*self.engine, &self.address).await? {
            Reply::Look(look) => Ok(Some(look.0.heard)),
            _ => Ok(None),
        }
    }

    /// `None`: this attempt is over, or the process is.
    async fn next(&mut self) -> Result<Option<Next>> {
        let look = match Query::Look.ask(&*self.engine, &self.address).await {
            Ok(Reply::Look(look)) => look,
            Err(error) if error.kind() != Failed::NotFound => return Err(error),
            _ => return Ok(None),
        };
        if look.0.attempt != self.about.attempt || look.0.status() != Status::Running {
            return Ok(None);
        }
        let (commands, came) = self.journal().await?;
        if came.contains_key(&Name::Signal(1)) {
            let cancelled = Op::Output(Outcome::failure(409, "cancelled"));
            return Ok(Some(Next::Say(vec![command(cancelled), Word::Ended])));
        }
        if look.1.target.kind() == TargetKind::Service {
            return Ok(Some(Next::Say(vec![
                command(Op::Output(Outcome::value("child"))),
                Word::Ended,
            ])));
        }
        let seed = self.address.bytes().last().copied().unwrap_or_default();
        let has = |id| came.contains_key(&Name::Completion(id));
        Ok(Some(match commands {
            0 => {
                let key = Bytes::from_static(b"count");
                Next::Say(vec![command(Op::GetState { key, id: 1 }), command(Op::None)])
            }
            2 if !has(2) => Next::Say(vec![Word::Came(Notification {
                source: Kind::Run.into(),
                name: Some(Name::Completion(2)),
                came: Some(Came::Value(Bytes::from_static(b"ran"))),
            })]),
            2 if seed % 2 == 0 => Next::Say(vec![command(self.call())]),
            2 => {
                let until = self.engine.now().0 + self.random.u64(0..30);
                Next::Say(vec![command(Op::Sleep { until, id: 4 })])
            }
            3 if !has(4) => Next::WaitFor(4),
            3 => {
                let before = match came.get(&Name::Completion(1)) {
                    Some(Came::Value(value)) => number(value),
                    _ => 0,
                };
                let after = Bytes::copy_from_slice(&(before + 1).to_be_bytes());
                let set = Op::SetState {
                    key: Bytes::from_static(b"count"),
                    value: after.clone(),
                };
                Next::Say(vec![
                    command(set),
                    command(Op::Output(Outcome::value(after))),
                    Word::Ended,
                ])
            }
            _ => Next::Say(vec![Word::Ended]),
        }))
    }

    /// Somewhere, by what the caller is called.
    fn call(&self) -> Op {
        let own = self.address.invocation_id().unwrap_or_default();
        let mut callee = own;
        callee.0.rotate_left(3);
        Op::Invoke {
            callee,
            origin: Box::new(origin(TargetKind::Service, 0)),
            input: Input::default(),
            callee_id: Some(3),
            reply: Some(4),
        }
    }

    /// How many commands there are behind the input, and what has come.
    async fn journal(&self) -> Result<(usize, BTreeMap<Name, Came>)> {
        let snapshot = self.engine.snapshot(&self.address)?;
        let page = snapshot
            .scan(PartScan {
                part: rows::JOURNAL,
                prefix: Bytes::new(),
                after: None,
                limit: 100,
                descending: false,
            })
            .await?;
        let (mut commands, mut came) = (0, BTreeMap::new());
        for (_, row) in page.rows {
            match Entry::from_row(&row).expect("an entry").line {
                Some(Line::Command(_)) => commands += 1,
                Some(Line::Notification(notification)) => {
                    came.extend(notification.name.zip(notification.came));
                }
                _ => {}
            }
        }
        Ok((commands, came))
    }
}

fn command(op: Op) -> Word {
    let body = Bytes::from_static(b"said");
    Word::Command { kind: 1, body, op }
}
