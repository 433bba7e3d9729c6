//! Configuration items: read, write, delete (spec 3.3 to 3.5), and watch (`watch`, spec 3.6).

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use ports::config::{ConfigStore, Filter, Scope};
use tonic::{Status, Streaming};
use wire::layotto as pb;

use crate::components::Components;
use crate::service::Service;
use crate::{convert, error};

mod coverage;
mod watch;

#[cfg(test)]
mod tests;

/// No key asks for all keys. `subscribe_update` has no meaning: there is no callback that could tell of updates.
pub(crate) async fn get(
    service: &Service,
    request: pb::GetConfigurationRequest,
) -> Result<pb::GetConfigurationResponse, Status> {
    let store = find(&service.live.load(), &request.store_name)?;
    let scope = scope(&*store, request.app_id, request.group, request.label);
    let filter = Filter {
        app: scope.app,
        group: scope.group,
        label: scope.label,
        keys: request.keys,
    };
    let items = store.get(&filter).await;
    let items = items.map_err(|error| error::config::get(&error))?;
    Ok(pb::GetConfigurationResponse {
        items: convert::config_items(items),
    })
}

/// All items in one commit, or none. The call's own metadata has no meaning, an item's travels with it.
pub(crate) async fn save(service: &Service, request: pb::SaveConfigurationRequest) -> Result<(), Status> {
    let store = find(&service.live.load(), &request.store_name)?;
    let items = request
        .items
        .into_iter()
        .map(|item| convert::config_item(item, store.default_scope()))
        .collect();
    let put = store.put(&request.app_id, items).await;
    put.map_err(|error| error::config::component(&error))
}

/// No key deletes nothing.
pub(crate) async fn delete(service: &Service, request: pb::DeleteConfigurationRequest) -> Result<(), Status> {
    let store = find(&service.live.load(), &request.store_name)?;
    if request.keys.is_empty() {
        return Ok(());
    }
    let scope = scope(&*store, request.app_id, request.group, request.label);
    let deleted = store.delete(&scope, &request.keys).await;
    deleted.map_err(|error| error::config::component(&error))
}

pub(crate) fn subscribe(
    service: &Service,
    requests: Streaming<pb::SubscribeConfigurationRequest>,
) -> BoxStream<'static, Result<pb::SubscribeConfigurationResponse, Status>> {
    watch::Watches::new(Arc::clone(&service.live), requests.boxed()).into_stream()
}

fn find(components: &Components, store_name: &str) -> Result<Arc<dyn ConfigStore>, Status> {
    let store = components.configs.get(store_name).cloned();
    store.ok_or_else(|| error::config::no_store(store_name))
}

fn scope(store: &dyn ConfigStore, app: String, group: String, label: String) -> Scope {
    let (default_group, default_label) = store.default_scope();
    Scope {
        app,
        group: convert::or_default(group, default_group),
        label: convert::or_default(label, default_label),
    }
}
