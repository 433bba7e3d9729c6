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
use tokio::sync::{mpsc, oneshot};
use wire::cloudstate::{ClientAction, SideEffect};

use crate::error::Refusal;
use crate::routing::Router;
use crate::spec::{Command, Service};

mod active;
mod kind;
mod places;
mod stream;

pub(crate) use places::Places;

/// All active entities of this process.
#[derive(Clone)]
pub(crate) struct Entities(Arc<Shared>);

struct Shared {
    engine: Arc<dyn Engine>,
    active: Mutex<HashMap<Address, Active>>,
}

#[derive(Clone)]
struct Active {
    commands: mpsc::Sender<Asked>,
    /// Whose it is: after another discovery it may be another one.
    service: Arc<Service>,
}

/// A command that waits for its entity.
pub(crate) struct Asked {
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
            command: command.clone(),
            payload,
            answer,
        };
        self.queue(router, service, (&address, id), asked)?;
        match answered.await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::new(
                codes::INTERNAL,
                format!("entity {id} has ended without an answer"),
            )
            .into()),
        }
    }

    fn queue(
        &self,
        router: &Router,
        service: &Arc<Service>,
        (address, id): (&Address, &str),
        asked: Asked,
    ) -> Result<(), Refusal> {
        let mut active = self.0.active.lock();
        if let Some(known) = active.get(address) {
            let same = Arc::ptr_eq(&known.service, service);
            match known.commands.try_send(asked) {
                Ok(()) if same => return Ok(()),
                // What the function has become since: the entity ends when its commands are done.
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => {
                    let waiting = limits::ENTITY_COMMANDS_WAITING_MAX;
                    let name = &service.persistence_id;
                    let message = format!("{waiting} commands wait for entity {name}/{id} already");
                    return Err(Error::new(codes::ENTITY_BUSY, message).into());
                }
                // Its task has gone down with a panic.
                Err(mpsc::error::TrySendError::Closed(lost)) => {
                    self.activate(&mut active, router, service, (address, id), lost);
                    return Ok(());
                }
            }
        }
        if active.len() >= limits::ENTITIES_ACTIVE_MAX {
            let message = format!("{} entities are active already", active.len());
            return Err(Error::new(codes::ENTITY_BUSY, message).into());
        }
        self.activate(&mut active, router, service, (address, id), asked);
        Ok(())
    }

    fn activate(
        &self,
        active: &mut HashMap<Address, Active>,
        router: &Router,
        service: &Arc<Service>,
        (address, id): (&Address, &str),
        first: Asked,
    ) {
        let (commands, waiting) = mpsc::channel(limits::ENTITY_COMMANDS_WAITING_MAX);
        let known = Active {
            commands,
            service: service.clone(),
        };
        active.insert(address.clone(), known);
        let entity = active::Entity {
            entities: self.clone(),
            router: router.clone(),
            service: service.clone(),
            address: address.clone(),
            id: id.to_owned(),
            waiting,
            next: Some(first),
        };
        drop(task::spawn("entity", entity.run()));
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

    /// How many are active.
    pub(crate) fn count(&self) -> usize {
        self.0.active.lock().len()
    }
}
