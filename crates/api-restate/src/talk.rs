//! Conversations with user code: one attempt of one invocation is one HTTP request to its deployment.
//!
//! ```text
//! host: talk ─► which deployment, which protocol ─► wait for a place with it ─► POST
//!      ─► Start, the journal as it is stored
//!      ◄─ what user code says ─► words, one command of the engine for each piece that was read
//! host: event ─► what has come ─►
//! host: hang up ─► the request is reset
//! ```
//!
//! Everything that goes wrong here is an attempt that failed: the machine is told, and decides when there is another one.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use base::{Result, limits, task};
use bytes::{Bytes, BytesMut};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use machines::engine::{Happenings, Talk};
use machines::invocation::rows::{Origin, Trouble};
use machines::invocation::{self, About, Behavior, Event, Failed, Id, Known, Query, Reply, Word, Words};
use machines::{Address, Call, Callee, Engine, Question, Stored};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::conversation::{self, Conversation};
use crate::endpoint::{Answer, Broken, Connections, Http, Out, Waiting};
use crate::generation::put_command_ack;
use crate::identity::Identity;
use crate::places::{Place, Places};
use crate::registry::{Chosen, NOT_SPOKEN, Registry};

/// Talks for all invocations of a host.
#[derive(Clone)]
pub struct Talker(Arc<Shared>);

struct Shared {
    /// Attempts wait until it is read: the host talks before it is open, and it is read from the host.
    registry: watch::Sender<Option<Registry>>,
    connections: Connections,
    places: Places,
    open: Mutex<HashMap<Address, Open>>,
}

/// An attempt that goes on.
struct Open {
    attempt: u64,
    hung_up: CancellationToken,
}

impl Talker {
    /// It begins to talk with [`Service::start`](crate::Service::start). What it asks deployments is signed by `identity`.
    pub fn new(identity: Option<Identity>) -> Talker {
        Talker(Arc::new(Shared {
            registry: watch::Sender::new(None),
            connections: Connections::new(identity),
            places: Places::default(),
            open: Mutex::default(),
        }))
    }

    pub(crate) fn begin(&self, registry: Registry) {
        self.0.registry.send_replace(Some(registry));
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.0.connections
    }
}

impl Shared {
    /// `None`: that attempt goes on already. An earlier one is let go of.
    fn enter(&self, address: &Address, attempt: u64) -> Option<CancellationToken> {
        let mut open = self.open.lock();
        if open.get(address).is_some_and(|open| open.attempt == attempt) {
            return None;
        }
        let hung_up = CancellationToken::new();
        let entered = Open {
            attempt,
            hung_up: hung_up.clone(),
        };
        if let Some(before) = open.insert(address.clone(), entered) {
            before.hung_up.cancel();
        }
        Some(hung_up)
    }

    fn leave(&self, address: &Address, attempt: u64) {
        let mut open = self.open.lock();
        if open.get(address).is_some_and(|open| open.attempt == attempt) {
            open.remove(address);
        }
    }

    async fn registry(&self) -> Option<Registry> {
        let mut registry = self.registry.subscribe();
        let begun = registry.wait_for(Option::is_some).await.ok()?;
        begun.clone()
    }
}

impl Callee for Talker {
    fn talk(&self, engine: Arc<dyn Engine>, address: &Address, talk: Talk) {
        let (Some(id), Ok(about)) = (address.invocation_id(), About::from_row(&talk.about)) else {
            return;
        };
        let Some(hung_up) = self.0.enter(address, about.attempt) else {
            return;
        };
        // From here on nothing that comes is missed. A watch that is refused is asked for again by the attempt.
        let known = talk.known.filter(|known| known.head.attempt == about.attempt);
        let known = known.and_then(|known| Some((known, engine.watch(address).ok()?.events)));
        let attempt = Attempt {
            shared: self.0.clone(),
            engine,
            address: address.clone(),
            id,
            attempt: about.attempt,
        };
        let (shared, address) = (self.0.clone(), address.clone());
        drop(task::spawn("attempt", async move {
            tokio::select! {
                biased;
                () = hung_up.cancelled() => {}
                () = attempt.run(known) => shared.leave(&address, about.attempt),
            }
        }));
    }

    fn hang_up(&self, address: &Address) {
        if let Some(open) = self.0.open.lock().remove(address) {
            open.hung_up.cancel();
        }
    }
}

struct Attempt {
    shared: Arc<Shared>,
    engine: Arc<dyn Engine>,
    address: Address,
    id: Id,
    attempt: u64,
}

