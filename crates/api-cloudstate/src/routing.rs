//! What becomes of a command: it goes to its entity or action, and what that asks for in turn is seen to.

use std::sync::Arc;

use base::{Error, codes, limits, task};
use bytes::Bytes;
use futures::future::BoxFuture;
use prost_types::Any;
use wire::cloudstate::client_action::Action;
use wire::cloudstate::{Forward, Metadata, SideEffect};

use crate::action;
use crate::catalog::Catalog;
use crate::entity::{Entities, Outcome};
use crate::error::Refusal;
use crate::spec::{Command, Kind, Rules, Service};
use crate::transcode::keys::NoId;

#[derive(Clone)]
pub(crate) struct Router(Arc<Shared>);

struct Shared {
    catalog: Catalog,
    entities: Entities,
    rules: Rules,
}

/// A command on its way.
#[derive(Clone)]
pub(crate) struct Ask {
    pub(crate) service: Arc<Service>,
    pub(crate) command: Arc<Command>,
    pub(crate) payload: Bytes,
    /// Entities are not told.
    pub(crate) metadata: Metadata,
    /// How it came here: commands that forwarded to it, or that it is an effect of.
    pub(crate) way: Way,
}

/// Commands, the first one first.
#[derive(Clone, Default)]
pub(crate) struct Way(Vec<String>);

impl Way {
    fn text(&self) -> String {
        self.0.join(" -> ")
    }
}

/// What the client hears.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answer {
    /// `None`: neither a reply nor a failure.
    pub(crate) payload: Option<Bytes>,
    pub(crate) metadata: Metadata,
}

impl Router {
    pub(crate) fn new(catalog: Catalog, entities: Entities, rules: Rules) -> Router {
        Router(Arc::new(Shared {
            catalog,
            entities,
            rules,
        }))
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.0.rules
    }

    pub(crate) fn catalog(&self) -> &Catalog {
        &self.0.catalog
    }

    /// One request, one answer.
    pub(crate) async fn call(&self, ask: Ask) -> Result<Answer, Refusal> {
        let outcome = match ask.service.kind {
            Kind::Action => action::unary(&ask, self.rules().answer).await?,
            Kind::EventSourced | Kind::Value => {
                let id = entity_id(&ask)?;
                let command = (&ask.command, ask.payload.clone());
                self.0.entities.ask(self, &ask.service, &id, command).await?
            }
        };
        self.carry_out(ask, outcome).await
    }

    /// Effects, then the answer or the forward. What was stored before stays, whatever comes of them.
    pub(crate) async fn carry_out(&self, mut ask: Ask, outcome: Outcome) -> Result<Answer, Refusal> {
        let Outcome { action, effects } = outcome;
        let action = action.and_then(|action| action.action);
        if effects.is_empty() && !matches!(action, Some(Action::Forward(_))) {
            return self.answer(&ask, action);
        }
        ask.way
            .0
            .push(format!("{}/{}", ask.service.name, ask.command.method.name));
        // They happen even if the client goes away now.
        let router = self.clone();
        let carried = task::spawn(
            "effects",
            async move { router.carry_on(ask, action, effects).await },
        );
        carried.await.map_err(|cause| {
            Refusal::from(Error::new(codes::INTERNAL, "effects have ended early").because(cause))
        })?
    }

    async fn carry_on(
        &self,
        ask: Ask,
        action: Option<Action>,
        effects: Vec<SideEffect>,
    ) -> Result<Answer, Refusal> {
        if matches!(action, Some(Action::Forward(_))) {
            // It does not wait for effects beside it.
            let (router, effected) = (self.clone(), ask.clone());
            drop(task::spawn("effects", async move {
                drop(router.effect_all(&effected, effects).await);
            }));
        } else {
            self.effect_all(&ask, effects).await?;
        }
        self.follow_action(&ask, action).await
    }

    /// One after the other. What one of them answers is nobody's business.
    async fn effect_all(&self, ask: &Ask, effects: Vec<SideEffect>) -> Result<(), Refusal> {
        for effect in effects {
            let synchronous = effect.synchronous;
            let target = Target {
                what: "side effect",
                service: effect.service_name,
                command: effect.command_name,
                payload: effect.payload,
                metadata: effect.metadata,
            };
            match self.target(ask, target) {
                Ok(next) if synchronous => drop(self.boxed_call(next).await),
                Ok(next) => drop(task::spawn("side effect", self.boxed_call(next))),
                Err(refusal) if synchronous => return Err(refusal),
                Err(_) => {}
            }
        }
        Ok(())
    }

    async fn follow_action(&self, ask: &Ask, action: Option<Action>) -> Result<Answer, Refusal> {
        match action {
            Some(Action::Forward(forward)) => {
                let next = self.forwarded(ask, forward)?;
                self.boxed_call(next).await
            }
            other => self.answer(ask, other),
        }
    }

    fn answer(&self, ask: &Ask, action: Option<Action>) -> Result<Answer, Refusal> {
        match action {
            Some(Action::Reply(reply)) => {
                let payload = reply.payload.unwrap_or_default();
                self.check_reply(ask, &payload);
                Ok(Answer {
                    payload: Some(payload.value.into()),
                    metadata: reply.metadata.unwrap_or_default(),
                })
            }
            Some(Action::Failure(failure)) => Err(Refusal::Failed(failure.description)),
            Some(Action::Forward(_)) | None => Ok(Answer::default()),
        }
    }

