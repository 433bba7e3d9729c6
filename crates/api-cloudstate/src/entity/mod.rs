//! Active entities: each has a stream to its user function, and does one command after the other.
//!
//! | file | what |
//! |---|---|
//! | `active` | one entity, from its first command until nothing more is wanted of it |
//! | `kind` | how event sourced and value entities differ on the stream and in the store |
//! | `stream` | what is said on a stream |
//! | `places` | how many streams a function bears |

use std::collections::HashMap;
use std::sync::Arc;

use base::{Error, codes, limits, task};
use bytes::Bytes;
use machines::{Address, Engine};
use parking_lot::Mutex;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use wire::cloudstate::{ClientAction, SideEffect};

use crate::error::Refusal;
use crate::routing::Router;
use crate::spec::{Command, Service};

mod active;
mod kind;
mod places;
mod stream;

#[cfg(any(test, feature = "fuzz"))]
pub(crate) use kind::heard;
pub(crate) use places::Places;

/// All active entities of this process.
#[derive(Clone)]
pub(crate) struct Entities(Arc<Shared>);

struct Shared {
    engine: Arc<dyn Engine>,
    /// Where their commands go.
    active: Mutex<HashMap<Address, mpsc::Sender<Asked>>>,
}

/// A command that waits for its entity.
pub(crate) struct Asked {
    /// As it was discovered last.
    service: Arc<Service>,
    command: Arc<Command>,
    payload: Bytes,
    answer: oneshot::Sender<Result<Outcome, Refusal>>,
}

/// What an entity has answered; what it has changed is stored.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) action: Option<ClientAction>,
    pub(crate) effects: Vec<SideEffect>,
}

impl Entities {
    pub(crate) fn over(engine: Arc<dyn Engine>) -> Entities {
        Entities(Arc::new(Shared {
            engine,
            active: Mutex::default(),
        }))
    }

    /// Errors: `ENTITY_BUSY`, nothing was done; else what the function or the store says.
    pub(crate) async fn ask(
        &self,
        router: &Router,
        service: &Arc<Service>,
        id: &str,
        (command, payload): (&Arc<Command>, Bytes),
    ) -> Result<Outcome, Refusal> {
        let address = Address::entity(&service.persistence_id, id);
        let (answer, answered) = oneshot::channel();
        let asked = Asked {
            service: service.clone(),
            command: command.clone(),
            payload,
            answer,
        };
        self.queue(router, (&address, id), asked)?;
        match answered.await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::new(
                codes::INTERNAL,
                format!("entity {id} has ended without an answer"),
            )
            .into()),
        }
    }

    fn queue(&self, router: &Router, (address, id): (&Address, &str), asked: Asked) -> Result<(), Refusal> {
        let mut active = self.0.active.lock();
        let asked = match active.get(address) {
            None => asked,
            Some(commands) => match commands.try_send(asked) {
                Ok(()) => return Ok(()),
                // Its task has gone down with a panic.
                Err(TrySendError::Closed(asked)) => asked,
                Err(TrySendError::Full(asked)) => {
                    let (waiting, name) =
                        (limits::ENTITY_COMMANDS_WAITING_MAX, &asked.service.persistence_id);
                    let message = format!("{waiting} commands wait for entity {name}/{id} already");
                    return Err(Error::new(codes::ENTITY_BUSY, message).into());
                }
            },
        };
        if active.len() >= limits::ENTITIES_ACTIVE_MAX {
            let message = format!("{} entities are active already", active.len());
            return Err(Error::new(codes::ENTITY_BUSY, message).into());
        }
        let (commands, waiting) = mpsc::channel(limits::ENTITY_COMMANDS_WAITING_MAX);
        active.insert(address.clone(), commands);
        let entity = active::Entity {
            entities: self.clone(),
            router: router.clone(),
            service: asked.service.clone(),
            address: address.clone(),
            id: id.to_owned(),
            waiting,
            next: Some(asked),
        };
        drop(task::spawn("entity", entity.run()));
        Ok(())
    }

    /// `false`: somebody wants something of it again.
    fn leave(&self, address: &Address, waiting: &mpsc::Receiver<Asked>) -> bool {
        let mut active = self.0.active.lock();
        let idle = waiting.is_empty();
        if idle {
            active.remove(address);
            if active.capacity() > limits::ENTITIES_KEPT && active.len() < active.capacity() / 4 {
                let few = active.len() * 2;
                active.shrink_to(few);
            }
        }
        idle
    }

    pub(crate) fn engine(&self) -> &Arc<dyn Engine> {
        &self.0.engine
    }

    pub(crate) fn is_active(&self, address: &Address) -> bool {
        self.0.active.lock().contains_key(address)
    }

    /// Commands that wait behind others.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        let active = self.0.active.lock();
        let waiting = |queue: &mpsc::Sender<Asked>| queue.max_capacity() - queue.capacity();
        active.values().map(waiting).sum()
    }

    /// How many are active.
    pub(crate) fn count(&self) -> usize {
        self.0.active.lock().len()
    }
}
