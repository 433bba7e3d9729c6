//! Stores and routes. Both are durable: a restart is invisible.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use base::{Error, Result, codes, limits, task};
use bytes::Bytes;
use machines::primitive::{Type, value};
use machines::{Address, Call, Engine, Question, Stored};
use tokio::sync::Mutex;

mod routes;
mod rows;

#[cfg(any(test, feature = "fuzz"))]
pub(crate) use routes::choose;
pub(crate) use routes::{Cache, Route, Rule};

/// A store's name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId {
    pub namespace: String,
    pub name: String,
}

/// Opens stores: how this family reaches drivers without knowing one.
///
/// Errors: what the driver says; `DRIVER_UNKNOWN`.
#[async_trait]
pub trait Opener: Send + Sync {
    /// `settings` is JSON text, or empty.
    async fn open(&self, id: &StoreId, driver: &Driver, settings: &Bytes) -> Result<Arc<dyn Engine>>;
}

/// A driver as requests name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Driver {
    pub name: String,
    pub version: String,
}

/// A store that a controller has connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Connected {
    pub(crate) driver: Driver,
    pub(crate) settings: Bytes,
}

/// A connected store, for people.
#[derive(Clone, Debug)]
pub struct Listed {
    pub id: StoreId,
    pub driver: Driver,
    /// `false`: it could not be opened yet.
    pub open: bool,
}

/// What is durable.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    pub(crate) stores: BTreeMap<StoreId, Connected>,
    pub(crate) routes: Vec<Route>,
}

pub(crate) struct Stores {
    engine: Arc<dyn Engine>,
    opener: Arc<dyn Opener>,
    strict: bool,
    now: ArcSwap<Now>,
    changing: Mutex<()>,
}

#[derive(Clone, Default)]
struct Now {
    plan: Plan,
    /// Stores that are open.
    engines: BTreeMap<StoreId, Arc<dyn Engine>>,
}

/// The store that is there without anybody connecting one.
fn built_in() -> StoreId {
    StoreId {
        namespace: String::new(),
        name: "default".into(),
    }
}

fn address() -> Address {
    Address::primitive("\0atomix", "plan")
}

impl Stores {
    pub(crate) async fn start(
        engine: Arc<dyn Engine>,
        opener: Arc<dyn Opener>,
        strict: bool,
    ) -> Result<Arc<Stores>> {
        let plan = match value::Query::Get.ask(&*engine, &address()).await {
            Ok(value::Reply::Found(found)) => rows::Plan::from_row(&found.value)?.into(),
            Ok(_) => Plan::default(),
            Err(error) if error.code() == codes::ENTRY_NOT_FOUND => Plan::default(),
            Err(error) => return Err(error),
        };
        let mut engines = BTreeMap::new();
        if !strict {
            engines.insert(built_in(), engine.clone());
        }
        let stores = Arc::new(Stores {
            engine,
            opener,
            strict,
            now: ArcSwap::from_pointee(Now { plan, engines }),
            changing: Mutex::default(),
        });
        if !stores.open_missing().await {
            drop(task::spawn("stores", stores.clone().keep_opening()));
        }
        Ok(stores)
    }

    /// The store of that name.
    ///
    /// Errors: `STORE_UNREACHABLE` when it is not connected, or not yet.
    pub(crate) fn engine(&self, id: &StoreId) -> Result<Arc<dyn Engine>> {
        let now = self.now.load();
        now.engines.get(id).cloned().ok_or_else(|| {
            let message = format!("the store {} is not connected", id.name);
            Error::new(codes::STORE_UNREACHABLE, message)
        })
    }

    /// Where a primitive that is created now belongs, and how clients should cache it.
    pub(crate) fn route(
        &self,
        primitive: Type,
        name: &str,
        tags: &[String],
    ) -> Result<(StoreId, Option<Cache>)> {
        let now = self.now.load();
        if now.plan.routes.is_empty() && !self.strict {
            return Ok((built_in(), None));
        }
        let (store, config) = routes::choose(&now.plan.routes, primitive, name, tags).ok_or_else(|| {
            let message = format!("no route leads to a store for the {} {name}", primitive.name());
            Error::new(codes::ROUTE_MISSING, message)
        })?;
        Ok((store.clone(), config.map(Cache::parse).transpose()?.flatten()))
    }

