//! The family as one value that a listener mounts.

use std::sync::Arc;

use base::limits;
use tonic::service::RoutesBuilder;
use wire::layotto::lifecycle_server::LifecycleServer;
use wire::layotto::runtime_server::RuntimeServer;

use crate::components::{Live, Reconfigure};
use crate::lifecycle::Lifecycle;
use crate::oversize::Oversize;
use crate::sequencer::Segments;

/// What handlers stand on. A clone shares everything with its original: each runtime thread mounts its own, so that calls
/// of one thread do not count references in another's cache.
#[derive(Clone)]
pub struct Service {
    pub(crate) live: Arc<Live>,
    pub(crate) segments: Arc<Segments>,
    lifecycle: Lifecycle,
    message_bytes_max: usize,
}

/// The services of this family: `spec.proto.runtime.v1.Runtime` and `.Lifecycle`.
///
/// `live` is read by every call and replaced by `ApplyConfiguration`, which asks `reconfigure` for what to put there.
/// `message_bytes_max` is the largest message taken, [`limits::MESSAGE_BYTES_MAX`] unless configured.
pub fn services(live: Arc<Live>, reconfigure: Arc<dyn Reconfigure>, message_bytes_max: usize) -> Service {
    Service {
        segments: Arc::new(Segments::new(limits::SEQUENCE_SEGMENTS_MAX)),
        lifecycle: Lifecycle::new(Arc::clone(&live), reconfigure),
        live,
        message_bytes_max,
    }
}

impl Service {
    /// Adds the services to a listener's routes, with the limits of this family.
    pub fn mount(&self, routes: &mut RoutesBuilder) {
        let runtime = RuntimeServer::new(self.clone());
        let lifecycle = LifecycleServer::new(self.lifecycle.clone());
        routes
            .add_service(Oversize::new(
                runtime.max_decoding_message_size(self.message_bytes_max),
            ))
            .add_service(Oversize::new(
                lifecycle.max_decoding_message_size(self.message_bytes_max),
            ));
    }
}
