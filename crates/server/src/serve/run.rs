//! From bound to stopped.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use base::{Error, Result, codes, limits};
use futures::future::join_all;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::accept::{Acceptor, Budget, Lane, Protocol};
use super::endpoints::{Endpoints, EndpointsFile};
use super::grpc::{self, Grpc, Share};
use super::runtimes::{Runtimes, spawn_on};
use super::{Bound, Limits, Shutdown, Web, health, http, listener, web};
use crate::telemetry::{Metrics, Traces};

/// What each listener serves, by its name in the plan.
#[derive(Default)]
pub struct Apps {
    by_name: HashMap<&'static str, App>,
    traces: Option<Traces>,
    serving: Option<Hear>,
    draining: Option<Box<dyn FnOnce() + Send>>,
}

type Hear = Box<dyn FnOnce(&Endpoints) + Send>;

pub enum App {
    /// On every runtime for I/O.
    Grpc(Grpc),
    /// On the administration's runtime: small, rare requests.
    Http(Router),
    /// On every runtime for I/O.
    Web(Web),
}

impl Apps {
    pub fn grpc(mut self, listener: &'static str, grpc: Grpc) -> Apps {
        self.by_name.insert(listener, App::Grpc(grpc));
        self
    }

    pub fn web(mut self, listener: &'static str, web: Web) -> Apps {
        self.by_name.insert(listener, App::Web(web));
        self
    }

    pub fn http(mut self, listener: &'static str, router: Router) -> Apps {
        self.by_name.insert(listener, App::Http(router));
        self
    }

    /// Called once every listener is served, with the addresses in force.
    pub fn serving(mut self, hear: impl FnOnce(&Endpoints) + Send + 'static) -> Apps {
        self.serving = Some(Box::new(hear));
        self
    }

    /// Called when the drain begins, after `serving`: while calls in flight end, administration still answers.
    pub fn draining(mut self, hear: impl FnOnce() + Send + 'static) -> Apps {
        self.draining = Some(Box::new(hear));
        self
    }

    /// Calls are exported as spans.
    pub fn traces(mut self, traces: Option<Traces>) -> Apps {
        self.traces = traces;
        self
    }
}

/// Everything that serves, and the tokens that end it.
struct Serving {
    runtimes: Runtimes,
    limits: Limits,
    /// Clients' listeners and calls.
    drain: CancellationToken,
    /// Administration, which goes on during the drain.
    stop: CancellationToken,
    acceptors: Vec<JoinHandle<()>>,
    servers: Vec<JoinHandle<Result<()>>>,
    admin: Vec<JoinHandle<()>>,
}

impl Bound {
    /// Serves until the shutdown begins, then stops in the order that the module's page gives. An error means that
    /// serving could not begin, or that a server ended by itself; the stop was in order all the same.
    ///
    /// A listener without an app is an error, an app without a listener (because that is off) is not.
    pub async fn run(self, mut apps: Apps, shutdown: Shutdown) -> Result<()> {
        let readiness = self.readiness.clone();
        let (data_dir, endpoints) = (self.data_dir.clone(), self.endpoints.clone());
        let (traces, hear, hear_drain) = (apps.traces.clone(), apps.serving.take(), apps.draining.take());
        let mut serving = self.serve(apps).await?;
        let file = data_dir
            .map(|data_dir| EndpointsFile::write(&data_dir, &endpoints))
            .transpose()?;
        tracing::info!(addresses = ?endpoints.addresses, pid = endpoints.pid, "serving");
        if let Some(hear) = hear {
            hear(&endpoints);
        }

        let outcome = serving.until(&shutdown).await;
        readiness.drain();
        if let Some(hear) = hear_drain {
            hear();
        }
        serving.drain().await;
        shutdown.run_hooks().await;
        serving.stop_administration().await;
        let failed = !readiness.failed().is_empty();
        match file {
            Some(file) if failed => file.leave(),
            _ => drop(file),
        }
        serving.end(traces).await;
        tracing::info!("stopped");
        outcome
    }

    async fn serve(self, mut apps: Apps) -> Result<Serving> {
        let mut serving = Serving {
            runtimes: self.runtimes,
            limits: self.limits,
            drain: CancellationToken::new(),
            stop: CancellationToken::new(),
            acceptors: Vec::new(),
            servers: Vec::new(),
            admin: Vec::new(),
        };
        let names: Vec<String> = apps.by_name.values().flat_map(App::health_names).collect();
        let reporter = grpc::health_reporter(&self.readiness, &names).await;
        let following = health::follow(self.readiness, reporter.clone(), names);
        drop(spawn_on(serving.runtimes.accept(), "health", following));
        for bound in self.sockets {
            let name = bound.listen.name;
            match apps.by_name.remove(name) {
                Some(App::Grpc(grpc)) => {
                    let layer = grpc.layer(
                        &serving.limits,
                        &self.metrics,
                        apps.traces.clone(),
                        serving.drain.clone(),
                    )?;
                    let share = |runtime, dealt, serving: &Serving| Share {
                        grpc: grpc.clone(),
                        runtime,
                        layer: layer.clone(),
                        health: reporter.clone(),
                        dealt,
                        drain: serving.drain.clone(),
                        limits: serving.limits.clone(),
                    };
                    serving.grpc(bound, share, &self.budget, &self.metrics)?;
                }
                Some(App::Http(router)) => serving.http(bound, router, &self.metrics)?,
                Some(App::Web(app)) => serving.web(bound, &app, &self.budget, &self.metrics)?,
                None => {
                    let message = format!("listener {name} has nothing to serve");
                    return Err(Error::new(codes::INTERNAL, message));
                }
            }
        }
        Ok(serving)
    }
}

