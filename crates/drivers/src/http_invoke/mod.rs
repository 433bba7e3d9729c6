//! The driver `http-invoke`: calls to other applications over HTTP/1.1, as Layotto's `mosn` invoker makes them on its `http`
//! channel.
//!
//! - The method is the path, the query string is appended, verb `NONE` means `GET`, and the body is sent with any verb.
//! - The header `id` is the service's id. Headers of the gRPC call itself stay behind.
//! - Only status 200 is a success; a body that is compressed stays so, with its `content-encoding`.
//!
//! | what happened | error | text |
//! |---|---|---|
//! | another status | `Unavailable` | `http response code <status>, body: <its first 1024 bytes>` |
//! | no connection was free until the deadline | `DeadlineExceeded` | `connection pool timeout` |
//! | no answer until the deadline, refused, broken off | `Unavailable` | which of them, and where |
//! | no such service is configured | `Unavailable` | `no target is configured for service <id>` |
//! | method, verb or headers make no request | `InvalidArgument` | which of them |

use std::sync::Arc;

use async_trait::async_trait;
use base::Result;
use http::HeaderValue;
use ports::{Component, Context, Driver, Finding, Port, Settings};

use crate::outbound::targets;

mod invoke;
mod request;
mod settings;

#[cfg(test)]
mod tests;

pub struct HttpInvokeDriver;

#[async_trait]
impl Driver for HttpInvokeDriver {
    fn name(&self) -> &'static str {
        "http-invoke"
    }

    fn about(&self) -> &'static str {
        "calls other applications over HTTP/1.1"
    }

    fn offers(&self) -> &'static [Port] {
        &[Port::Invoke]
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(settings::HttpInvoke)
    }

    fn validate(&self, settings: &Settings) -> Vec<Finding> {
        let settings: settings::HttpInvoke = match settings.parse() {
            Ok(settings) => settings,
            Err(error) => return vec![Finding::error("", error.message())],
        };
        let mut findings = targets::validate(&settings.targets);
        findings.extend(targets::validate_connections(settings.connections_max));
        if HeaderValue::from_str(&settings.host_header).is_err() {
            let message = "this can't be a Host header: write a host, or leave it out";
            findings.push(Finding::error("hostHeader", message));
        }
        findings
    }

    async fn open(&self, _: &str, settings: &Settings, _: &Context) -> Result<Component> {
        let settings: settings::HttpInvoke = settings.parse()?;
        Ok(Component {
            invoke: Some(Arc::new(invoke::HttpInvoker::open(&settings)?)),
            ..Component::default()
        })
    }
}
