//! The one composition root: from a configuration to a running process, in reading order.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use api_layotto::components::{Components, Live};
use base::task::Tasks;
use base::{Error, Result, codes};
use drivers::derived::{Progress, Upkeep};
use ports::query::Tables;
use ports::{Context, Registry};
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use crate::admin::actuator::{self, Actuator};
use crate::admin::readiness::Weight;
use crate::admin::{About, Admin, Readiness};
use crate::config::Config;
use crate::serve::{self, Apps, Endpoints, Shutdown, spawn_on};
use crate::telemetry::{Metrics, Traces, log};

mod atomix;
mod cloudstate;
mod components;
mod engine;
mod hosts;
mod layotto;
mod listeners;
mod partitions;
mod reconfigure;
mod restate;
mod sql;
mod topics;

use components::Opener;
use hosts::Hosts;
use listeners::Families;
use reconfigure::Composer;

/// How often derived components tidy up when nothing is left over, and the pause between steps when something is.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(30);
const UPKEEP_PACE: Duration = Duration::from_millis(20);

/// Runs until it is asked to stop, or has to. `serving` hears the addresses once every one of them takes connections.
///
/// Errors: whatever keeps it from starting, with its code; `ENGINE_STOPPED` when a write to the data directory has failed.
pub fn run(
    config: Config,
    registry: Registry,
    serving: impl FnOnce(&Endpoints) + Send + 'static,
) -> Result<()> {
    let log = log::start(&config.telemetry.log)?;
    let (metrics, readiness, shutdown) = (Metrics::new(), Readiness::default(), Shutdown::default());
    let bound = serve::bind(listeners::plan(&config, &metrics, &readiness))?;
    bound.stop_on_signals(&shutdown)?;

    let engine_part = readiness.part("engine", Weight::Essential);
    let engine = engine::open(&config, &metrics)?;
    engine_part.ready();
    drop(spawn_on(
        bound.runtimes().admin(),
        "engine watch",
        engine::end_with(engine.clone(), engine_part, shutdown.clone()),
    ));

    let tasks = Tasks::default();
    let context = Context {
        clock: engine.clock(),
        engine: engine.clone(),
        tasks: tasks.clone(),
        primitives: None,
    };
    let mut opener = Opener { registry, context };
    let io = first_io(&bound)?;
    let talker = restate::talker(&config.restate)?;
    let runtimes = bound.runtimes().io().cloned().collect();
    let hosts = Hosts::new(opener.clone(), runtimes, &config, Arc::new(talker.clone()));
    let atomix = on(&io, atomix::start(config.clone(), hosts.clone()))??;
    let restate = on(&io, restate::start(config.restate.clone(), hosts.clone(), talker))??;
    let cloudstate = on(
        &io,
        cloudstate::start(config.clone(), hosts.clone(), readiness.clone()),
    )??;
    opener.context.primitives = Some(Arc::new(atomix.face()));
    let (config, components, upkeep) = on(&io, open_all(opener.clone(), config))??;
    topics::measure(&upkeep, &metrics);
    partitions::measure(&hosts, &metrics);
    cloudstate::measure(&cloudstate, &metrics);
    drop(spawn_on(&io, "component upkeep", keep_up(upkeep)));

    let live = Arc::new(Live::from_pointee(components));
    let composer = Composer {
        opener,
        configured: Mutex::new(config.components.clone()),
    };
    let consumer = layotto::consume(&config, live.clone(), &readiness, &io)?;
    let families = families(&config, live, composer, (&atomix, &restate, &cloudstate));
    shutdown.hook("partitions", move || async move { hosts.close() });
    shutdown.hook("tasks", move || async move { tasks.ended().await });
    if let Some(consumer) = consumer {
        shutdown.hook("subscriptions", move || consumer.stop());
    }

    let about = About::this_binary();
    let actuator = actuator(&config, about.clone(), log);
    let admin = Admin {
        about,
        readiness,
        metrics,
    };
    let traces = start_traces(&config, bound.runtimes().admin())?;
    let apps = listeners::apps(&config, families, admin, actuator.router()).traces(traces);
    let apps = followed(apps, &actuator, serving);
    let outcome = main_runtime()?.block_on(bound.run(apps, shutdown));
    engine::check(&engine).and(outcome)
}

