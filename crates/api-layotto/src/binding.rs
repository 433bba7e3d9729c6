//! `InvokeBinding` (spec 3.26). The operation is checked before the name.

use std::sync::Arc;

use ports::binding::{Binding, Request};
use tonic::Status;
use wire::layotto as pb;

use crate::components::Components;
use crate::error::binding::Unbound;
use crate::service::Service;
use crate::{convert, error};

#[cfg(test)]
mod tests;

pub(crate) async fn invoke(
    service: &Service,
    request: pb::InvokeBindingRequest,
) -> Result<pb::InvokeBindingResponse, Status> {
    let binding =
        find(&service.live.load(), &request).map_err(|why| error::binding::invoke(&request.name, &why))?;
    let reply = binding
        .invoke(Request {
            operation: request.operation,
            data: request.data,
            metadata: convert::metadata(request.metadata),
        })
        .await
        .map_err(|error| error::binding::invoke(&request.name, &Unbound::Failed(error)))?;
    Ok(pb::InvokeBindingResponse {
        data: reply.data,
        metadata: reply.metadata.into_iter().collect(),
    })
}

fn find(components: &Components, request: &pb::InvokeBindingRequest) -> Result<Arc<dyn Binding>, Unbound> {
    if request.operation.is_empty() {
        return Err(Unbound::NoOperation);
    }
    let binding = components.bindings.get(&request.name).ok_or(Unbound::NoBinding)?;
    if !binding.operations().contains(&request.operation.as_str()) {
        return Err(Unbound::NotOffered {
            operation: request.operation.clone(),
            offered: binding.operations().join(" "),
        });
    }
    Ok(Arc::clone(binding))
}
