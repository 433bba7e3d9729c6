//! Which name is which type in which store. Names are one space for all types, durable, and never change their type or store.

use std::collections::HashMap;
use std::sync::Arc;

use base::{Error, Result, codes, limits};
use machines::primitive::{Type, value};
use machines::{Address, Call, Engine, Question, Stored};
use parking_lot::RwLock;

use crate::service::Target;
use crate::stores::{Cache, StoreId, Stores};

pub(crate) struct Primitives {
    engine: Arc<dyn Engine>,
    stores: Arc<Stores>,
    /// Names that were used since the start, a bounded number of them.
    known: RwLock<HashMap<String, Known>>,
}

#[derive(Clone)]
struct Known {
    primitive: Type,
    store: StoreId,
    address: Address,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Row {
    #[prost(uint32, tag = "1")]
    primitive: u32,
    #[prost(string, tag = "2")]
    store_namespace: String,
    #[prost(string, tag = "3")]
    store: String,
}

impl Stored for Row {}

impl Primitives {
    pub(crate) fn new(engine: Arc<dyn Engine>, stores: Arc<Stores>) -> Primitives {
        Primitives {
            engine,
            stores,
            known: RwLock::default(),
        }
    }

    /// Creates a primitive, or finds the one that is there.
    ///
    /// Errors: `PRIMITIVE_TYPE`; `ROUTE_MISSING` and `STORE_UNREACHABLE`, which pass when a controller has done its work.
    pub(crate) async fn create(
        &self,
        name: &str,
        primitive: Type,
        tags: &[String],
    ) -> Result<(Target, Option<Cache>)> {
        check_name(name)?;
        let (store, cache) = self.stores.route(primitive, name, tags)?;
        let known = match self.look_up(name).await? {
            Some(known) => known,
            None => {
                self.stores.engine(&store)?;
                self.register(name, primitive, store).await?
            }
        };
        let target = self.target(name, &known, primitive)?;
        Ok((target, cache))
    }

    /// Errors: `PRIMITIVE_UNKNOWN`, `PRIMITIVE_TYPE`, `STORE_UNREACHABLE`.
    pub(crate) async fn find(&self, name: &str, primitive: Type) -> Result<Target> {
        if let Some(known) = self.known.read().get(name) {
            return self.target(name, known, primitive);
        }
        let known = self.look_up(name).await?.ok_or_else(|| {
            let message = format!("no primitive {name} was created");
            Error::new(codes::PRIMITIVE_UNKNOWN, message)
        })?;
        self.target(name, &known, primitive)
    }

    /// Whatever type it has; `None` when nobody has created it.
    pub(crate) async fn find_any(&self, name: &str) -> Result<Option<(Target, Type)>> {
        check_name(name)?;
        let known = self.look_up(name).await?;
        let found = known.map(|known| Ok((self.target(name, &known, known.primitive)?, known.primitive)));
        found.transpose()
    }

    fn target(&self, name: &str, known: &Known, primitive: Type) -> Result<Target> {
        if known.primitive != primitive {
            let message = format!(
                "{name} is a {}, not a {}",
                known.primitive.name(),
                primitive.name()
            );
            return Err(Error::new(codes::PRIMITIVE_TYPE, message));
        }
        Ok(Target {
            engine: self.stores.engine(&known.store)?,
            address: known.address.clone(),
        })
    }

    async fn look_up(&self, name: &str) -> Result<Option<Known>> {
        if let Some(known) = self.known.read().get(name) {
            return Ok(Some(known.clone()));
        }
        match value::Query::Get.ask(&*self.engine, &address(name)).await {
            Ok(value::Reply::Found(found)) => Ok(Some(self.learn(name, &Row::from_row(&found.value)?)?)),
            Ok(_) => Ok(None),
            Err(error) if error.code() == codes::ENTRY_NOT_FOUND => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn register(&self, name: &str, primitive: Type, store: StoreId) -> Result<Known> {
        let row = Row {
            primitive: primitive.number(),
            store_namespace: store.namespace,
            store: store.name,
        };
        let insert = value::Command::Insert {
            value: row.to_row(),
            ttl: None,
        };
        match insert.call(&*self.engine, &address(name)).await {
            Ok(_) => self.learn(name, &row),
            // Somebody else was first.
            Err(error) if error.code() == codes::ENTRY_EXISTS => {
                let known = self.look_up(name).await?;
                known.ok_or_else(|| Error::new(codes::INTERNAL, "a name came and went"))
            }
            Err(error) => Err(error),
        }
    }

    fn learn(&self, name: &str, row: &Row) -> Result<Known> {
        let primitive = Type::of_number(row.primitive).ok_or_else(|| {
            let message = format!("{name} has the type {}, which a later Belay knows", row.primitive);
            Error::new(codes::STORED_ROW_UNREADABLE, message)
        })?;
        let store = StoreId {
            namespace: row.store_namespace.clone(),
            name: row.store.clone(),
        };
        let known = Known {
            primitive,
            address: Address::primitive(&format!("{}/{}", store.namespace, store.name), name),
            store,
        };
        let mut names = self.known.write();
        if names.len() >= limits::PRIMITIVES_KNOWN_MAX {
            names.clear();
        }
        names.insert(name.to_owned(), known.clone());
        Ok(known)
    }
}

fn address(name: &str) -> Address {
    Address::primitive("\0atomix/names", name)
}

/// A name is part of every row of its primitive.
fn check_name(name: &str) -> Result<()> {
    if name.len() <= limits::PRIMITIVE_NAME_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "a primitive's name has {} bytes, it may have {}",
        name.len(),
        limits::PRIMITIVE_NAME_BYTES_MAX
    );
    Err(Error::new(codes::INVALID_ARGUMENT, message))
}

/// For fuzzers.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn decode_any(row: &bytes::Bytes) {
    let _ = Row::from_row(row);
}
