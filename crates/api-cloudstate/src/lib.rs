//! The Cloudstate family: user functions with entities and actions.
//!
//! | file | what |
//! |---|---|
//! | `front` | the user's own services, for their clients: gRPC, gRPC-Web, HTTP/JSON |
//! | `routing` | where a command goes, and what follows from its answer: effects, forwards |
//! | `entity` | active entities |
//! | `action` | calls without state |
//! | `discovery` | what a user function says it has |
//! | `spec` | what of that can be served |
//! | `catalog` | everything that is served now |
//! | `sql` | what can be asked about in SQL |
//! | `function` | connections to a user function, and reports to it |
//! | `transcode` | descriptors, and messages as JSON |
//! | `error` | what clients see when a command fails |
//!
//! What an entity stores is in `machines::entity`.

use std::sync::Arc;

use base::task;
use machines::Engine;
use tonic_health::server::HealthReporter;

mod action;
mod catalog;
mod discovery;
mod entity;
mod error;
mod front;
mod function;
mod routing;
mod spec;
mod sql;
mod transcode;

#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
#[cfg(test)]
mod tests;

pub use discovery::Watcher;
pub use front::FrontDoor;
pub use spec::Rules;
pub use sql::Introspection;

use catalog::Catalog;
use discovery::Discovery;
use entity::Entities;
use function::Function;
use routing::Router;

/// The family as one value. A clone shares everything with its original.
#[derive(Clone)]
pub struct Service {
    pub front: FrontDoor,
    /// What can be asked about in SQL.
    pub tables: Introspection,
    entities: Entities,
}

impl Service {
    /// Asks each function, `host:port`, what it has, on this runtime and for as long as it lives.
    pub fn start(
        engine: Arc<dyn Engine>,
        rules: Rules,
        functions: Vec<(String, Arc<dyn Watcher>)>,
    ) -> Service {
        let catalog = Catalog::new();
        let entities = Entities::over(engine);
        let health = HealthReporter::new();
        let router = Router::new(catalog.clone(), entities.clone(), rules.clone());
        for (place, (authority, watcher)) in functions.into_iter().enumerate() {
            let discovery = Discovery {
                place,
                function: Function::at(&authority),
                catalog: catalog.clone(),
                rules: rules.clone(),
                watcher,
                health: health.clone(),
            };
            drop(task::spawn("discovery", discovery.run()));
        }
        Service {
            front: FrontDoor::new(router, health),
            tables: Introspection::new(entities.clone(), catalog),
            entities,
        }
    }

    /// Entities that are active.
    pub fn active(&self) -> usize {
        self.entities.count()
    }
}
