//! The driver `grpc-invoke`: unary calls to other applications over gRPC, whatever their messages are: a body is passed on
//! as the bytes it has.
//!
//! The method is `package.Service/Method`. Verb, query string and content type mean nothing here. The service sees the time
//! that is left as `grpc-timeout`, and a call that is given up is cancelled.
//!
//! | what happened | error | text |
//! |---|---|---|
//! | the service answered with a status | the same kind | the status's message |
//! | no answer until the deadline | `DeadlineExceeded` | `request timeout` |
//! | too many calls at once until the deadline | `DeadlineExceeded` | `connection pool timeout` |
//! | refused, broken off, no gRPC | `Unavailable` | which of them, and where |
//! | no such service is configured | `Unavailable` | `no target is configured for service <id>` |
//! | method or headers make no call | `InvalidArgument` | which of them |

use std::sync::Arc;

use async_trait::async_trait;
use base::Result;
use ports::{Component, Context, Driver, Finding, Port, Settings};

use crate::outbound::targets;

mod channels;
mod codec;
mod invoke;
mod settings;
mod status;

#[cfg(test)]
mod tests;

pub struct GrpcInvokeDriver;

#[async_trait]
impl Driver for GrpcInvokeDriver {
    fn name(&self) -> &'static str {
        "grpc-invoke"
    }

    fn about(&self) -> &'static str {
        "calls other applications over gRPC"
    }

    fn offers(&self) -> &'static [Port] {
        &[Port::Invoke]
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(settings::GrpcInvoke)
    }

    fn validate(&self, settings: &Settings) -> Vec<Finding> {
        match settings.parse::<settings::GrpcInvoke>() {
            Err(error) => vec![Finding::error("", error.message())],
            Ok(settings) => {
                let mut findings = targets::validate(&settings.targets);
                findings.extend(targets::validate_connections(settings.connections_max));
                findings
            }
        }
    }

    async fn open(&self, _: &str, settings: &Settings, _: &Context) -> Result<Component> {
        let settings: settings::GrpcInvoke = settings.parse()?;
        Ok(Component {
            invoke: Some(Arc::new(invoke::GrpcInvoker::open(&settings)?)),
            ..Component::default()
        })
    }
}
