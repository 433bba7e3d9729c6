//! One active entity.

use std::sync::Arc;

use base::{Error, codes, limits};
use futures::FutureExt;
use machines::entity::Reply;
use machines::{Address, Call};
use prost_types::Any;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::Status;
use wire::cloudstate::client_action::Action;
use wire::cloudstate::{ClientAction, Command, Failure};

use super::kind::{self, EventSourced, Kind, Said, Value};

use super::stream::Stream;
use super::{Asked, Entities, Outcome};
use crate::error::Refusal;
use crate::routing::Router;
use crate::spec::{self, Dialect, Service};

pub(super) struct Entity {
    pub(super) entities: Entities,
    pub(super) router: Router,
    pub(super) service: Arc<Service>,
    pub(super) address: Address,
    pub(super) id: String,
    pub(super) waiting: mpsc::Receiver<Asked>,
    /// The command that comes next.
    pub(super) next: Option<Asked>,
}

/// Why a stream is over.
enum Ended {
    /// Whatever waits goes on with a new stream.
    Gracefully,
    /// The function's state is not to be trusted: it is activated again at once.
    Restart,
    /// Those who wait are told.
    Crashed,
}

/// A stream that commands can be said on.
struct Open<K: Kind> {
    stream: Stream<K>,
    /// What is stored.
    sequence: u64,
    /// The last command's id: they count from 1 with every activation.
    command: i64,
    since: Instant,
    has_answered: bool,
}

impl Entity {
    pub(super) async fn run(mut self) {
        loop {
            let ended = match self.service.kind {
                spec::Kind::EventSourced => self.activate::<EventSourced>().await,
                spec::Kind::Value => self.activate::<Value>().await,
                spec::Kind::Action => Ended::Crashed,
            };
            match ended {
                Ended::Restart => continue,
                Ended::Gracefully => {}
                Ended::Crashed => self.refuse_all(),
            }
            if self.next.is_none() && self.entities.leave(&self.address, &self.waiting) {
                return;
            }
        }
    }

    async fn activate<K: Kind>(&mut self) -> Ended {
        if let Some(next) = &self.next {
            self.service = next.service.clone();
        }
        let function = self.service.function.clone();
        let _place = function.places().take().await;
        let mut open = match self.open::<K>().await {
            Ok(open) => open,
            Err(refusal) => {
                self.answer_next(Err(refusal));
                return Ended::Crashed;
            }
        };
        let ended = self.serve(&mut open).await;
        open.stream.end();
        if !matches!(ended, Ended::Crashed) {
            // Functions that do not end their side are cut off.
            let ending = async { while let Some(Ok(_)) = open.stream.next().await {} };
            drop(timeout(limits::ENTITY_END, ending).await);
        }
        ended
    }

    /// With everything said that was stored.
    async fn open<K: Kind>(&mut self) -> Result<Open<K>, Refusal> {
        let engine = self.entities.engine().clone();
        let kept = K::kept(&*engine, &self.address, &self.service, &self.id).await?;
        let mut stream = Stream::<K>::open(self.service.function.here().await?);
        stream.say(kept.init).await;
        let mut said = kept.snapshot;
        while said < kept.sequence {
            let page = kind::events(&*engine, &self.address, said)?.page().await?;
            let before = said;
            for (sequence, payload) in page {
                let Some(event) = K::event(sequence, payload) else {
                    continue;
                };
                self.replay(&mut stream, event).await?;
                said = sequence;
            }
            if said == before {
                let message = format!("events after {said} of {} are missing", self.name());
                return Err(Error::new(codes::STORED_ROW_UNREADABLE, message).into());
            }
        }
        Ok(Open {
            stream,
            sequence: kept.sequence,
            command: 0,
            since: Instant::now(),
            has_answered: false,
        })
    }

    async fn replay<K: Kind>(&self, stream: &mut Stream<K>, event: K::In) -> Result<(), Refusal> {
        let said = timeout(self.router.rules().answer, stream.say(event));
        let heard = tokio::select! {
            biased;
            heard = stream.next() => heard,
            said = said => return said.map_err(|_| self.late()),
            // A function without a place for it does not read.
            never = self.service.function.places().ask_for_room() => match never {},
        };
        Err(self.broken::<K>(heard))
    }

