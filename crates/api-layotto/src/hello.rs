//! `SayHello`: a greeting, to see that the sidecar answers (spec 3.1).

use tonic::Status;
use wire::layotto as pb;

use crate::error;
use crate::service::Service;

#[cfg(test)]
mod tests;

pub(crate) fn say(service: &Service, request: pb::SayHelloRequest) -> Result<pb::SayHelloResponse, Status> {
    let components = service.live.load();
    let hello = components
        .hellos
        .get(&request.service_name)
        .ok_or_else(error::hello::none)?;
    let hello = match request.name.as_str() {
        "" => hello.greeting.clone(),
        name => format!("{}, {name}", hello.greeting),
    };
    Ok(pb::SayHelloResponse {
        hello,
        data: request.data,
    })
}
