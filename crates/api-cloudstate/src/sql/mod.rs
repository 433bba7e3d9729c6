//! What can be asked about in SQL: what entities store, read from one snapshot of the engine.
//!
//! | file | tables |
//! |---|---|
//! | `entities` | `entities` |
//! | `kept` | `entity_events`, `entity_snapshots`, `entity_values` |
//! | `json` | what a payload is as JSON |
//! | `walk` | how entities are found |

use std::sync::Arc;

use async_trait::async_trait;
use base::Result;
use bytes::Bytes;
use machines::engine::Survey;
use ports::query::listed;
use ports::query::{Column, Filter, Narrows, Page, Table, Tables, View};

use crate::catalog::{Catalog, Now};
use crate::entity::Entities;

mod entities;
mod json;
mod kept;
mod walk;

#[cfg(test)]
mod tests;

/// The tables. A clone shares everything with its original.
#[derive(Clone)]
pub struct Introspection {
    entities: Entities,
    catalog: Catalog,
}

impl Introspection {
    pub(crate) fn new(entities: Entities, catalog: Catalog) -> Introspection {
        Introspection { entities, catalog }
    }
}

/// In this order everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Entities,
    Kept(kept::Part),
}

const NAMES: [(Name, &str); 4] = [
    (Name::Entities, "entities"),
    (Name::Kept(kept::Part::Events), "entity_events"),
    (Name::Kept(kept::Part::Snapshot), "entity_snapshots"),
    (Name::Kept(kept::Part::Value), "entity_values"),
];

impl Name {
    fn columns(self) -> Vec<Column> {
        match self {
            Name::Entities => listed::columns(&entities::COLUMNS, narrows),
            Name::Kept(_) => listed::columns(&kept::COLUMNS, narrows),
        }
    }
}

fn narrows(column: &str) -> Option<Narrows> {
    match column {
        "persistence_id" => Some(Narrows::Service),
        "id" | "entity_id" => Some(Narrows::Key),
        _ => None,
    }
}

impl Tables for Introspection {
    fn tables(&self) -> Vec<Table> {
        let table = |(of, name): &(Name, &'static str)| Table {
            name,
            columns: of.columns(),
        };
        NAMES.iter().map(table).collect()
    }

    fn open(&self) -> Result<Box<dyn View>> {
        let engine = self.entities.engine();
        Ok(Box::new(Moment {
            survey: engine.survey()?,
            served: self.catalog.now(),
            entities: self.entities.clone(),
            now: engine.now().0,
        }))
    }
}

struct Moment {
    survey: Box<dyn Survey>,
    served: Arc<Now>,
    entities: Entities,
    now: u64,
}

#[async_trait]
impl View for Moment {
    async fn scan(&self, table: usize, filter: &Filter, after: Option<&Bytes>) -> Result<Page> {
        match NAMES.get(table) {
            Some((Name::Entities, _)) => entities::scan(self, filter, after).await,
            Some((Name::Kept(part), _)) => kept::scan(self, *part, filter, after).await,
            None => Ok(Page::default()),
        }
    }

    fn now(&self) -> u64 {
        self.now
    }
}