/// Why an attempt failed, in the words of the protocol's documentation.
pub(crate) struct Failure {
    pub(crate) code: u32,
    pub(crate) documented: &'static str,
    pub(crate) message: String,
    pub(crate) delay: Option<Duration>,
    /// Whether it was user code, or what stands before it, that failed.
    pub(crate) counts: bool,
}

impl Failure {
    pub(crate) fn new(documented: &'static str, message: impl Into<String>) -> Failure {
        Failure {
            code: 500,
            documented,
            message: message.into(),
            delay: None,
            counts: true,
        }
    }
}

impl From<Broken> for Failure {
    fn from(broken: Broken) -> Failure {
        Failure::new("RT0010", broken.0)
    }
}

impl From<base::Error> for Failure {
    fn from(error: base::Error) -> Failure {
        Failure {
            counts: false,
            ..Failure::new("RT0006", error.to_string())
        }
    }
}

/// How an attempt came to an end that the machine need not be told of.
enum Over {
    /// User code has said how it ended.
    Said(Answer, Out),
    /// Another attempt goes on.
    Stale,
}

impl Attempt {
    async fn run(self, known: Option<(Known, Happenings)>) {
        let mut pin = invocation::rows::Pin::default();
        match self.talk(known, &mut pin).await {
            Ok(Over::Said(answer, out)) => drain(answer, out),
            Ok(Over::Stale) => {}
            Err(failure) => self.failed(failure, pin).await,
        }
    }

    /// The machine is told until it has taken it: nobody else knows.
    async fn failed(&self, failure: Failure, pin: invocation::rows::Pin) {
        tracing::debug!(invocation = %crate::id::encode(&self.id), code = failure.documented, message = failure.message, "an attempt failed");
        let trouble = Trouble {
            code: failure.code,
            message: failure.message,
            family_code: failure.documented.into(),
            ..Trouble::default()
        };
        let word = Word::Failed(Failed {
            trouble,
            delay_ms: failure
                .delay
                .map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)),
            behavior: Behavior::Retry,
            counts: failure.counts,
            jitter_milli: fastrand::u32(0..=1_000),
        });
        let mut pause = limits::SESSION_END_PAUSE_MIN;
        loop {
            match self.say(None, pin.clone(), vec![word.clone()]).await {
                Ok(_) => return,
                // The partition has stopped: whoever owns it next begins anew.
                Err(error) if error.kind() != base::Kind::ResourceExhausted => return,
                Err(error) => {
                    tracing::warn!(code = error.code().id, %error, "a failed attempt could not be noted")
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(limits::SESSION_END_PAUSE_MAX);
        }
    }

    fn say(
        &self,
        number: Option<u64>,
        pin: invocation::rows::Pin,
        words: Vec<Word>,
    ) -> BoxFuture<'static, Result<Reply>> {
        let words = Words {
            attempt: self.attempt,
            number,
            pin,
            words,
        };
        invocation::Command::Said(words)
            .call(&*self.engine, &self.address)
            .boxed()
    }

    async fn talk(
        &self,
        mut first: Option<(Known, Happenings)>,
        pin: &mut invocation::rows::Pin,
    ) -> Result<Over, Failure> {
        let Some(registry) = self.shared.registry().await else {
            return Ok(Over::Stale);
        };
        let mut place: Option<Place> = None;
        let mut is_stored = first.is_none();
        loop {
            let Some((known, events)) = self.know(first.take()).await? else {
                if is_stored {
                    return Ok(Over::Stale);
                }
                // Its beginning may be in its partition's memory only, until something is said.
                self.say(None, pin.clone(), vec![]).await?;
                is_stored = true;
                continue;
            };
            let chosen = registry.choose(&known.head, &known.origin)?;
            let deployment = &chosen.pin.deployment;
            if !place.as_ref().is_some_and(|place| place.is_with(deployment)) {
                place = self.shared.places.take(deployment);
                if place.is_none() {
                    drop(events);
                    place = self.shared.places.wait(deployment).await;
                    continue;
                }
            }
            *pin = chosen.pin.clone();
            let conversation = Conversation::new(
                &chosen,
                self.id,
                &known.origin,
                self.engine.clone(),
                registry.clone(),
            );
            match self.converse(&chosen, &known, conversation, events).await {
                // Each turn speaks a lower version than the one before.
                Err(failure) if failure.documented == NOT_SPOKEN && registry.lower(&chosen) => {
                    tracing::info!(deployment = chosen.pin.deployment, version = ?chosen.version, "a deployment does not speak the version that it said it speaks");
                }
                over => return over,
            }
        }
    }

    async fn converse(
        &self,
        chosen: &Chosen,
        known: &Known,
        mut conversation: Conversation,
        events: Happenings,
    ) -> Result<Over, Failure> {
        let begin = conversation.begin(known).await?;
        let (mut out, waiting) = self.ask(chosen, &known.origin).await?;
        out.send(begin)?;
        if !chosen.bidirectional || chosen.inactivity.is_zero() {
            out.end();
        }
        let live = Live {
            attempt: self,
            chosen,
            conversation,
            events,
            out,
            said: VecDeque::new(),
            spoken: known.head.heard,
            open: chosen.bidirectional && !chosen.inactivity.is_zero(),
            quiet_since: Instant::now(),
        };
        live.listen(waiting).await
    }

    /// The invocation, and all that comes for it afterwards. `None`: another attempt goes on already.
    async fn know(&self, known: Option<(Known, Happenings)>) -> Result<Option<(Known, Happenings)>, Failure> {
        if known.is_some() {
            return Ok(known);
        }
        // Before anything is read: what comes after the snapshot is heard.
        let events = self.engine.watch(&self.address)?.events;
        let (head, origin) = match Query::Look.ask(&*self.engine, &self.address).await {
            Ok(Reply::Look(look)) if look.0.attempt == self.attempt => *look,
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == base::Kind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let journal = conversation::journal(&*self.engine, &self.address).await?;
        let known = Known {
            head,
            origin,
            journal,
            state: None,
        };
        Ok(Some((known, events)))
    }

    async fn ask(&self, chosen: &Chosen, origin: &Origin) -> Result<(Out, Waiting), Failure> {
        let ask = chosen.invoke(&self.id, origin)?;
        let http = if chosen.http_1 { Http::One } else { Http::Two };
        Ok(self.shared.connections.call(http, ask).await?)
    }
}