    /// The client gets it all the same: it is for those who wrote the function.
    fn check_reply(&self, ask: &Ask, payload: &Any) {
        let (found, expected) = (&payload.type_url, &ask.command.output_url);
        if found != expected {
            let (service, method) = (&ask.service.name, &ask.command.method.name);
            ask.service.function.report(format!(
                "{service}.{method} has replied with {found:?}, and is declared to reply with {expected:?}; the reply was delivered as it is"
            ));
        }
    }

    pub(crate) fn forwarded(&self, ask: &Ask, forward: Forward) -> Result<Ask, Refusal> {
        let target = Target {
            what: "forward",
            service: forward.service_name,
            command: forward.command_name,
            payload: forward.payload,
            metadata: forward.metadata,
        };
        self.target(ask, target)
    }

    /// What somebody is sent on to. Whoever did it is told what is wrong with it.
    fn target(&self, ask: &Ask, target: Target) -> Result<Ask, Refusal> {
        self.find(ask, target).map_err(|error| {
            ask.service
                .function
                .report(format!("{}: {error}", error.code().id));
            error.into()
        })
    }

    fn find(&self, ask: &Ask, target: Target) -> Result<Ask, Error> {
        let (what, name, command, way) = (target.what, &target.service, &target.command, ask.way.text());
        if ask.way.0.len() > limits::FORWARDS_MAX {
            let message = format!(
                "forwarded or caused {} times in a row: {way}",
                limits::FORWARDS_MAX
            );
            return Err(Error::new(codes::FORWARDS_TOO_MANY, message));
        }
        let service = self.catalog().service(name).ok_or_else(|| {
            let message =
                format!("{what} to {name}/{command}: no service of that name is served (on the way {way})");
            Error::new(codes::FUNCTION_REFUSED, message)
        })?;
        let found = service.methods.get(command).cloned().ok_or_else(|| {
            let message =
                format!("{what} to {name}/{command}: the service has no such command (on the way {way})");
            Error::new(codes::FUNCTION_REFUSED, message)
        })?;
        let payload = target.payload.unwrap_or_default();
        if payload.type_url != found.input_url {
            // Some SDKs end their process when they are sent what they do not know.
            let (given, wanted) = (&payload.type_url, &found.input_url);
            let message = format!(
                "{what} to {name}/{command}: its payload is {given:?} and has to be {wanted:?} (on the way {way})"
            );
            return Err(Error::new(codes::FUNCTION_REFUSED, message));
        }
        if found.method.client_streaming || found.method.server_streaming {
            let message =
                format!("{what} to {name}/{command}: it is streamed, only single requests can be sent on");
            return Err(Error::new(codes::FUNCTION_REFUSED, message));
        }
        Ok(Ask {
            service,
            command: found,
            payload: payload.value.into(),
            metadata: target.metadata.unwrap_or_default(),
            way: ask.way.clone(),
        })
    }

    fn boxed_call(&self, ask: Ask) -> BoxFuture<'static, Result<Answer, Refusal>> {
        let router = self.clone();
        Box::pin(async move { router.call(ask).await })
    }

    /// For a client that has gone.
    pub(crate) fn follow(&self, service: &Arc<Service>, command: &Arc<Command>, outcome: Outcome) {
        let has_forward = outcome
            .action
            .as_ref()
            .is_some_and(|action| matches!(action.action, Some(Action::Forward(_))));
        if outcome.effects.is_empty() && !has_forward {
            return;
        }
        let ask = Ask {
            service: service.clone(),
            command: command.clone(),
            payload: Bytes::new(),
            metadata: Metadata::default(),
            way: Way::default(),
        };
        let router = self.clone();
        drop(task::spawn("effects", async move {
            drop(router.carry_out(ask, outcome).await)
        }));
    }
}

struct Target {
    what: &'static str,
    service: String,
    command: String,
    payload: Option<Any>,
    metadata: Option<Metadata>,
}

fn entity_id(ask: &Ask) -> Result<String, Refusal> {
    let Some(keys) = &ask.command.keys else {
        return Ok(String::new());
    };
    let name = || format!("{}/{}", ask.service.name, ask.command.method.name);
    let id = keys.entity_id(&ask.payload).map_err(|no_id| match no_id {
        NoId::Empty(field) => Refusal::invalid(format!("{}: the entity key {field} is empty", name())),
        NoId::Malformed(Some(field)) => {
            Refusal::invalid(format!("{}: the entity key {field} cannot be read", name()))
        }
        NoId::Malformed(None) => Refusal::invalid(format!("{}: the request cannot be read", name())),
    })?;
    if id.len() > limits::ENTITY_ID_BYTES_MAX {
        let max = limits::ENTITY_ID_BYTES_MAX;
        return Err(Refusal::invalid(format!(
            "{}: the entity's id is longer than {max} bytes",
            name()
        )));
    }
    Ok(id)
}
