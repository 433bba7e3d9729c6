//! Creating, finding, and what a name is.

use wire::atomix::{counter, list, value};

use counter::counter_server::Counter;
use counter::counters_server::Counters;
use list::list_server::List;
use list::lists_server::Lists;
use value::value_server::Value;
use value::values_server::Values;

use super::*;

async fn create_counter(service: &Service, name: &str) -> Code {
    let create = counter::CreateRequest {
        id: id(name),
        tags: vec![],
    };
    code(Counters::create(service, Request::new(create)).await)
}

async fn create_value(service: &Service, name: &str) -> Code {
    let create = value::CreateRequest {
        id: id(name),
        tags: vec![],
    };
    code(Values::create(service, Request::new(create)).await)
}

async fn increment(service: &Service, name: &str) -> Result<i64, Code> {
    let increment = counter::IncrementRequest {
        id: id(name),
        delta: 1,
    };
    let answer = service.increment(Request::new(increment)).await;
    answer
        .map(|answer| answer.into_inner().value)
        .map_err(|status| status.code())
}

#[tokio::test]
async fn creating_twice_is_no_error_and_changes_nothing() {
    let service = World::new().start().await;
    assert_eq!(create_counter(&service, "hits").await, Code::Ok);
    assert_eq!(increment(&service, "hits").await, Ok(1));
    assert_eq!(create_counter(&service, "hits").await, Code::Ok);
    assert_eq!(increment(&service, "hits").await, Ok(2));
}

#[tokio::test]
async fn the_singular_service_creates_too() {
    let service = World::new().start().await;
    let create = list::CreateRequest {
        id: id("todo"),
        tags: vec![],
    };
    assert_eq!(
        code(List::create(&service, Request::new(create.clone())).await),
        Code::Ok
    );
    assert_eq!(
        code(Lists::create(&service, Request::new(create)).await),
        Code::Ok
    );
}

#[tokio::test]
async fn a_name_has_one_type() {
    let service = World::new().start().await;
    assert_eq!(create_counter(&service, "hits").await, Code::Ok);
    assert_eq!(create_value(&service, "hits").await, Code::PermissionDenied);
    let get = value::GetRequest { id: id("hits") };
    let got = Value::get(&service, Request::new(get)).await;
    assert_eq!(code(got), Code::PermissionDenied);
    assert_eq!(increment(&service, "hits").await, Ok(1));
}

#[tokio::test]
async fn a_name_that_nobody_created_is_denied() {
    let service = World::new().start().await;
    assert_eq!(increment(&service, "hits").await, Err(Code::PermissionDenied));
}

#[tokio::test]
async fn a_request_without_a_name_is_invalid() {
    let service = World::new().start().await;
    let create = counter::CreateRequest {
        id: None,
        tags: vec![],
    };
    assert_eq!(
        code(Counters::create(&service, Request::new(create)).await),
        Code::InvalidArgument
    );
    let get = counter::GetRequest { id: None };
    assert_eq!(
        code(Counter::get(&service, Request::new(get)).await),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn a_name_is_not_longer_than_its_limit() {
    let service = World::new().start().await;
    let longest = "n".repeat(base::limits::PRIMITIVE_NAME_BYTES_MAX);
    assert_eq!(create_counter(&service, &longest).await, Code::Ok);
    let longer = format!("{longest}n");
    assert_eq!(create_counter(&service, &longer).await, Code::InvalidArgument);
}

#[tokio::test]
async fn after_a_restart_nobody_has_to_create_again() {
    let world = World::new();
    let service = world.start().await;
    assert_eq!(create_counter(&service, "hits").await, Code::Ok);
    assert_eq!(increment(&service, "hits").await, Ok(1));
    let service = world.start().await;
    assert_eq!(increment(&service, "hits").await, Ok(2));
    assert_eq!(create_value(&service, "hits").await, Code::PermissionDenied);
}

#[tokio::test]
async fn closing_what_is_not_open_is_no_error() {
    let service = World::new().start().await;
    let client = Client::new(1);
    let close = || client.request(counter::CloseRequest { id: id("hits") });
    assert_eq!(code(Counter::close(&service, close()).await), Code::Ok);
    assert_eq!(create_value(&service, "hits").await, Code::Ok);
    assert_eq!(code(Counters::close(&service, close()).await), Code::Ok);
}

#[tokio::test]
async fn after_a_close_the_data_is_there_and_can_be_used() {
    let service = World::new().start().await;
    let client = Client::new(1);
    create_counter(&service, "hits").await;
    assert_eq!(increment(&service, "hits").await, Ok(1));
    let close = client.request(counter::CloseRequest { id: id("hits") });
    assert_eq!(code(Counter::close(&service, close).await), Code::Ok);
    assert_eq!(increment(&service, "hits").await, Ok(2));
}

#[tokio::test]
async fn a_negative_time_to_live_is_over_at_once() {
    let service = World::new().start().await;
    create_value(&service, "config").await;
    let set = value::SetRequest {
        id: id("config"),
        value: Bytes::from_static(b"a"),
        ttl: Some(prost_types::Duration {
            seconds: -3,
            nanos: 0,
        }),
    };
    assert_eq!(code(Value::set(&service, Request::new(set)).await), Code::Ok);
    let get = value::GetRequest { id: id("config") };
    assert_eq!(
        code(Value::get(&service, Request::new(get)).await),
        Code::NotFound
    );
}