/// Why nothing more is heard.
enum Spoken {
    Last,
    Stale,
}

/// A request that goes on.
struct Live<'a> {
    attempt: &'a Attempt,
    chosen: &'a Chosen,
    conversation: Conversation,
    events: Happenings,
    out: Out,
    /// What was said, and is not stored yet.
    said: VecDeque<Said>,
    /// How many times something was said in this attempt; by another process before, if that was killed.
    spoken: u64,
    /// Whether more can be said to user code.
    open: bool,
    quiet_since: Instant,
}

struct Said {
    reply: BoxFuture<'static, Result<Reply>>,
    /// Commands in it that are to be acknowledged.
    acks: Vec<u32>,
}

enum Next {
    Answer(Result<Answer, Broken>),
    Chunk(Option<Result<Bytes, Broken>>),
    Event(Option<Result<machines::engine::Happened>>),
    Stored(Result<(Reply, Vec<u32>)>),
    Quiet,
}

impl Live<'_> {
    async fn listen(mut self, waiting: Waiting) -> Result<Over, Failure> {
        let mut waiting = Some(waiting.answer().boxed());
        let mut answer: Option<Answer> = None;
        loop {
            match self.next(&mut waiting, &mut answer).await {
                Next::Answer(head) => {
                    waiting = None;
                    let mut head = head?;
                    self.chosen.check_answer(&mut head).await?;
                    answer = Some(head);
                }
                Next::Chunk(Some(chunk)) => {
                    self.quiet_since = Instant::now();
                    self.conversation.push(&chunk?);
                    if let Some(over) = self.hear().await? {
                        return match over {
                            Spoken::Last => self.finish(answer).await,
                            Spoken::Stale => Ok(Over::Stale),
                        };
                    }
                }
                Next::Chunk(None) => {
                    return Err(Failure::new(
                        "RT0012",
                        "it closed the stream before it said how it ended",
                    ));
                }
                Next::Event(Some(happened)) => self.tell(&happened?.event)?,
                Next::Event(None) => return Ok(Over::Stale),
                Next::Stored(stored) => {
                    if !self.acknowledge(stored?)? {
                        return Ok(Over::Stale);
                    }
                }
                Next::Quiet if self.open => {
                    self.open = false;
                    self.out.end();
                    self.quiet_since = Instant::now();
                }
                Next::Quiet => {
                    return Err(Failure::new(
                        "RT0001",
                        "it did not let go in time after it was asked to suspend",
                    ));
                }
            }
        }
    }

    async fn next(
        &mut self,
        waiting: &mut Option<BoxFuture<'static, Result<Answer, Broken>>>,
        answer: &mut Option<Answer>,
    ) -> Next {
        let patience = if self.open {
            self.chosen.inactivity
        } else {
            self.chosen.abort
        };
        // While something of it is not stored, it is Belay that is quiet.
        let quiet = sleep_until(self.quiet_since + patience);
        let reads = self.said.len() < limits::RESTATE_WORDS_IN_FLIGHT;
        tokio::select! {
            biased;
            reply = next_stored(&mut self.said) => Next::Stored(reply),
            event = self.events.next(), if self.open => Next::Event(event),
            head = async { waiting.as_mut().expect("it is waited for").await }, if waiting.is_some() => Next::Answer(head),
            chunk = async { answer.as_mut().expect("it is there").chunk().await }, if answer.is_some() && reads => Next::Chunk(chunk),
            () = quiet, if self.said.is_empty() => Next::Quiet,
        }
    }

    /// Takes what is whole. `Some`: nothing more will be heard.
    async fn hear(&mut self) -> Result<Option<Spoken>, Failure> {
        loop {
            let heard = self.conversation.hear()?;
            let (over, nothing) = (heard.over, heard.words.is_empty());
            if !nothing {
                self.say(heard.words, heard.acks);
            }
            if let Some(id) = heard.keys {
                // What it says later may change them.
                if !self.stored().await? {
                    return Ok(Some(Spoken::Stale));
                }
                let keys = self.conversation.keys(id).await?;
                self.say(vec![keys], vec![]);
            }
            if over {
                return Ok(Some(Spoken::Last));
            }
            if nothing {
                return Ok(None);
            }
        }
    }

    fn say(&mut self, words: Vec<Word>, acks: Vec<u32>) {
        let pin = self.chosen.pin.clone();
        let reply = self.attempt.say(Some(self.spoken), pin, words);
        self.spoken += 1;
        self.said.push_back(Said { reply, acks });
    }

    /// Waits until everything that was said is stored; `false`: it was not heard any more.
    async fn stored(&mut self) -> Result<bool, Failure> {
        while !self.said.is_empty() {
            let stored = next_stored(&mut self.said).await?;
            if !self.acknowledge(stored)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `false`: it was not heard any more.
    fn acknowledge(&mut self, (reply, acks): (Reply, Vec<u32>)) -> Result<bool, Failure> {
        if reply == Reply::Stale {
            return Ok(false);
        }
        let mut bytes = BytesMut::new();
        for command in acks.into_iter().filter(|_| self.open) {
            put_command_ack(&mut bytes, command);
        }
        self.tell_bytes(bytes)?;
        Ok(true)
    }

    async fn finish(mut self, answer: Option<Answer>) -> Result<Over, Failure> {
        // It has ended its side: nothing more that is said to it can matter.
        self.open = false;
        if !self.stored().await? {
            return Ok(Over::Stale);
        }
        let Some(answer) = answer else {
            return Ok(Over::Stale);
        };
        Ok(Over::Said(answer, self.out))
    }

    fn tell(&mut self, event: &machines::Event) -> Result<(), Failure> {
        let machines::Event::Invocation(Event::Came { index, notification }) = event else {
            return Ok(());
        };
        let mut bytes = BytesMut::new();
        self.conversation.tell(*index, notification, &mut bytes);
        self.tell_bytes(bytes)
    }

    fn tell_bytes(&mut self, bytes: BytesMut) -> Result<(), Failure> {
        if !bytes.is_empty() {
            self.quiet_since = Instant::now();
            self.out.send(bytes.freeze())?;
        }
        Ok(())
    }
}

async fn next_stored(said: &mut VecDeque<Said>) -> Result<(Reply, Vec<u32>)> {
    match said.front_mut() {
        Some(first) => {
            let reply = (&mut first.reply).await;
            let said = said.pop_front();
            let acks = said.map(|said| said.acks).unwrap_or_default();
            Ok((reply?, acks))
        }
        None => std::future::pending().await,
    }
}

/// Lets the other side end its stream. Nobody waits for it.
fn drain(mut answer: Answer, mut out: Out) {
    drop(task::spawn("drain", async move {
        out.end();
        let rest = async { while answer.chunk().await.is_some_and(|chunk| chunk.is_ok()) {} };
        drop(timeout(limits::RESTATE_DRAIN, rest).await);
    }));
}
