//! The Restate family: durable execution for its SDKs.
//!
//! | file | what |
//! |---|---|
//! | `ingress` | calls from outside, and what belongs to invocations |
//! | `admin` | deployments, services and invocations, for people and tools |
//! | `sql` | what can be asked about in SQL |
//! | `registry` | which user code there is, and what holds for it |
//! | `talk` | one attempt of an invocation: a request to its deployment |
//! | `places` | how many attempts go on at once |
//! | `conversation` | what is said in an attempt, in the protocol that was chosen |
//! | `generation` | what is different between versions 1, 2 and versions 5 to 7 |
//! | `speaker` | what user code can mean, in all versions |
//! | `appended` | messages of versions 5 to 7 |
//! | `filled` | messages of versions 1 and 2 |
//! | `frame` | frames of all versions |
//! | `endpoint` | connections to deployments |
//! | `manifest` | what a deployment says it has |
//! | `id` | names of invocations, awakeables and deployments |
//! | `version` | versions of the service protocol |
//!
//! What an invocation does is in `machines::invocation`.

use std::sync::Arc;

use base::Result;
use machines::Engine;
use machines::invocation::rows::Target;

mod admin;
mod appended;
mod conversation;
mod defaults;
mod endpoint;
mod filled;
mod frame;
mod generation;
mod id;
mod identity;
mod ingress;
mod manifest;
mod places;
mod prefix;
mod registry;
mod span;
mod speaker;
mod sql;
mod talk;
mod version;

#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
#[cfg(test)]
mod tests;

pub use admin::Admin;
pub use defaults::{Defaults, Retry};
pub use identity::Identity;
pub use ingress::Ingress;
pub use sql::Introspection;
pub use talk::Talker;
pub use version::Version;

use registry::Registry;

/// The family as one value. A clone shares everything with its original.
#[derive(Clone)]
pub struct Service {
    pub ingress: Ingress,
    pub admin: Admin,
    /// What can be asked about in SQL.
    pub tables: Introspection,
}

impl Service {
    /// Reads what was registered at earlier starts, and lets the talker begin.
    pub async fn start(engine: Arc<dyn Engine>, defaults: Defaults, talker: &Talker) -> Result<Service> {
        let registry = Registry::start(engine.clone(), defaults).await?;
        talker.begin(registry.clone());
        Ok(Service {
            ingress: Ingress {
                engine: engine.clone(),
                registry: registry.clone(),
            },
            tables: Introspection::new(engine.clone(), registry.clone()),
            admin: Admin::new(engine, registry, talker.clone()),
        })
    }
}

/// `Service/handler`, or `Object/key/handler`.
pub(crate) fn target_text(target: &Target) -> String {
    if target.key.is_empty() {
        format!("{}/{}", target.service, target.handler)
    } else {
        format!("{}/{}/{}", target.service, target.key, target.handler)
    }
}
