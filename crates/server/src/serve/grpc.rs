//! One gRPC listener on one runtime: the family's routes, health and reflection, behind the one layer.

use std::sync::Arc;

use base::{Error, Result, codes};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic_health::server::{HealthReporter, HealthService};

use super::connection::Accepted;
use super::{KeepAlive, Limits, health};
use crate::telemetry::flow::Rules;
use crate::telemetry::methods::Methods;
use crate::telemetry::{Metrics, Traces, rpc};

/// What a gRPC listener serves.
#[derive(Clone)]
pub struct Grpc {
    /// Makes the routes, once per runtime and on it; the number is the runtime's (`io-0` is 0).
    pub routes: Arc<dyn Fn(usize) -> Routes + Send + Sync>,
    /// Encoded `FileDescriptorSet`s with everything that is served, for reflection and deadlines.
    pub descriptors: Vec<&'static [u8]>,
    /// Full names of the services in `routes`: reflection lists them, health knows them, all others are UNIMPLEMENTED.
    pub services: Vec<&'static str>,
    /// Paths of unary methods that wait for as long as their callers want: they have no deadline of ours.
    pub waiting: Vec<&'static str>,
    pub flow_control: Rules,
    /// `None`: as the limits say.
    pub keep_alive: Option<KeepAlive>,
}

/// Services that every gRPC listener has.
const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: &str = "grpc.reflection.v1.ServerReflection";
const REFLECTION_ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";

impl Grpc {
    /// Names that the health service answers for.
    pub(super) fn health_names(&self) -> Vec<String> {
        self.services.iter().map(ToString::to_string).collect()
    }

    pub(super) fn layer(
        &self,
        limits: &Limits,
        metrics: &Metrics,
        traces: Option<Traces>,
        drain: CancellationToken,
    ) -> Result<rpc::Layer> {
        let mut descriptors = self.descriptors.clone();
        descriptors.extend([
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ]);
        let mut services = self.services.clone();
        services.extend([HEALTH, REFLECTION, REFLECTION_ALPHA]);
        Ok(rpc::Layer::new(rpc::Settings {
            methods: Methods::of(&descriptors, &services, &self.flow_control, metrics)?
                .waiting(&self.waiting)?,
            deadline: limits.request_deadline,
            drain,
            traces,
        }))
    }

    /// The family's routes, with health and reflection.
    fn all_routes(&self, runtime: usize, health: HealthReporter) -> Result<Routes> {
        let health = HealthService::from_health_reporter(health);
        let unusable =
            |cause| Error::new(codes::INTERNAL, "the descriptors cannot be reflected").because(cause);
        Ok((self.routes)(runtime)
            .add_service(tonic_health::pb::health_server::HealthServer::new(health))
            .add_service(self.reflection().build_v1().map_err(unusable)?)
            .add_service(self.reflection().build_v1alpha().map_err(unusable)?))
    }

    fn reflection(&self) -> tonic_reflection::server::Builder<'static> {
        let mut builder = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .with_service_name(HEALTH)
            .with_service_name(REFLECTION)
            .with_service_name(REFLECTION_ALPHA)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET)
            .include_reflection_service(false);
        for descriptors in &self.descriptors {
            builder = builder.register_encoded_file_descriptor_set(descriptors);
        }
        for service in &self.services {
            builder = builder.with_service_name(*service);
        }
        builder
    }
}

/// A gRPC listener's share on one runtime.
pub(super) struct Share {
    pub(super) grpc: Grpc,
    pub(super) runtime: usize,
    pub(super) layer: rpc::Layer,
    pub(super) health: HealthReporter,
    pub(super) dealt: mpsc::Receiver<Accepted>,
    pub(super) drain: CancellationToken,
    pub(super) limits: Limits,
}

impl Share {
    /// Until the token is cancelled and every connection has closed.
    pub(super) async fn serve(self) -> Result<()> {
        let routes = self.grpc.all_routes(self.runtime, self.health)?;
        let connections = ReceiverStream::new(self.dealt).map(Accepted::register);
        server(
            &self.limits,
            self.grpc.keep_alive.unwrap_or(self.limits.keep_alive),
        )
        .layer(self.layer)
        .add_routes(routes)
        .serve_with_incoming_shutdown(connections, self.drain.cancelled_owned())
        .await
        .map_err(|cause| Error::new(codes::INTERNAL, "a gRPC server ended").because(cause))
    }
}

fn server(limits: &Limits, keep_alive: KeepAlive) -> Server {
    Server::builder()
        .max_concurrent_streams(limits.streams_per_connection_max)
        .http2_max_header_list_size(limits.header_list_bytes_max)
        .http2_keepalive_interval(Some(keep_alive.interval))
        .http2_keepalive_timeout(Some(keep_alive.timeout))
        .http2_max_pending_accept_reset_streams(Some(base::limits::PENDING_RESETS_MAX))
        .http2_max_local_error_reset_streams(Some(base::limits::LOCAL_RESETS_MAX))
}

/// One health service for all runtimes and listeners of the process.
pub(super) async fn health_reporter(
    readiness: &crate::admin::Readiness,
    services: &[String],
) -> HealthReporter {
    let reporter = HealthReporter::new();
    health::publish(readiness, &reporter, services).await;
    reporter
}