    async fn serve<K: Kind>(&mut self, open: &mut Open<K>) -> Ended {
        loop {
            let asked = match self.next.take() {
                Some(asked) => asked,
                None => match self.wait(open).await {
                    Ok(asked) => asked,
                    Err(ended) => return ended,
                },
            };
            // Nobody waits for it any more, and nothing was done.
            if asked.answer.is_closed() {
                continue;
            }
            if let Some(heard) = open.stream.next().now_or_never() {
                self.next = Some(asked);
                if let Some(Ok(_)) = heard {
                    let refusal = self.broken::<K>(heard);
                    self.answer_next(Err(refusal));
                    return Ended::Crashed;
                }
                return Ended::Gracefully;
            }
            if let Err(ended) = self.command(open, asked).await {
                return ended;
            }
            let wanted = self.service.function.places().is_wanted();
            if wanted && (self.waiting.is_empty() || open.since.elapsed() > limits::ENTITY_TURN) {
                return Ended::Gracefully;
            }
        }
    }

    async fn wait<K: Kind>(&mut self, open: &mut Open<K>) -> Result<Asked, Ended> {
        if let Ok(asked) = self.waiting.try_recv() {
            return Ok(asked);
        }
        let idle_until = Instant::now() + self.service.passivation;
        let service = self.service.clone();
        tokio::select! {
            biased;
            asked = self.waiting.recv() => asked.ok_or(Ended::Gracefully),
            heard = open.stream.next() => Err(self.unasked(heard)),
            () = sleep_until(idle_until) => Err(Ended::Gracefully),
            () = service.function.places().make_room() => Err(Ended::Gracefully),
        }
    }

    /// The stream has ended by itself, or something was said to nobody.
    fn unasked<M>(&self, heard: Option<Result<M, Status>>) -> Ended {
        let Some(Ok(_)) = heard else {
            return Ended::Gracefully;
        };
        tracing::warn!(
            entity = self.name(),
            "the user function has said something that nobody asked for"
        );
        Ended::Crashed
    }

    async fn command<K: Kind>(&mut self, open: &mut Open<K>, asked: Asked) -> Result<(), Ended> {
        open.command += 1;
        let command = Command {
            entity_id: self.id.clone(),
            id: open.command,
            name: asked.command.method.name.clone(),
            payload: Some(Any {
                type_url: asked.command.input_url.clone(),
                value: asked.payload.clone().into(),
            }),
            streamed: false,
            metadata: None,
        };
        self.next = Some(asked);
        let said = open.stream.say(K::command(command));
        let Ok(heard) = timeout(self.router.rules().answer, self.hear(open, said)).await else {
            self.answer_next(Err(self.late()));
            return Err(Ended::Crashed);
        };
        open.has_answered = true;
        let Some(Ok(message)) = heard else {
            let refusal = self.broken::<K>(heard);
            self.answer_next(Err(refusal));
            return Err(Ended::Crashed);
        };
        self.take(open, K::said(message)).await
    }

    /// What comes, also while there is still something to say: a function may have stopped reading.
    async fn hear<K: Kind>(
        &self,
        open: &mut Open<K>,
        said: impl Future<Output = ()>,
    ) -> Option<Result<K::Out, Status>> {
        let has_answered = open.has_answered;
        let asking = async {
            said.await;
            match has_answered {
                true => std::future::pending().await,
                false => self.service.function.places().ask_for_room().await,
            }
        };
        tokio::select! {
            biased;
            heard = open.stream.next() => heard,
            never = asking => match never {},
        }
    }

    async fn take<K: Kind>(&mut self, open: &mut Open<K>, said: Said) -> Result<(), Ended> {
        let (command, action, effects, changed) = match said {
            Said::Reply {
                command,
                action,
                effects,
                changed,
            } => (command, action, effects, changed),
            Said::Failure(failure) => return self.fail(open, failure).await,
            Said::Nothing => return Err(self.crash::<K>(K::EMPTY)),
        };
        if command != open.command {
            return Err(self.crash::<K>("reply"));
        }
        if matches!(changed, kind::Changed::Nonsense) {
            return Err(self.crash::<K>("failure"));
        }
        // Such a function has applied events to its state that are not to be.
        let restart = self.service.kind == spec::Kind::EventSourced && wants_restart(action.as_ref());
        if !restart {
            self.store(open, changed).await?;
        }
        self.answer_next(Ok(Outcome { action, effects }));
        match restart {
            true => Err(Ended::Restart),
            false => Ok(()),
        }
    }

