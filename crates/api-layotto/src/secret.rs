//! `GetSecret`, `GetBulkSecret` (spec 3.27, 3.28), under the component's policy.

use tonic::Status;
use wire::layotto as pb;

use crate::components::{Components, Secrets};
use crate::service::Service;
use crate::{convert, error};

#[cfg(test)]
mod tests;

/// A denied name is not looked up: the answer must not tell whether there is such a secret.
pub(crate) async fn get(
    service: &Service,
    request: pb::GetSecretRequest,
) -> Result<pb::GetSecretResponse, Status> {
    let components = service.live.load();
    let Secrets { store, policy } = find(&components, &request.store_name)?;
    if !policy.allows(&request.key) {
        return Err(error::secret::denied(&request.key, &request.store_name));
    }
    let metadata = convert::metadata(request.metadata);
    let secret = store
        .get(&request.key, &metadata)
        .await
        .map_err(|error| error::secret::get(&request.key, &request.store_name, &error))?;
    Ok(pb::GetSecretResponse {
        data: secret.into_iter().collect(),
    })
}

/// Every secret that may be read; the others are left out without a word.
pub(crate) async fn get_bulk(
    service: &Service,
    request: pb::GetBulkSecretRequest,
) -> Result<pb::GetBulkSecretResponse, Status> {
    let components = service.live.load();
    let Secrets { store, policy } = find(&components, &request.store_name)?;
    let metadata = convert::metadata(request.metadata);
    let secrets = store
        .bulk(&metadata)
        .await
        .map_err(|error| error::secret::get_bulk(&request.store_name, &error))?;
    let allowed = secrets.into_iter().filter(|(name, _)| policy.allows(name));
    let data = allowed.map(|(name, secret)| {
        let secrets = secret.into_iter().collect();
        (name, pb::SecretResponse { secrets })
    });
    Ok(pb::GetBulkSecretResponse { data: data.collect() })
}

fn find<'a>(components: &'a Components, store_name: &str) -> Result<&'a Secrets, Status> {
    components
        .secrets
        .get(store_name)
        .ok_or_else(|| error::secret::no_store(components, store_name))
}