impl App {
    fn health_names(&self) -> Vec<String> {
        match self {
            App::Grpc(grpc) => grpc.health_names(),
            App::Http(_) | App::Web(_) => Vec::new(),
        }
    }
}

impl Serving {
    fn grpc(
        &mut self,
        bound: listener::Bound,
        share: impl Fn(usize, mpsc::Receiver<super::connection::Accepted>, &Serving) -> Share,
        budget: &Arc<Budget>,
        metrics: &Metrics,
    ) -> Result<()> {
        let mut lanes = Vec::new();
        for (number, runtime) in self.runtimes.io().enumerate() {
            let (queue, dealt) = mpsc::channel(limits::DEALT_CONNECTIONS_MAX);
            lanes.push(Lane::new(queue));
            let share = share(number, dealt, self);
            self.servers.push(spawn_on(runtime, "grpc", share.serve()));
        }
        let acceptor = self.acceptor(bound, Protocol::Grpc, lanes, Some(budget.clone()), metrics)?;
        let running = acceptor.run(self.drain.clone());
        self.acceptors
            .push(spawn_on(self.runtimes.accept(), "accept", running));
        Ok(())
    }

    fn web(
        &mut self,
        bound: listener::Bound,
        app: &Web,
        budget: &Arc<Budget>,
        metrics: &Metrics,
    ) -> Result<()> {
        let mut lanes = Vec::new();
        for runtime in self.runtimes.io() {
            let (queue, dealt) = mpsc::channel(limits::DEALT_CONNECTIONS_MAX);
            lanes.push(Lane::new(queue));
            let serving = web::serve(app.clone(), self.limits.clone(), dealt, self.drain.clone());
            self.servers.push(spawn_on(runtime, "web", serving));
        }
        let acceptor = self.acceptor(bound, Protocol::Http, lanes, Some(budget.clone()), metrics)?;
        let running = acceptor.run(self.drain.clone());
        self.acceptors
            .push(spawn_on(self.runtimes.accept(), "accept", running));
        Ok(())
    }

    /// Administrators have connections of their own, however many the clients have.
    fn http(&mut self, mut bound: listener::Bound, router: Router, metrics: &Metrics) -> Result<()> {
        let (queue, dealt) = mpsc::channel(limits::DEALT_CONNECTIONS_MAX);
        bound.listen.connections_max = bound.listen.connections_max.min(limits::ADMIN_CONNECTIONS_MAX);
        let serving = http::serve(router, dealt, self.stop.clone());
        self.admin.push(spawn_on(self.runtimes.admin(), "http", serving));
        let acceptor = self.acceptor(bound, Protocol::Http, vec![Lane::new(queue)], None, metrics)?;
        let running = acceptor.run(self.stop.clone());
        self.admin
            .push(spawn_on(self.runtimes.accept(), "accept", running));
        Ok(())
    }

    fn acceptor(
        &self,
        bound: listener::Bound,
        protocol: Protocol,
        lanes: Vec<Lane>,
        budget: Option<Arc<Budget>>,
        metrics: &Metrics,
    ) -> Result<Acceptor> {
        let name = bound.listen.name;
        let _inside = self.runtimes.accept().enter();
        Acceptor::new(bound, protocol, lanes, budget, metrics).map_err(|cause| {
            Error::new(
                codes::INTERNAL,
                format!("listener {name} cannot be served: {cause}"),
            )
            .because(cause)
        })
    }

    /// Waits for the wish to stop. A server that ends before it is an error, and a reason to stop.
    async fn until(&mut self, shutdown: &Shutdown) -> Result<()> {
        let mut servers: FuturesUnordered<_> = self.servers.iter_mut().collect();
        tokio::select! {
            () = shutdown.begun() => Ok(()),
            Some(ended) = servers.next() => {
                shutdown.begin();
                Err(match ended {
                    Ok(Ok(())) => Error::new(codes::INTERNAL, "a server ended by itself"),
                    Ok(Err(error)) => error,
                    Err(cause) => Error::new(codes::INTERNAL, "a server ended in a panic").because(cause),
                })
            }
        }
    }

    async fn drain(&mut self) {
        self.drain.cancel();
        join_all(self.acceptors.drain(..)).await;
        let servers = self.servers.drain(..).filter(|server| !server.is_finished());
        let drained = tokio::time::timeout(self.limits.drain_deadline, join_all(servers)).await;
        if drained.is_err() {
            tracing::warn!(
                deadline = ?self.limits.drain_deadline,
                "calls were still in flight at the drain's deadline and are cut"
            );
        }
    }

    async fn stop_administration(&mut self) {
        self.stop.cancel();
        let stopped = tokio::time::timeout(limits::STOP_HOOK_DEADLINE, join_all(self.admin.drain(..))).await;
        if stopped.is_err() {
            tracing::warn!("an administrative request was still in flight and is cut");
        }
    }

    /// Blocks for a moment, which must not be felt by whatever else runs where `run` was called.
    async fn end(self, traces: Option<Traces>) {
        let ending = tokio::task::spawn_blocking(move || {
            if let Some(traces) = traces {
                traces.stop();
            }
            self.runtimes.stop();
        });
        if ending.await.is_err() {
            tracing::error!("the runtimes ended in a panic");
        }
    }
}
