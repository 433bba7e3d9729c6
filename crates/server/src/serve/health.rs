//! The gRPC health service, kept in step with readiness.

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::admin::Readiness;

/// Writes every change of readiness into the health service, for as long as it is polled. The empty name stands for the
/// process, as the health protocol has it.
pub(super) async fn follow(readiness: Readiness, reporter: HealthReporter, services: Vec<String>) {
    let mut changes = readiness.changes();
    // This function's own registry keeps the sender alive, so the wait never fails.
    while changes.changed().await.is_ok() {
        publish(&readiness, &reporter, &services).await;
    }
}

/// What is true now; once before serving, so that the first client never sees more than that.
pub(super) async fn publish(readiness: &Readiness, reporter: &HealthReporter, services: &[String]) {
    let status = match readiness.is_serving() {
        true => ServingStatus::Serving,
        false => ServingStatus::NotServing,
    };
    reporter.set_service_status("", status).await;
    for service in services {
        reporter.set_service_status(service, status).await;
    }
}
