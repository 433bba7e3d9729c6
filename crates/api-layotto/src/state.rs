//! State: one key or many, with etags, expiry and transactions (spec 3.12 to 3.18).
//!
//! Reads borrow the components for as long as they take. Writes let go of them first: a commit may wait for a disk, and
//! the cheap borrows of a thread are few.

use std::slice;
use std::sync::Arc;

use base::{Error, codes, limits};
use ports::state::{Action, Applied, Atomicity, Change, StateStore, Value};
use tonic::Status;
use wire::layotto as pb;

use crate::components::{Components, State};
use crate::error::state::{Unwritten, Which};
use crate::keys::Layout;
use crate::service::Service;
use crate::{convert, error, keys};

#[cfg(test)]
mod tests;

pub(crate) async fn get(
    service: &Service,
    request: pb::GetStateRequest,
) -> Result<pb::GetStateResponse, Status> {
    let components = service.live.load();
    let target = Target::find(&components, &request.store_name)?;
    let made = target.layout.state(&request.key)?;
    let key = made.as_ref().unwrap_or(&request.key);
    let found = target.state.store.get(slice::from_ref(key)).await;
    match found.and_then(only) {
        Ok(value) => Ok(value.map(convert::get_state).unwrap_or_default()),
        Err(error) => Err(error::state::get(&request.key, &request.store_name, &error)),
    }
}

/// The one answer to one key.
fn only(mut found: Vec<base::Result<Option<Value>>>) -> base::Result<Option<Value>> {
    match found.pop() {
        Some(value) if found.is_empty() => value,
        _ => Err(miscounted()),
    }
}

fn miscounted() -> Error {
    Error::new(
        codes::INTERNAL,
        "the state store did not give one answer for each key",
    )
}

/// One item per key in the order of the request. `parallelism` has no meaning here: stores read all keys at once.
pub(crate) async fn get_bulk(
    service: &Service,
    request: pb::GetBulkStateRequest,
) -> Result<pb::GetBulkStateResponse, Status> {
    let components = service.live.load();
    let target = Target::find(&components, &request.store_name)?;
    if request.keys.is_empty() {
        return Ok(pb::GetBulkStateResponse::default());
    }
    check_count(request.keys.len())?;
    let made = target.keys(&request.keys)?;
    let keys = made.as_ref().unwrap_or(&request.keys);
    let found = target.state.store.get(keys).await;
    let found = found.map_err(|error| error::state::get_bulk(&error))?;
    if found.len() != request.keys.len() {
        return Err(error::state::get_bulk(&miscounted()));
    }
    let items = request.keys.into_iter().zip(found);
    Ok(pb::GetBulkStateResponse {
        items: items.map(|(key, found)| convert::bulk_item(key, found)).collect(),
    })
}

/// All items in one commit, or none.
pub(crate) async fn save(service: &Service, request: pb::SaveStateRequest) -> Result<(), Status> {
    let (store, changes) = {
        let components = service.live.load();
        let target = Target::find(&components, &request.store_name)?;
        check_keys(&request.states)?;
        let items = request.states.into_iter();
        let changes = items.map(|item| target.put(item)).collect::<Result<_, _>>()?;
        (Arc::clone(&target.state.store), changes)
    };
    let saved = apply(&*store, changes).await;
    saved.map_err(|why| error::state::save(&request.store_name, &why))
}

pub(crate) async fn delete(service: &Service, request: pb::DeleteStateRequest) -> Result<(), Status> {
    let (store, change) = {
        let components = service.live.load();
        let target = Target::find(&components, &request.store_name)?;
        let made = target.layout.state(&request.key)?;
        let change = Change {
            key: made.unwrap_or_else(|| request.key.clone()),
            action: Action::Delete,
            expect: convert::expect_to_delete(request.etag, request.options.as_ref()),
        };
        (Arc::clone(&target.state.store), change)
    };
    let deleted = apply(&*store, vec![change]).await;
    deleted.map_err(|why| error::state::delete(&request.key, &why))
}

/// All items in one commit, or none.
pub(crate) async fn delete_bulk(
    service: &Service,
    request: pb::DeleteBulkStateRequest,
) -> Result<(), Status> {
    let (store, changes) = {
        let components = service.live.load();
        let target = Target::find(&components, &request.store_name)?;
        check_keys(&request.states)?;
        let items = request.states.into_iter();
        let changes = items.map(|item| target.delete(item)).collect::<Result<_, _>>()?;
        (Arc::clone(&target.state.store), changes)
    };
    let deleted = apply(&*store, changes).await;
    deleted.map_err(|why| error::state::delete_bulk(&why))
}