    pub(crate) async fn program(&self, routes: Vec<Route>) -> Result<()> {
        let _changing = self.changing.lock().await;
        let mut plan = self.now.load().plan.clone();
        if plan.routes == routes {
            return Ok(());
        }
        if !plan.routes.is_empty() {
            let message = "the routes are programmed already, and stay as they are";
            return Err(Error::new(codes::ROUTES_PROGRAMMED, message));
        }
        plan.routes = routes;
        self.store(plan, |_| {}).await
    }

    pub(crate) async fn connect(&self, id: StoreId, connected: Connected) -> Result<()> {
        let _changing = self.changing.lock().await;
        let mut plan = self.now.load().plan.clone();
        if plan.stores.contains_key(&id) {
            let message = format!("the store {} is connected already", id.name);
            return Err(Error::new(codes::STORE_CONNECTED, message));
        }
        if plan.stores.len() >= limits::STORES_MAX {
            let message = format!("{} stores are connected already", plan.stores.len());
            return Err(Error::new(codes::TOO_MANY_REQUESTS, message));
        }
        let engine = self
            .opener
            .open(&id, &connected.driver, &connected.settings)
            .await?;
        plan.stores.insert(id.clone(), connected);
        self.store(plan, |engines| drop(engines.insert(id, engine))).await
    }

    pub(crate) async fn configure(&self, id: StoreId, settings: Bytes) -> Result<()> {
        let _changing = self.changing.lock().await;
        let mut plan = self.now.load().plan.clone();
        let connected = plan.stores.get_mut(&id).ok_or_else(|| not_connected(&id))?;
        if connected.settings == settings {
            return Ok(());
        }
        let engine = self.opener.open(&id, &connected.driver, &settings).await?;
        connected.settings = settings;
        self.store(plan, |engines| drop(engines.insert(id, engine))).await
    }

    pub(crate) async fn disconnect(&self, id: &StoreId) -> Result<()> {
        let _changing = self.changing.lock().await;
        let mut plan = self.now.load().plan.clone();
        plan.stores.remove(id).ok_or_else(|| not_connected(id))?;
        self.store(plan, |engines| drop(engines.remove(id))).await
    }

    /// Stores in order of their names, and whether each is open.
    pub(crate) fn list(&self) -> Vec<Listed> {
        let now = self.now.load();
        let listed = |(id, connected): (&StoreId, &Connected)| Listed {
            id: id.clone(),
            driver: connected.driver.clone(),
            open: now.engines.contains_key(id),
        };
        now.plan.stores.iter().map(listed).collect()
    }

    /// Durable first, in force then.
    async fn store(
        &self,
        plan: Plan,
        change: impl FnOnce(&mut BTreeMap<StoreId, Arc<dyn Engine>>),
    ) -> Result<()> {
        let set = value::Command::Set {
            value: rows::Plan::from(&plan).to_row(),
            ttl: None,
        };
        set.call(&*self.engine, &address()).await?;
        let mut engines = self.now.load().engines.clone();
        change(&mut engines);
        self.now.store(Arc::new(Now { plan, engines }));
        Ok(())
    }

    /// Whether every store is open now.
    async fn open_missing(&self) -> bool {
        let _changing = self.changing.lock().await;
        let mut now = Now::clone(&self.now.load());
        let mut all = true;
        for (id, connected) in &now.plan.stores {
            if now.engines.contains_key(id) {
                continue;
            }
            match self.opener.open(id, &connected.driver, &connected.settings).await {
                Ok(engine) => drop(now.engines.insert(id.clone(), engine)),
                Err(error) => {
                    tracing::warn!(store = id.name, code = error.code().id, %error, "a store is not open yet");
                    all = false;
                }
            }
        }
        self.now.store(Arc::new(now));
        all
    }

    async fn keep_opening(self: Arc<Stores>) {
        let mut pause = limits::STORE_PAUSE_MIN;
        loop {
            tokio::time::sleep(pause).await;
            if self.open_missing().await {
                return;
            }
            pause = (pause * 2).min(limits::STORE_PAUSE_MAX);
        }
    }
}

fn not_connected(id: &StoreId) -> Error {
    Error::new(
        codes::STORE_NOT_CONNECTED,
        format!("the store {} is not connected", id.name),
    )
}

/// For fuzzers.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn decode_any(row: &Bytes) {
    let _ = rows::Plan::from_row(row).map(Plan::from);
}

/// The row of a plan with one store and those routes.
#[cfg(test)]
pub(crate) fn sample(routes: Vec<Route>) -> Bytes {
    let connected = Connected {
        driver: Driver::default(),
        settings: Bytes::from_static(b"{}"),
    };
    let stores = BTreeMap::from([(built_in(), connected)]);
    rows::Plan::from(&Plan { stores, routes }).to_row()
}
