//! Deployments and services, from memory.

use std::hash::Hasher;
use std::sync::Arc;

use ports::query::{Kind, Page, Value};

use super::{Col, Identified, page, text};
use crate::manifest::ServiceKind;
use crate::registry::{Book, Deployment};

pub(super) static DEPLOYMENTS: [Col<Arc<Deployment>>; 7] = [
    Col("id", Kind::Text, |one| text(&one.id)),
    Col("ty", Kind::Text, |_| text("http")),
    Col("endpoint", Kind::Text, |one| text(&one.uri)),
    Col("created_at", Kind::Time, |one| Value::Time(one.created_at)),
    Col("min_service_protocol_version", Kind::Unsigned, |one| {
        Value::Unsigned(one.manifest.min_version.into())
    }),
    Col("max_service_protocol_version", Kind::Unsigned, |one| {
        Value::Unsigned(one.manifest.max_version.into())
    }),
    Col("services", Kind::Texts, |one| {
        let names = one.manifest.services.iter().map(|service| service.name.clone());
        Value::Texts(names.collect())
    }),
];

impl Identified for Deployment {
    fn identify(&self, hash: &mut dyn Hasher) {
        hash.write(self.id.as_bytes());
    }
}

impl Identified for Service {
    fn identify(&self, hash: &mut dyn Hasher) {
        hash.write(self.name.as_bytes());
    }
}

pub(super) fn deployments(book: &Book) -> Page {
    page(book.deployments.values().cloned().collect(), &DEPLOYMENTS, None)
}

pub(super) struct Service {
    name: String,
    kind: ServiceKind,
    revision: u32,
    public: bool,
    deployment: String,
}

pub(super) static SERVICES: [Col<Service>; 5] = [
    Col("name", Kind::Text, |one| text(&one.name)),
    Col("revision", Kind::Unsigned, |one| {
        Value::Unsigned(one.revision.into())
    }),
    Col("public", Kind::Bool, |one| Value::Bool(one.public)),
    Col("ty", Kind::Text, |one| text(kind(one.kind))),
    Col("deployment_id", Kind::Text, |one| text(&one.deployment)),
];

/// As the tables call it.
pub(super) fn kind(kind: ServiceKind) -> &'static str {
    match kind {
        ServiceKind::Service => "service",
        ServiceKind::VirtualObject => "virtual_object",
        ServiceKind::Workflow => "workflow",
    }
}

pub(super) fn services(book: &Book) -> Page {
    let newest = book.newest.keys().filter_map(|name| book.newest(name));
    let service = |(deployment, service): (&Arc<Deployment>, &crate::manifest::Service)| {
        let changed = book.changed.get(&service.name).and_then(|changed| changed.public);
        Service {
            name: service.name.clone(),
            kind: service.kind,
            revision: deployment
                .revisions
                .get(&service.name)
                .copied()
                .unwrap_or_default(),
            public: changed.unwrap_or(!service.private.unwrap_or(false)),
            deployment: deployment.id.clone(),
        }
    };
    page(newest.map(service).collect(), &SERVICES, None)
}
