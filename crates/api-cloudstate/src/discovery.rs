//! Which services a function has: asked when it is reached, and again when it comes back.

use std::sync::Arc;
use std::time::Duration;

use base::limits;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use wire::cloudstate::entity_discovery_client::EntityDiscoveryClient;
use wire::cloudstate::{EntitySpec, ProxyInfo};

use crate::catalog::Catalog;
use crate::function::Function;
use crate::spec::{Rules, SUPPORTED, Spec};

/// How a function stands, for those who wait for it.
pub trait Watcher: Send + Sync {
    /// It is served: services, and which SDK they are made with.
    fn served(&self, services: &[String], library: &str);

    /// It cannot be reached, or not be served.
    fn waits(&self, why: &str);
}

pub(crate) struct Discovery {
    pub(crate) place: usize,
    pub(crate) function: Function,
    pub(crate) catalog: Catalog,
    pub(crate) rules: Rules,
    pub(crate) watcher: Arc<dyn Watcher>,
    pub(crate) health: HealthReporter,
}

impl Discovery {
    /// Never ends. What was discovered is served until something else is.
    pub(crate) async fn run(self) {
        let mut pause = limits::FUNCTION_PAUSE_MIN;
        let mut served: Option<Served> = None;
        loop {
            match self.ask().await {
                Ok((spec, line)) => {
                    pause = limits::FUNCTION_PAUSE_MIN;
                    let same = |served: &Served| served.spec == spec;
                    let taken = match served.take_if(|served| same(served)) {
                        Some(known) => Ok(known),
                        None => self.take(spec),
                    };
                    // One that is refused is asked again when it was started anew.
                    match taken {
                        Ok(known) => {
                            self.serve(&known, line).await;
                            served = Some(known);
                        }
                        Err(why) => {
                            self.watcher.waits(&why);
                            self.function.report(why);
                            drop(line.await);
                        }
                    }
                    // Some close each connection soon: they are not asked in a circle.
                    tokio::time::sleep(jittered(pause)).await;
                }
                Err(why) => {
                    self.watcher.waits(&why);
                    tokio::time::sleep(jittered(pause)).await;
                    pause = (pause * 2).min(limits::FUNCTION_PAUSE_MAX);
                }
            }
        }
    }

    /// Until its connection ends.
    async fn serve(&self, served: &Served, line: JoinHandle<()>) {
        self.watcher.served(&served.services, &served.library);
        self.publish(served, ServingStatus::Serving).await;
        drop(line.await);
        self.watcher.waits("its connection has ended");
        self.publish(served, ServingStatus::NotServing).await;
    }

    async fn publish(&self, served: &Served, status: ServingStatus) {
        for service in &served.services {
            self.health.set_service_status(service, status).await;
        }
    }

    async fn ask(&self) -> Result<(EntitySpec, JoinHandle<()>), String> {
        let (line, driven) = self.function.line().await.map_err(|error| error.to_string())?;
        let mut client =
            EntityDiscoveryClient::new(line).max_decoding_message_size(limits::FUNCTION_SPEC_BYTES_MAX);
        let asked = client.discover(ProxyInfo {
            protocol_major_version: 0,
            protocol_minor_version: 2,
            proxy_name: "belay".into(),
            proxy_version: env!("CARGO_PKG_VERSION").into(),
            supported_entity_types: SUPPORTED.map(str::to_owned).into(),
        });
        // While it is busy with entities some SDKs answer nothing else.
        let answer = timeout(limits::FUNCTION_DISCOVERY, asked).await;
        let authority = self.function.authority();
        match answer {
            Ok(Ok(spec)) => {
                // The client is what keeps the connection open.
                let spec = spec.into_inner();
                let held = base::task::spawn("user function", async move {
                    drop(driven.await);
                    drop(client);
                });
                Ok((spec, held))
            }
            Ok(Err(status)) => {
                let (code, message) = (status.code(), status.message());
                Err(format!(
                    "user function {authority} does not say what it is: {code:?}: {message}"
                ))
            }
            Err(_) => Err(format!(
                "user function {authority} does not say what it is: no answer in time"
            )),
        }
    }

    /// The error is what those who run the function are told.
    fn take(&self, spec: EntitySpec) -> Result<Served, String> {
        let code = base::codes::FUNCTION_REFUSED.id;
        let refused = |why: String| format!("{code}: {why}");
        let read = Spec::read(&self.function, &spec, &self.rules).map_err(refused)?;
        let (authority, library) = (self.function.authority(), read.library.clone());
        for note in &read.descriptors.notes {
            tracing::info!(function = authority, note, "descriptors were mended");
        }
        let services = read.services.iter().map(|service| service.name.clone());
        let services: Vec<String> = services.collect();
        self.catalog.put(self.place, read, &self.rules).map_err(refused)?;
        tracing::info!(
            function = authority,
            ?services,
            library,
            "a user function is served"
        );
        Ok(Served {
            spec,
            services,
            library,
        })
    }
}

/// What is served of a function.
struct Served {
    spec: EntitySpec,
    services: Vec<String>,
    library: String,
}

/// So that many do not ask at the same time.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + 0.2 * fastrand::f64())
}