/// With everybody told who waits for the start and the stop.
fn followed(apps: Apps, actuator: &Actuator, serving: impl FnOnce(&Endpoints) + Send + 'static) -> Apps {
    let (started, stopping) = (actuator.process(), actuator.process());
    let apps = apps.serving(move |endpoints| {
        started.up();
        serving(endpoints);
    });
    apps.draining(move || stopping.stopped("shutdown"))
}

fn families(
    config: &Config,
    live: Arc<Live>,
    composer: Composer,
    (atomix, restate, cloudstate): (
        &api_atomix::Service,
        &api_restate::Service,
        &api_cloudstate::Service,
    ),
) -> Families {
    let tables: Vec<Arc<dyn Tables>> = vec![
        Arc::new(restate.tables.clone()),
        Arc::new(cloudstate.tables.clone()),
    ];
    let restate_admin = sql::answered(restate.admin.clone(), tables);
    Families {
        layotto: layotto::grpc(config, live, Arc::new(composer)),
        primitives: atomix::primitives(config, atomix),
        control: atomix::control(atomix),
        ingress: restate::ingress(restate),
        functions: cloudstate::front_door(cloudstate),
        admin: atomix::admin(atomix).merge(restate_admin.router()),
    }
}

async fn open_all(opener: Opener, mut config: Config) -> Result<(Config, Components, Vec<Upkeep>)> {
    let (components, upkeep) = opener.open_all(&mut config).await?;
    Ok((config, components, upkeep))
}

fn first_io(bound: &serve::Bound) -> Result<Handle> {
    let first = bound.runtimes().io().next().cloned();
    first.ok_or_else(|| Error::new(codes::INTERNAL, "there is no runtime for I/O"))
}

/// Waits on this thread for work on that runtime: what it spawns stays there.
fn on<F>(runtime: &Handle, future: F) -> Result<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let task = spawn_on(runtime, "composition", future);
    let ended = main_runtime()?.block_on(task);
    ended.map_err(|cause| Error::new(codes::INTERNAL, "opening the components panicked").because(cause))
}

fn main_runtime() -> Result<tokio::runtime::Runtime> {
    let failed = |cause| Error::new(codes::INTERNAL, "a runtime cannot be started").because(cause);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)
}

/// Small steps for ever. What one component cannot do now it can do the next time.
async fn keep_up(upkeep: Vec<Upkeep>) {
    loop {
        let mut pause = UPKEEP_INTERVAL;
        for component in &upkeep {
            match component.step().await {
                Ok(Progress::Done) => {}
                Ok(Progress::More) => pause = UPKEEP_PACE,
                Err(error) => tracing::warn!(code = error.code().id, %error, "a component was not tidied up"),
            }
        }
        tokio::time::sleep(pause).await;
    }
}

fn start_traces(config: &Config, runtime: &Handle) -> Result<Option<Traces>> {
    let Some(otlp) = &config.telemetry.otlp else {
        return Ok(None);
    };
    let app = config
        .apps
        .first()
        .map(|app| app.id.clone())
        .filter(|id| !id.is_empty());
    Traces::start(otlp, app.as_deref().unwrap_or("belay"), runtime).map(Some)
}

/// Components under the names that the reference's probes know, where the configuration was the reference's.
fn actuator(config: &Config, about: About, log: log::Control) -> Actuator {
    let actuator = Actuator::new(about, Some(log));
    for component in &config.components {
        let Some(kind) = reference_kind(&component.driver) else {
            continue;
        };
        for section in ["config_store", "lock", "sequencer", "file"] {
            let serves = |port| {
                component
                    .ports
                    .as_ref()
                    .is_none_or(|ports| ports.iter().any(|own| own.port() == port))
            };
            if reconfigure::port(section).is_some_and(serves)
                && let Some(name) = actuator::name(section, kind)
            {
                actuator.component(name).up();
            }
        }
    }
    actuator
}

/// What the reference calls components on that driver.
fn reference_kind(driver: &str) -> Option<&'static str> {
    match driver {
        "embedded" | "memory" => Some("in-memory"),
        "local-file" => Some("local"),
        _ => None,
    }
}