/// An operation without a request is passed over, whatever its type.
pub(crate) async fn transact(
    service: &Service,
    request: pb::ExecuteStateTransactionRequest,
) -> Result<(), Status> {
    let (store, changes) = {
        let components = service.live.load();
        let target = Target::find(&components, &request.store_name)?;
        if !target.state.store.capabilities().transactions {
            return Err(error::state::no_transactions(&request.store_name));
        }
        check_count(request.operations.len())?;
        let operations = request.operations.into_iter().filter_map(Operation::of);
        let operations: Vec<Operation> = operations.collect::<Result<_, _>>()?;
        let changes = operations
            .into_iter()
            .map(|operation| target.operate(operation))
            .collect::<Result<_, _>>()?;
        (Arc::clone(&target.state.store), changes)
    };
    let executed = apply(&*store, changes).await;
    executed.map_err(|why| error::state::transaction(&why))
}

enum Operation {
    Upsert(pb::StateItem),
    Delete(pb::StateItem),
}

impl Operation {
    /// Checks the key before the type, as the reference does.
    fn of(operation: pb::TransactionalStateOperation) -> Option<Result<Operation, Status>> {
        let item = operation.request?;
        if let Err(refused) = keys::check(&item.key) {
            return Some(Err(refused));
        }
        Some(match operation.operation_type.as_str() {
            "upsert" => Ok(Operation::Upsert(item)),
            "delete" => Ok(Operation::Delete(item)),
            other => Err(error::state::no_such_operation(other)),
        })
    }
}

/// A store, and how its keys look.
struct Target<'a> {
    state: &'a State,
    layout: Layout<'a>,
}

impl<'a> Target<'a> {
    fn find(components: &'a Components, store_name: &'a str) -> Result<Target<'a>, Status> {
        let state = components
            .states
            .get(store_name)
            .ok_or_else(|| error::state::no_store(components, store_name))?;
        Ok(Target {
            state,
            layout: Layout {
                prefix: &state.prefix,
                app_id: &components.app_id,
                store_name,
            },
        })
    }

    /// Keys in the store; `None` when they are the request's unchanged.
    fn keys(&self, keys: &[String]) -> Result<Option<Vec<String>>, Status> {
        let mut made = Vec::new();
        for key in keys {
            made.extend(self.layout.state(key)?);
        }
        Ok(Some(made).filter(|made| !made.is_empty()))
    }

    fn put(&self, item: pb::StateItem) -> Result<Change, Status> {
        let ttl = convert::ttl(&item.key, &item.metadata, self.state.ttl)?;
        if ttl.is_some() && !self.state.store.capabilities().ttl {
            return Err(error::state::no_ttl(&item.key, self.layout.store_name));
        }
        let made = self.layout.state(&item.key)?;
        Ok(Change {
            key: made.unwrap_or(item.key),
            action: Action::Put {
                data: item.value,
                ttl,
            },
            expect: convert::expect(item.etag, item.options.as_ref()),
        })
    }

    fn delete(&self, item: pb::StateItem) -> Result<Change, Status> {
        let made = self.layout.state(&item.key)?;
        Ok(Change {
            key: made.unwrap_or(item.key),
            action: Action::Delete,
            expect: convert::expect_to_delete(item.etag, item.options.as_ref()),
        })
    }

    fn operate(&self, operation: Operation) -> Result<Change, Status> {
        match operation {
            Operation::Upsert(item) => self.put(item),
            Operation::Delete(item) => self.delete(item),
        }
    }
}

/// Keys are checked before anything else of any item.
fn check_keys(items: &[pb::StateItem]) -> Result<(), Status> {
    check_count(items.len())?;
    items.iter().try_for_each(|item| keys::check(&item.key))
}

fn check_count(count: usize) -> Result<(), Status> {
    if count > limits::BULK_KEYS_MAX {
        return Err(error::state::too_many_keys(count));
    }
    Ok(())
}

/// All changes or none, where the store can.
async fn apply(store: &dyn StateStore, changes: Vec<Change>) -> Result<(), Unwritten> {
    let count = changes.len();
    if count == 0 {
        return Ok(());
    }
    let atomicity = match store.capabilities().transactions {
        true => Atomicity::Transaction,
        false => Atomicity::BestEffort,
    };
    match store.apply(changes, atomicity).await {
        Ok(Applied::Done) => Ok(()),
        Ok(Applied::Mismatch { index }) => Err(Unwritten::Mismatch(Which { index, count })),
        Ok(Applied::InvalidEtag { index }) => Err(Unwritten::InvalidEtag(Which { index, count })),
        Err(error) => Err(Unwritten::Failed(error)),
    }
}
