//! `spec.proto.runtime.v1.Lifecycle`: one component under other settings, without a restart (spec 5).

use std::sync::Arc;

use ports::Metadata;
use tokio::sync::Mutex;
use tonic::{Request, Response, Status};
use wire::layotto as pb;

use crate::components::{Live, Reconfigure};
use crate::{convert, error};

#[cfg(test)]
mod tests;

#[derive(Clone)]
pub(crate) struct Lifecycle {
    live: Arc<Live>,
    reconfigure: Arc<dyn Reconfigure>,
    /// One change at a time: each starts from what the one before it has left.
    turn: Arc<Mutex<()>>,
}

/// What a request asks for, checked.
struct Change {
    kind: String,
    name: String,
    metadata: Metadata,
}

impl Lifecycle {
    pub(crate) fn new(live: Arc<Live>, reconfigure: Arc<dyn Reconfigure>) -> Lifecycle {
        Lifecycle {
            live,
            reconfigure,
            turn: Arc::default(),
        }
    }

    /// Opens the changed component, then puts it in force. Dropping the call before that leaves all as it was.
    async fn apply(&self, change: &Change) -> Result<(), Status> {
        let _turn = self.turn.lock().await;
        let current = self.live.load_full();
        let changed = self
            .reconfigure
            .reconfigure(&current, &change.kind, &change.name, &change.metadata)
            .await
            .map_err(|error| error::lifecycle::component(&error))?
            .ok_or_else(|| error::lifecycle::no_component(&change.kind, &change.name))?;
        let found = self.live.compare_and_swap(&current, Arc::new(changed));
        if !Arc::ptr_eq(&found, &current) {
            return Err(error::lifecycle::changed_elsewhere());
        }
        tracing::info!(
            kind = change.kind,
            name = change.name,
            "a component was reconfigured"
        );
        Ok(())
    }
}

impl Change {
    fn check(request: pb::DynamicConfiguration) -> Result<Change, Status> {
        let config = request.component_config.unwrap_or_default();
        let fields = [
            ("kind", config.kind.is_empty()),
            ("name", config.name.is_empty()),
            ("metadata", config.metadata.is_empty()),
        ];
        if let Some((field, _)) = fields.iter().find(|(_, empty)| *empty) {
            return Err(error::lifecycle::field_missing(field));
        }
        Ok(Change {
            kind: config.kind,
            name: config.name,
            metadata: convert::metadata(config.metadata),
        })
    }
}

#[tonic::async_trait]
impl pb::lifecycle_server::Lifecycle for Lifecycle {
    async fn apply_configuration(
        &self,
        request: Request<pb::DynamicConfiguration>,
    ) -> Result<Response<pb::ApplyConfigurationResponse>, Status> {
        let change = Change::check(request.into_inner())?;
        self.apply(&change).await?;
        Ok(Response::new(pb::ApplyConfigurationResponse {}))
    }
}
