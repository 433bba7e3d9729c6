//! A real server and client on loopback over in-memory fakes of the ports.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use base::{Error, Result, limits};
use parking_lot::Mutex;
use ports::Metadata;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::RoutesBuilder;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Response, Status};
use wire::layotto::lifecycle_client::LifecycleClient;
use wire::layotto::runtime_client::RuntimeClient;

use crate::components::{
    Bus, Components, Consuming, Hello, Live, Lock, Policy, Prefix, Reconfigure, Secrets, Sequence, State,
};
use crate::service::{Service, services};

mod config;
mod file;
mod lock;
mod others;
mod sequencer;
mod state;
mod topics;

pub(crate) use config::Configs;
pub(crate) use file::Files;
pub(crate) use lock::Locks;
pub(crate) use others::{Outside, SecretTexts, Services};
pub(crate) use sequencer::Sequences;
pub(crate) use state::States;
pub(crate) use topics::Topics;

/// The name that every component goes by, so that a wrong block shows.
pub(crate) const STORE: &str = "demo";

/// One fake of each port.
#[derive(Clone, Default)]
pub(crate) struct Fakes {
    pub states: Arc<States>,
    pub locks: Arc<Locks>,
    pub sequences: Arc<Sequences>,
    pub configs: Arc<Configs>,
    pub files: Arc<Files>,
    pub outside: Arc<Outside>,
    pub secrets: Arc<SecretTexts>,
    pub services: Arc<Services>,
    pub topics: Arc<Topics>,
}

impl Fakes {
    /// Every block has its component, with the prefixes that the server gives them by default.
    pub(crate) fn components(&self) -> Components {
        let hello = Hello {
            greeting: "greeting".into(),
        };
        let mut components = Components {
            app_id: "app".into(),
            hellos: named(hello),
            configs: named(self.configs.clone()),
            files: named(self.files.clone()),
            bindings: named(self.outside.clone()),
            invoker: Some(self.services.clone()),
            ..Components::default()
        };
        components.states = named(State {
            store: self.states.clone(),
            prefix: Prefix::None,
            ttl: None,
        });
        components.locks = named(Lock {
            store: self.locks.clone(),
            prefix: Prefix::AppId,
        });
        components.sequencers = named(Sequence {
            store: self.sequences.clone(),
            prefix: Prefix::AppId,
        });
        components.pubsubs = named(Bus {
            store: self.topics.clone(),
            consuming: Consuming::default(),
        });
        components.secrets = named(Secrets {
            store: self.secrets.clone(),
            policy: Policy::default(),
        });
        components
    }

    pub(crate) async fn run(&self) -> Running {
        run(self.components()).await
    }
}

fn named<T>(component: T) -> HashMap<String, T> {
    HashMap::from([(STORE.to_owned(), component)])
}

/// Clients of a served set of components.
pub(crate) struct Running {
    pub client: RuntimeClient<Channel>,
    pub lifecycle: LifecycleClient<Channel>,
    pub live: Arc<Live>,
    pub reconfigure: Arc<Greetings>,
}

/// The handlers without a connection, for what depends on time.
pub(crate) fn service(components: Components) -> Service {
    let live = Arc::new(Live::from_pointee(components));
    services(live, Arc::new(Greetings::default()), limits::MESSAGE_BYTES_MAX)
}

pub(crate) async fn run(components: Components) -> Running {
    let live = Arc::new(Live::from_pointee(components));
    let reconfigure = Arc::new(Greetings::default());
    let mut routes = RoutesBuilder::default();
    services(live.clone(), reconfigure.clone(), limits::MESSAGE_BYTES_MAX).mount(&mut routes);
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("loopback has a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let server = Server::builder()
        .add_routes(routes.routes())
        .serve_with_incoming(TcpListenerStream::new(listener));
    base::task::spawn("test server", server);
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .expect("the address is an address")
        .connect_lazy();
    Running {
        client: RuntimeClient::new(channel.clone()),
        lifecycle: LifecycleClient::new(channel),
        live,
        reconfigure,
    }
}

/// Makes the next calls of a fake fail.
#[derive(Default)]
pub(crate) struct Fault(Mutex<Option<(base::Code, &'static str)>>);

impl Fault {
    pub(crate) fn set(&self, code: base::Code, message: &'static str) {
        *self.0.lock() = Some((code, message));
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = None;
    }

    fn check(&self) -> Result<()> {
        match *self.0.lock() {
            Some((code, message)) => Err(Error::new(code, message)),
            None => Ok(()),
        }
    }
}

/// Lets other tasks run until something holds; fails when it does not come to.
#[track_caller]
pub(crate) fn until(holds: impl Fn() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let wait = async {
            while !holds() {
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(std::time::Duration::from_secs(20), wait).await;
        waited.unwrap_or_else(|_| panic!("it never holds: {caller}"));
    }
}

#[track_caller]
pub(crate) fn assert_refused<T: Debug>(result: Result<Response<T>, Status>, code: Code, message: &str) {
    let status = result.expect_err(message);
    assert_eq!((status.code(), status.message()), (code, message));
}

pub(crate) fn texts<const N: usize>(pairs: [(&str, &str); N]) -> HashMap<String, String> {
    pairs
        .map(|(name, text)| (name.to_owned(), text.to_owned()))
        .into()
}

/// Changes greetings, and nothing else.
#[derive(Default)]
pub(crate) struct Greetings {
    pub fault: Fault,
    /// Set in its middle, when a test wants another change to get ahead.
    pub meanwhile: Mutex<Option<(Arc<Live>, Components)>>,
}

#[async_trait]
impl Reconfigure for Greetings {
    async fn reconfigure(
        &self,
        current: &Components,
        kind: &str,
        name: &str,
        metadata: &Metadata,
    ) -> Result<Option<Components>> {
        self.fault.check()?;
        if let Some((live, components)) = self.meanwhile.lock().take() {
            live.store(Arc::new(components));
        }
        let mut changed = current.clone();
        let hello = changed.hellos.get_mut(name).filter(|_| kind == "hellos");
        let Some(hello) = hello else {
            return Ok(None);
        };
        if let Some(greeting) = metadata.get("hello") {
            hello.greeting = greeting.clone();
        }
        Ok(Some(changed))
    }
}
