//! The driver `http-binding`: requests to one HTTP/1.1 service, as Layotto's binding `http` makes them.
//!
//! | operation | verb | body | may be repeated |
//! |---|---|---|---|
//! | `create`, `post` | POST | yes | no |
//! | `patch` | PATCH | yes | no |
//! | `put` | PUT | yes | yes |
//! | `get`, `head`, `delete`, `options`, `trace` | the same | no | yes |
//!
//! Request metadata: `path` is joined to the URL with one slash, two dots in a row anywhere are refused; keys that begin
//! with an upper-case letter are headers; `errorIfNot2XX: false` makes an answer of any status a success. Response
//! metadata: `statusCode`, `status`, and one entry per header, several values joined with `, `. Any other status than
//! 200 to 299 is the error `received status code <status>`. Up to 10 redirects are followed; credentials don't follow to
//! another host.

use std::sync::Arc;

use async_trait::async_trait;
use base::{Result, limits};
use http::{HeaderName, Uri};
use ports::{Component, Context, Driver, Finding, Port, Settings};

use crate::outbound::{Address, targets};

mod binding;
mod redirect;
mod request;
mod settings;

#[cfg(test)]
mod tests;

pub struct HttpBindingDriver;

#[async_trait]
impl Driver for HttpBindingDriver {
    fn name(&self) -> &'static str {
        "http-binding"
    }

    fn about(&self) -> &'static str {
        "requests to an HTTP/1.1 service"
    }

    fn offers(&self) -> &'static [Port] {
        &[Port::Binding]
    }

    fn schema(&self) -> schemars::Schema {
        schemars::schema_for!(settings::HttpBinding)
    }

    fn validate(&self, settings: &Settings) -> Vec<Finding> {
        match settings.parse() {
            Ok(settings) => findings(&settings),
            Err(error) => vec![Finding::error("", error.message())],
        }
    }

    async fn open(&self, _: &str, settings: &Settings, _: &Context) -> Result<Component> {
        let settings: settings::HttpBinding = settings.parse()?;
        Ok(Component {
            binding: Some(Arc::new(binding::HttpBinding::open(settings)?)),
            ..Component::default()
        })
    }
}

fn findings(settings: &settings::HttpBinding) -> Vec<Finding> {
    let mut findings = vec![];
    if let Err(message) = address(&settings.url) {
        findings.push(Finding::error("url", message));
    }
    let timeout_ms_max = limits::OUTBOUND_DEADLINE_MAX.as_millis();
    if settings.timeout_ms == 0 || u128::from(settings.timeout_ms) > timeout_ms_max {
        let message = format!("the timeout must be 1 to {timeout_ms_max} milliseconds");
        findings.push(Finding::error("timeoutMs", message));
    }
    if settings.retries > u64::from(limits::BINDING_RETRIES_MAX) {
        let message = format!("at most {} retries are possible", limits::BINDING_RETRIES_MAX);
        findings.push(Finding::error("retries", message));
    }
    for (path, names) in [
        ("headersAllow", &settings.headers_allow),
        ("headersDeny", &settings.headers_deny),
    ] {
        let wrong = names.iter().filter(|name| name.parse::<HeaderName>().is_err());
        findings.extend(wrong.map(|name| Finding::error(path, format!("{name} is no name of a header"))));
    }
    findings.extend(targets::validate_connections(settings.connections_max));
    findings
}

/// Where the configured URL leads; `Err` is what to write instead.
fn address(url: &str) -> std::result::Result<(Uri, Address), String> {
    if url.is_empty() {
        return Err("the url is missing: write http://host:port/path".to_owned());
    }
    let uri: Uri = url
        .parse()
        .map_err(|_| "this is no URL: write http://host:port/path".to_owned())?;
    let address = Address::of(&uri)?;
    Ok((uri, address))
}
