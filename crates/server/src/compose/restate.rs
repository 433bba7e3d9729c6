//! The Restate family, mounted.

use std::sync::Arc;
use std::time::Duration;

use api_restate::{Defaults, Identity, Retry, Service, Talker, Version};
use base::Result;

use super::hosts::Hosts;
use crate::config::{OnMaxAttempts, Restate};
use crate::serve::Web;

/// Errors: `IDENTITY_UNUSABLE`.
pub(super) fn talker(configured: &Restate) -> Result<Talker> {
    let path = configured.request_identity_private_key_pem_file.as_deref();
    let identity = path.map(Identity::read).transpose()?;
    if let Some(identity) = &identity {
        tracing::info!(key = identity.public_key(), "requests to deployments are signed");
    }
    Ok(Talker::new(identity))
}

pub(super) async fn start(configured: Restate, hosts: Hosts, talker: Talker) -> Result<Service> {
    let engine = Arc::new(hosts.main().await?);
    Service::start(engine, defaults(&configured), &talker).await
}

fn defaults(configured: &Restate) -> Defaults {
    let retry = &configured.retry;
    Defaults {
        inactivity: Duration::from_millis(configured.inactivity_timeout_ms),
        abort: Duration::from_millis(configured.abort_timeout_ms),
        journal_retention: Duration::from_millis(configured.journal_retention_ms),
        idempotency_retention: Duration::from_millis(configured.idempotency_retention_ms),
        workflow_retention: Duration::from_millis(configured.workflow_retention_ms),
        retry: Retry {
            first: Duration::from_millis(retry.initial_interval_ms),
            max: Duration::from_millis(retry.max_interval_ms),
            factor: retry.factor,
            attempts_max: (retry.max_attempts > 0).then_some(retry.max_attempts),
            kill: retry.on_max_attempts == OnMaxAttempts::Kill,
        },
        protocol_max: Version::at_most(configured.protocol_max),
    }
}

pub(super) fn ingress(service: &Service) -> Web {
    let ingress = service.ingress.clone();
    Web(Arc::new(move |request| {
        let ingress = ingress.clone();
        Box::pin(async move { ingress.answer(request).await })
    }))
}