    async fn store<K: Kind>(&mut self, open: &mut Open<K>, changed: kind::Changed) -> Result<(), Ended> {
        let Some(change) = changed.change(open.sequence) else {
            return Ok(());
        };
        match change.call(&**self.entities.engine(), &self.address).await {
            Ok(Reply::Stored(sequence)) => {
                open.sequence = sequence;
                Ok(())
            }
            Ok(Reply::Look { .. }) => Err(Ended::Crashed),
            Err(error) => {
                // What the function believes is not what is stored.
                self.answer_next(Err(error.into()));
                Err(Ended::Crashed)
            }
        }
    }

    /// A failure that is no answer: in the old dialect an answer if it names the command, else the end of the stream.
    async fn fail<K: Kind>(&mut self, open: &mut Open<K>, failure: Failure) -> Result<(), Ended> {
        if self.service.dialect == Dialect::L && failure.command_id == open.command {
            self.answer_next(Err(Refusal::Failed(failure.description)));
            // Some functions end the stream behind it: the next command has to go to another one.
            return match timeout(limits::ENTITY_FAILURE_END, open.stream.next()).await {
                Ok(heard) => Err(self.unasked(heard)),
                Err(_) => Ok(()),
            };
        }
        self.warn(&failure);
        Err(self.crash::<K>("failure"))
    }

    fn warn(&self, failure: &Failure) {
        tracing::warn!(
            entity = self.name(),
            command_id = failure.command_id,
            description = failure.description,
            "the user function has failed an entity"
        );
    }

    fn crash<K: Kind>(&mut self, what: &str) -> Ended {
        self.answer_next(Err(Refusal::Failed(format!("Unexpected {} {what}", K::NAME))));
        Ended::Crashed
    }

    /// The stream is over, or has said something while nothing was asked.
    fn broken<K: Kind>(&self, heard: Option<Result<K::Out, Status>>) -> Refusal {
        match heard {
            Some(Ok(message)) => {
                let what = match K::said(message) {
                    Said::Reply { .. } => "reply",
                    Said::Failure(failure) => {
                        self.warn(&failure);
                        "failure"
                    }
                    Said::Nothing => K::EMPTY,
                };
                Refusal::Failed(format!("Unexpected {} {what}", K::NAME))
            }
            None => Refusal::Failed(format!("Unexpected {} termination", K::NAME)),
            Some(Err(status)) => {
                tracing::warn!(entity = self.name(), %status, "the stream of an entity broke");
                Refusal::Failed(format!("Unexpected {} termination", K::NAME))
            }
        }
    }

    fn late(&self) -> Refusal {
        let (function, waited) = (self.service.function.authority(), self.router.rules().answer);
        let message = format!(
            "user function {function} has not answered for {} within {waited:?}",
            self.name()
        );
        Error::new(codes::DEADLINE_EXCEEDED, message).into()
    }

    fn answer_next(&mut self, outcome: Result<Outcome, Refusal>) {
        let Some(asked) = self.next.take() else {
            return;
        };
        if let Err(Ok(outcome)) = asked.answer.send(outcome) {
            // Its client has gone: what else follows from it happens all the same.
            self.router.follow(&self.service, &asked.command, outcome);
        }
    }

    fn refuse_all(&mut self) {
        let text = match self.service.kind {
            spec::Kind::Value => "Value entity terminated",
            _ => "Entity terminated",
        };
        self.answer_next(Err(Refusal::Failed(text.into())));
        while let Ok(asked) = self.waiting.try_recv() {
            drop(asked.answer.send(Err(Refusal::Failed(text.into()))));
        }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.service.persistence_id, self.id)
    }
}

fn wants_restart(action: Option<&ClientAction>) -> bool {
    let action = action.and_then(|action| action.action.as_ref());
    matches!(action, Some(Action::Failure(failure)) if failure.restart)
}
