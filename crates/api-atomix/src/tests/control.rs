//! Statuses of the control calls (spec 1.4), and what they do to primitives.

use wire::atomix::proxy::proxy_server::Proxy;
use wire::atomix::runtime::runtime_server::Runtime;
use wire::atomix::{counter, runtime as pb};

use counter::counter_server::Counter;
use counter::counters_server::Counters;

use super::*;

fn store_id(name: &str) -> Option<pb::StoreId> {
    Some(pb::StoreId {
        namespace: "apps".into(),
        name: name.into(),
    })
}

async fn program(service: &Service, stores: &[&str]) -> Code {
    let route = |name: &&str| pb::Route {
        store_id: store_id(name),
        rules: vec![],
    };
    let routes = stores.iter().map(route).collect();
    code(service.program(Request::new(pb::ProgramRequest { routes })).await)
}

fn connect_request(store: &str, driver: &str) -> Request<pb::ConnectRequest> {
    Request::new(pb::ConnectRequest {
        store_id: store_id(store),
        driver_id: Some(pb::DriverId {
            name: driver.into(),
            api_version: "v1".into(),
        }),
        ..pb::ConnectRequest::default()
    })
}

async fn connect(service: &Service, store: &str) -> Code {
    code(Runtime::connect(service, connect_request(store, DRIVER)).await)
}

async fn configure(service: &Service, store: &str) -> Code {
    let configure = pb::ConfigureRequest {
        store_id: store_id(store),
        ..pb::ConfigureRequest::default()
    };
    code(Runtime::configure(service, Request::new(configure)).await)
}

async fn disconnect(service: &Service, store: &str) -> Code {
    let disconnect = pb::DisconnectRequest {
        store_id: store_id(store),
    };
    code(Runtime::disconnect(service, Request::new(disconnect)).await)
}

async fn create(service: &Service) -> Code {
    let create = counter::CreateRequest {
        id: id("hits"),
        tags: vec![],
    };
    code(Counters::create(service, Request::new(create)).await)
}

async fn get(service: &Service) -> Code {
    let get = counter::GetRequest { id: id("hits") };
    code(Counter::get(service, Request::new(get)).await)
}

#[tokio::test]
async fn routes_are_programmed_once() {
    let service = World::new().start().await;
    assert_eq!(program(&service, &["one"]).await, Code::Ok);
    assert_eq!(program(&service, &["two"]).await, Code::PermissionDenied);
    assert_eq!(program(&service, &[]).await, Code::PermissionDenied);
    // What is there already is no change.
    assert_eq!(program(&service, &["one"]).await, Code::Ok);
}

#[tokio::test]
async fn no_routes_are_not_programmed() {
    let service = World::new().start().await;
    assert_eq!(program(&service, &[]).await, Code::Ok);
    assert_eq!(program(&service, &["one"]).await, Code::Ok);
}

#[tokio::test]
async fn a_store_is_connected_once() {
    let service = World::new().start().await;
    assert_eq!(connect(&service, "one").await, Code::Ok);
    assert_eq!(connect(&service, "one").await, Code::AlreadyExists);
    assert_eq!(connect(&service, "two").await, Code::Ok);
}

#[tokio::test]
async fn what_is_not_connected_can_not_be_configured_or_disconnected() {
    let service = World::new().start().await;
    assert_eq!(configure(&service, "one").await, Code::NotFound);
    assert_eq!(disconnect(&service, "one").await, Code::NotFound);
    assert_eq!(connect(&service, "one").await, Code::Ok);
    assert_eq!(configure(&service, "one").await, Code::Ok);
    assert_eq!(disconnect(&service, "one").await, Code::Ok);
    assert_eq!(disconnect(&service, "one").await, Code::NotFound);
}

#[tokio::test]
async fn a_driver_that_is_not_there_connects_nothing() {
    let service = World::new().start().await;
    let connected = Runtime::connect(&service, connect_request("one", "punched cards")).await;
    assert_ne!(code(connected), Code::Ok);
    assert_eq!(disconnect(&service, "one").await, Code::NotFound);
}

#[tokio::test]
async fn a_request_without_its_parts_is_invalid() {
    let service = World::new().start().await;
    let nothing = pb::ConnectRequest::default();
    let connected = Runtime::connect(&service, Request::new(nothing)).await;
    assert_eq!(code(connected), Code::InvalidArgument);
    assert_eq!(connect(&service, "").await, Code::InvalidArgument);
}

#[tokio::test]
async fn the_earlier_name_of_the_service_does_the_same() {
    let service = World::new().start().await;
    let connected = Proxy::connect(&service, connect_request("one", DRIVER)).await;
    assert_eq!(code(connected), Code::Ok);
    assert_eq!(connect(&service, "one").await, Code::AlreadyExists);
}

#[tokio::test]
async fn strictly_nothing_is_there_before_it_is_connected_and_routed() {
    let service = World::new().start_strict().await;
    assert_eq!(create(&service).await, Code::Unavailable);
    assert_eq!(program(&service, &["one"]).await, Code::Ok);
    assert_eq!(create(&service).await, Code::Unavailable);
    assert_eq!(connect(&service, "one").await, Code::Ok);
    assert_eq!(create(&service).await, Code::Ok);
    assert_eq!(get(&service).await, Code::Ok);
}

#[tokio::test]
async fn while_its_store_is_away_a_primitive_can_not_be_reached() {
    let service = World::new().start_strict().await;
    assert_eq!(program(&service, &["one"]).await, Code::Ok);
    assert_eq!(connect(&service, "one").await, Code::Ok);
    assert_eq!(create(&service).await, Code::Ok);
    assert_eq!(disconnect(&service, "one").await, Code::Ok);
    assert_eq!(get(&service).await, Code::Unavailable);
    assert_eq!(connect(&service, "one").await, Code::Ok);
    assert_eq!(get(&service).await, Code::Ok);
}

#[tokio::test]
async fn stores_and_routes_survive_a_restart() {
    let world = World::new();
    let service = world.start_strict().await;
    assert_eq!(program(&service, &["one"]).await, Code::Ok);
    assert_eq!(connect(&service, "one").await, Code::Ok);
    let service = world.start_strict().await;
    assert_eq!(create(&service).await, Code::Ok);
    assert_eq!(program(&service, &["two"]).await, Code::PermissionDenied);
    assert_eq!(connect(&service, "one").await, Code::AlreadyExists);
}
