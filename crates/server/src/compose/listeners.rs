//! What listens, under which limits, and what each listener serves.

use axum::Router;

use super::cloudstate;
use crate::admin::{self, Admin, Readiness};
use crate::config::{Address, Config};
use crate::serve::{Apps, Grpc, Limits, Listen, MovedBy, Plan, Web};
use crate::telemetry::Metrics;

const LAYOTTO: MovedBy = MovedBy {
    flag: "--layotto-listen",
    variable: "BELAY_LAYOTTO_LISTEN",
    setting: "listen.layotto",
};
const ADMIN: MovedBy = MovedBy {
    flag: "--admin-listen",
    variable: "BELAY_ADMIN_LISTEN",
    setting: "listen.admin",
};
const ACTUATOR: MovedBy = MovedBy {
    flag: "--actuator-listen",
    variable: "BELAY_ACTUATOR_LISTEN",
    setting: "listen.actuator",
};
const PRIMITIVES: MovedBy = MovedBy {
    flag: "--primitives-listen",
    variable: "BELAY_PRIMITIVES_LISTEN",
    setting: "listen.primitives",
};
const CONTROL: MovedBy = MovedBy {
    flag: "--control-listen",
    variable: "BELAY_CONTROL_LISTEN",
    setting: "listen.control",
};
const INGRESS: MovedBy = MovedBy {
    flag: "--ingress-listen",
    variable: "BELAY_INGRESS_LISTEN",
    setting: "listen.ingress",
};
const FUNCTIONS: MovedBy = MovedBy {
    flag: "--functions-listen",
    variable: "BELAY_FUNCTIONS_LISTEN",
    setting: "listen.functions",
};
const METRICS: MovedBy = MovedBy {
    flag: "--metrics-listen",
    variable: "BELAY_METRICS_LISTEN",
    setting: "telemetry.metrics.listen",
};

pub(super) fn plan(config: &Config, metrics: &Metrics, readiness: &Readiness) -> Plan {
    let all = [
        ("layotto", &config.listen.layotto, LAYOTTO),
        ("admin", &config.listen.admin, ADMIN),
        ("actuator", &config.listen.actuator, ACTUATOR),
        ("primitives", &config.listen.primitives, PRIMITIVES),
        ("control", &config.listen.control, CONTROL),
        ("ingress", &config.listen.ingress, INGRESS),
        ("functions", cloudstate::address(config), FUNCTIONS),
        ("metrics", &config.telemetry.metrics.listen, METRICS),
    ];
    let on = all
        .into_iter()
        .filter(|(_, address, _)| **address != Address::Off);
    let listeners = on.map(|(name, address, moved_by)| Listen {
        connections_max: config.limits.connections,
        ..Listen::new(name, address.clone(), moved_by)
    });
    Plan {
        listeners: listeners.collect(),
        runtimes: 0,
        limits: Limits::from(&config.limits),
        data_dir: Some(config.data_dir.clone()),
        metrics: metrics.clone(),
        readiness: readiness.clone(),
    }
}

/// What clients' listeners serve.
pub(super) struct Families {
    pub(super) layotto: Grpc,
    pub(super) primitives: Grpc,
    pub(super) control: Grpc,
    pub(super) ingress: Web,
    pub(super) functions: Web,
    /// What they add to the admin listener.
    pub(super) admin: Router,
}

pub(super) fn apps(config: &Config, families: Families, admin: Admin, actuator: Router) -> Apps {
    let metrics = admin::metrics_router(&config.telemetry.metrics.path, admin.metrics.clone());
    Apps::default()
        .grpc("layotto", families.layotto)
        .grpc("primitives", families.primitives)
        .grpc("control", families.control)
        .web("ingress", families.ingress)
        .web("functions", families.functions)
        .http(
            "admin",
            admin.router().merge(actuator.clone()).merge(families.admin),
        )
        .http("actuator", actuator)
        .http("metrics", metrics)
}
