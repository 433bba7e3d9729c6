//! `Program`, `Connect`, `Configure`, `Disconnect` (spec 1.4), and the three that the deprecated `Proxy` had.

use base::{Error, codes};
use bytes::Bytes;
use tonic::{Request, Response, Status};
use wire::atomix::proxy::proxy_server::Proxy;
use wire::atomix::runtime::runtime_server::Runtime;
use wire::atomix::{runtime as pb, settings};

use crate::error::{missing, status};
use crate::service::Service;
use crate::stores::{Connected, Driver, Route, Rule, StoreId};

#[tonic::async_trait]
impl Runtime for Service {
    async fn program(
        &self,
        request: Request<pb::ProgramRequest>,
    ) -> Result<Response<pb::ProgramResponse>, Status> {
        let routes = request.into_inner().routes.into_iter().map(route);
        let routes = routes.collect::<Result<_, Status>>()?;
        done(self.stores.program(routes).await)?;
        Ok(Response::new(pb::ProgramResponse {}))
    }

    async fn connect(
        &self,
        request: Request<pb::ConnectRequest>,
    ) -> Result<Response<pb::ConnectResponse>, Status> {
        let request = request.into_inner();
        let store = store_id(request.store_id)?;
        let driver = request.driver_id.ok_or_else(|| missing("the driver's id"))?;
        let connected = Connected {
            driver: Driver {
                name: driver.name,
                version: driver.api_version,
            },
            settings: settings(&request.config),
        };
        done(self.stores.connect(store, connected).await)?;
        Ok(Response::new(pb::ConnectResponse {}))
    }

    async fn configure(
        &self,
        request: Request<pb::ConfigureRequest>,
    ) -> Result<Response<pb::ConfigureResponse>, Status> {
        let request = request.into_inner();
        let store = store_id(request.store_id)?;
        done(self.stores.configure(store, settings(&request.config)).await)?;
        Ok(Response::new(pb::ConfigureResponse {}))
    }

    async fn disconnect(
        &self,
        request: Request<pb::DisconnectRequest>,
    ) -> Result<Response<pb::DisconnectResponse>, Status> {
        let store = store_id(request.into_inner().store_id)?;
        done(self.stores.disconnect(&store).await)?;
        Ok(Response::new(pb::DisconnectResponse {}))
    }
}

/// The name that the service had at first; the messages are the same.
#[tonic::async_trait]
impl Proxy for Service {
    async fn connect(
        &self,
        request: Request<pb::ConnectRequest>,
    ) -> Result<Response<pb::ConnectResponse>, Status> {
        Runtime::connect(self, request).await
    }

    async fn configure(
        &self,
        request: Request<pb::ConfigureRequest>,
    ) -> Result<Response<pb::ConfigureResponse>, Status> {
        Runtime::configure(self, request).await
    }

    async fn disconnect(
        &self,
        request: Request<pb::DisconnectRequest>,
    ) -> Result<Response<pb::DisconnectResponse>, Status> {
        Runtime::disconnect(self, request).await
    }
}

fn done(result: base::Result<()>) -> Result<(), Status> {
    result.map_err(|error| status(&error))
}

fn store_id(id: Option<pb::StoreId>) -> Result<StoreId, Status> {
    let pb::StoreId { namespace, name } = id.ok_or_else(|| missing("the store's id"))?;
    if name.is_empty() {
        let error = Error::new(codes::INVALID_ARGUMENT, "a store has an empty name");
        return Err(status(&error));
    }
    Ok(StoreId { namespace, name })
}

pub(crate) fn route(route: pb::Route) -> Result<Route, Status> {
    let rule = |rule: pb::RoutingRule| {
        let primitive = rule.r#type.unwrap_or_default();
        Rule {
            primitive: primitive.name,
            version: primitive.api_version,
            names: rule.names,
            tags: rule.tags,
            config: rule
                .config
                .map(|config| Bytes::from(config.value))
                .unwrap_or_default(),
        }
    };
    Ok(Route {
        store: store_id(route.store_id)?,
        rules: route.rules.into_iter().map(rule).collect(),
    })
}
