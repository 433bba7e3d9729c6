//! What handlers stand on, and mounting.

use std::sync::Arc;
use std::time::Duration;

use base::{Peer, Result, limits};
use machines::{Address, Call, Engine, Question, primitive};
use tonic::service::RoutesBuilder;
use tonic::{Extensions, Status};
use wire::atomix::{self, runtime};

use crate::error;
use crate::primitives::Primitives;
use crate::sessions::{Session, Sessions};
use crate::stores::{Listed, Opener, Stores};

/// How the family is set up.
pub struct Options {
    /// Where names, stores and routes are kept, and what the built-in store stands on.
    pub engine: Arc<dyn Engine>,
    pub opener: Arc<dyn Opener>,
    /// Largest message taken, bytes.
    pub message_bytes_max: usize,
    /// How long what a lost connection holds stays taken.
    pub session_grace: Duration,
    /// Nothing works before a controller has connected stores and programmed routes.
    pub strict: bool,
    /// The one session of all clients; `None`: each connection has its own.
    pub shared_session: Option<machines::Session>,
    /// Adding to a set what is there, or removing what is not, is answered `OK` with a bool and not with an error.
    pub set_answers_bools: bool,
}

impl Options {
    pub fn new(engine: Arc<dyn Engine>, opener: Arc<dyn Opener>) -> Options {
        Options {
            engine,
            opener,
            message_bytes_max: limits::MESSAGE_BYTES_MAX,
            session_grace: limits::SESSION_GRACE,
            strict: false,
            shared_session: None,
            set_answers_bools: false,
        }
    }
}

/// The family as one value that listeners mount. A clone shares everything with its original.
#[derive(Clone)]
pub struct Service {
    pub(crate) stores: Arc<Stores>,
    pub(crate) primitives: Arc<Primitives>,
    pub(crate) sessions: Sessions,
    message_bytes_max: usize,
    pub(crate) set_answers_bools: bool,
}

/// A primitive that was created, in its store.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) address: Address,
}

impl Service {
    /// Reads names, stores and routes of earlier starts. Stores that cannot be opened now are tried again and again.
    pub async fn start(options: Options) -> Result<Service> {
        let stores = Stores::start(options.engine.clone(), options.opener, options.strict).await?;
        Ok(Service {
            primitives: Arc::new(Primitives::new(options.engine, stores.clone())),
            sessions: Sessions::new(options.session_grace, options.shared_session),
            stores,
            message_bytes_max: options.message_bytes_max,
            set_answers_bools: options.set_answers_bools,
        })
    }

    /// The stores that a controller has connected.
    pub fn stores(&self) -> Vec<Listed> {
        self.stores.list()
    }

    /// Adds the primitives to a listener's routes: the singular services, which use them, and the plural ones, which open
    /// and close them. Both have both, because clients open with one and close with the other.
    pub fn mount_primitives(&self, routes: &mut RoutesBuilder) {
        macro_rules! add {
            ($($package:ident :: $server:ident :: $name:ident),* $(,)?) => {
                $(routes.add_service(
                    atomix::$package::$server::$name::new(self.clone())
                        .max_decoding_message_size(self.message_bytes_max)
                );)*
            };
        }
        add!(
            counter::counter_server::CounterServer,
            counter::counters_server::CountersServer,
            election::leader_election_server::LeaderElectionServer,
            election::leader_elections_server::LeaderElectionsServer,
            lock::lock_server::LockServer,
            lock::locks_server::LocksServer,
            countermap::counter_map_server::CounterMapServer,
            countermap::counter_maps_server::CounterMapsServer,
            map::map_server::MapServer,
            map::maps_server::MapsServer,
            multimap::multi_map_server::MultiMapServer,
            multimap::multi_maps_server::MultiMapsServer,
            set::set_server::SetServer,
            set::sets_server::SetsServer,
            indexedmap::indexed_map_server::IndexedMapServer,
            indexedmap::indexed_maps_server::IndexedMapsServer,
            value::value_server::ValueServer,
            value::values_server::ValuesServer,
            list::list_server::ListServer,
            list::lists_server::ListsServer,
            topic::topic_server::TopicServer,
            topic::topics_server::TopicsServer,
        );
    }

    /// Adds the control calls, under the name they have and the one they had.
    pub fn mount_control(&self, routes: &mut RoutesBuilder) {
        let runtime = runtime::runtime_server::RuntimeServer::new(self.clone());
        let proxy = atomix::proxy::proxy_server::ProxyServer::new(self.clone());
        routes
            .add_service(runtime.max_decoding_message_size(self.message_bytes_max))
            .add_service(proxy.max_decoding_message_size(self.message_bytes_max));
    }

    /// The primitive of that name, which must have been created as one of that type.
    pub(crate) async fn find(
        &self,
        id: Option<runtime::PrimitiveId>,
        primitive: primitive::Type,
    ) -> Result<Target, Status> {
        let id = id.ok_or_else(|| error::missing("the primitive's id"))?;
        let found = self.primitives.find(&id.name, primitive).await;
        found.map_err(|error| error::status(&error))
    }

    /// The same, and the caller's session with it.
    pub(crate) async fn enter(
        &self,
        extensions: &Extensions,
        id: Option<runtime::PrimitiveId>,
        primitive: primitive::Type,
    ) -> Result<(Target, Session), Status> {
        let target = self.find(id, primitive).await?;
        let session = self.sessions.enter(peer(extensions)?, &target);
        Ok((target, session))
    }

    /// Calls a primitive in the name of the caller's session, which holds what it gets.
    pub(crate) async fn hold<C: Call>(
        &self,
        extensions: &Extensions,
        target: &Target,
        command: impl FnOnce(machines::Session) -> C,
    ) -> Result<C::Reply, Status> {
        let reply = self.sessions.call(peer(extensions)?, target, command).await;
        reply.map_err(|error| error::status(&error))
    }
}

pub(crate) fn peer(extensions: &Extensions) -> Result<&Peer, Status> {
    extensions.get::<Peer>().ok_or_else(error::no_peer)
}

impl Target {
    pub(crate) async fn call<C: Call>(&self, command: C) -> Result<C::Reply, Status> {
        let reply = command.call(&*self.engine, &self.address).await;
        reply.map_err(|error| error::status(&error))
    }

    pub(crate) async fn ask<Q: Question>(&self, query: Q) -> Result<Q::Reply, Status> {
        let reply = query.ask(&*self.engine, &self.address).await;
        reply.map_err(|error| error::status(&error))
    }
}
