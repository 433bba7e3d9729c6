//! The Restate family, mounted.

use std::sync::Arc;

use api_restate::{Defaults, Service, Talker};
use base::Result;

use super::hosts::Hosts;
use crate::serve::Web;

pub(super) async fn start(hosts: Hosts, talker: Talker) -> Result<Service> {
    let engine = Arc::new(hosts.main().await?);
    Service::start(engine, Defaults::default(), &talker).await
}

pub(super) fn ingress(service: &Service) -> Web {
    let ingress = service.ingress.clone();
    Web(Arc::new(move |request| {
        let ingress = ingress.clone();
        Box::pin(async move { ingress.answer(request).await })
    }))
}
