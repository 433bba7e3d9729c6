//! `GetNextId` (spec 3.11).
//!
//! A STRONG id is one reservation in the store. WEAK ids come from a segment that was reserved at once, so most of them cost
//! no call at all. Both reserve from the same sequence, so no id is handed out twice in any mix, and a STRONG id is larger
//! than every id before it.

use std::sync::Arc;

use ports::sequencer::Sequencer;
use tonic::Status;
use wire::layotto as pb;
use wire::layotto::sequencer_options::AutoIncrement;

use crate::components::Components;
use crate::keys::Layout;
use crate::service::Service;
use crate::{error, keys};

mod segments;

#[cfg(test)]
mod tests;

pub(crate) use segments::Segments;

pub(crate) async fn next_id(
    service: &Service,
    request: pb::GetNextIdRequest,
) -> Result<pb::GetNextIdResponse, Status> {
    let sequence = check(&service.live.load(), &request)?;
    let id = match sequence.increment {
        AutoIncrement::Strong => strong(&sequence).await?,
        AutoIncrement::Weak => weak(&service.segments, &request.store_name, sequence).await?,
    };
    let next_id = i64::try_from(id).map_err(|_| error::sequencer::ids_used_up(&request.key))?;
    Ok(pb::GetNextIdResponse { next_id })
}

/// A sequence in its store.
struct Sequence {
    store: Arc<dyn Sequencer>,
    key: String,
    increment: AutoIncrement,
}

/// The key and the option are looked at before the store.
fn check(components: &Components, request: &pb::GetNextIdRequest) -> Result<Sequence, Status> {
    let store_name = &request.store_name;
    if components.sequencers.is_empty() {
        return Err(error::sequencer::no_stores());
    }
    if request.key.is_empty() {
        return Err(error::sequencer::no_key(store_name));
    }
    let increment = request.options.map_or(0, |options| options.increment);
    let increment = AutoIncrement::try_from(increment).map_err(|_| error::sequencer::no_such_increment())?;
    keys::check(&request.key)?;
    let sequencer = components
        .sequencers
        .get(store_name)
        .ok_or_else(|| error::sequencer::no_store(store_name))?;
    let layout = Layout {
        prefix: &sequencer.prefix,
        app_id: &components.app_id,
        store_name,
    };
    Ok(Sequence {
        store: Arc::clone(&sequencer.store),
        key: layout.sequence(&request.key),
        increment,
    })
}

async fn strong(sequence: &Sequence) -> Result<u64, Status> {
    let range = sequence.store.reserve(&sequence.key, 1).await;
    range
        .map(|range| range.first)
        .map_err(|error| error::sequencer::component(&error))
}

async fn weak(segments: &Segments, store_name: &str, sequence: Sequence) -> Result<u64, Status> {
    let segment = segments.find(store_name, sequence.key, sequence.store);
    segment.next_id().await
}
