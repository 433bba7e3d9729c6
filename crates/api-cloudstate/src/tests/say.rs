//! Messages of both sides, in few words.

use prost::Message;
use prost_types::Any;
use wire::cloudstate::action::{ActionCommand, ActionResponse, action_response};
use wire::cloudstate::client_action::Action;
use wire::cloudstate::entity_passivation_strategy::Strategy;
use wire::cloudstate::eventsourced::{
    EventSourcedEvent, EventSourcedInit, EventSourcedReply, EventSourcedSnapshot, EventSourcedStreamIn,
    EventSourcedStreamOut, event_sourced_stream_in, event_sourced_stream_out,
};
use wire::cloudstate::metadata_entry::Value;
use wire::cloudstate::valueentity::{
    ValueEntityAction, ValueEntityDelete, ValueEntityInit, ValueEntityInitState, ValueEntityReply,
    ValueEntityStreamIn, ValueEntityStreamOut, ValueEntityUpdate, value_entity_action,
    value_entity_stream_in, value_entity_stream_out,
};
use wire::cloudstate::{
    ClientAction, Command, Entity, EntityPassivationStrategy, EntitySpec, Failure, Forward, Metadata,
    MetadataEntry, Reply, ServiceInfo, SideEffect, TimeoutPassivationStrategy,
};

use crate::transcode::testing;

/// What the function of most tests has. `Hidden` is not listed.
pub(super) const PROTO: &str = r#"
    message In { string id = 1 [(cloudstate.entity_key) = true]; string text = 2; }
    message Out { string text = 1; int64 number = 2; }
    message Other { string id = 1 [(cloudstate.entity_key) = true]; }
    service Log {
      rpc Do(In) returns (Out);
      rpc Get(In) returns (Out) { option (google.api.http) = { get: "/log/{id}" additional_bindings { get: "/log/{id}/text" response_body: "text" } }; }
    }
    service Val {
      rpc Do(In) returns (Out);
      rpc Get(In) returns (Out) { option (google.api.http) = { get: "/val/{id}" }; }
    }
    service Act {
      rpc One(In) returns (Out);
      rpc Up(stream In) returns (Out);
      rpc Down(In) returns (stream Out) { option (google.api.http) = { get: "/down/{id}" }; }
      rpc Both(stream In) returns (stream Out);
    }
    service Hidden { rpc Do(In) returns (Out); }"#;

pub(super) const EVENT_SOURCED: &str = crate::spec::EVENT_SOURCED;
pub(super) const VALUE: &str = crate::spec::VALUE;
pub(super) const ACTION: &str = crate::spec::ACTION;
pub(super) const FUNCTION: &str = crate::spec::FUNCTION;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct In {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) text: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Out {
    #[prost(string, tag = "1")]
    pub(super) text: String,
    #[prost(int64, tag = "2")]
    pub(super) number: i64,
}

pub(super) fn input(id: &str, text: &str) -> In {
    let (id, text) = (id.into(), text.into());
    In { id, text }
}

pub(super) fn any(type_url: &str, value: &[u8]) -> Any {
    Any {
        type_url: type_url.into(),
        value: value.into(),
    }
}

pub(super) fn in_any(id: &str, text: &str) -> Any {
    any("type.googleapis.com/t.In", &input(id, text).encode_to_vec())
}

pub(super) fn out_any(text: &str) -> Any {
    let out = Out {
        text: text.into(),
        number: 0,
    };
    any("type.googleapis.com/t.Out", &out.encode_to_vec())
}

/// An event, a snapshot, a value.
pub(super) fn kept(text: &str) -> Any {
    any("type.googleapis.com/t.Kept", text.as_bytes())
}

pub(super) fn set(body: &str) -> bytes::Bytes {
    let set = testing::compiled(&[("t.proto", &testing::file(body))]);
    set.encode_to_vec().into()
}

pub(super) fn entity(kind: &str, service: &str, persistence_id: &str) -> Entity {
    Entity {
        entity_type: kind.into(),
        service_name: format!("t.{service}"),
        persistence_id: persistence_id.into(),
        passivation_strategy: None,
    }
}

pub(super) fn passivated_after(milliseconds: i64, entity: Entity) -> Entity {
    let timeout = TimeoutPassivationStrategy {
        timeout: milliseconds,
    };
    Entity {
        passivation_strategy: Some(EntityPassivationStrategy {
            strategy: Some(Strategy::Timeout(timeout)),
        }),
        ..entity
    }
}

pub(super) fn spec_of(proto: &str, version: (i32, i32), entities: Vec<Entity>) -> EntitySpec {
    EntitySpec {
        proto: set(proto),
        entities,
        service_info: Some(ServiceInfo {
            support_library_name: "fake".into(),
            support_library_version: "1".into(),
            protocol_major_version: version.0,
            protocol_minor_version: version.1,
            ..ServiceInfo::default()
        }),
    }
}

/// Dialect N with an entity of each kind and an action.
pub(super) fn new_spec() -> EntitySpec {
    let entities = vec![
        entity(EVENT_SOURCED, "Log", "log"),
        entity(VALUE, "Val", "val"),
        entity(ACTION, "Act", ""),
    ];
    spec_of(PROTO, (0, 2), entities)
}

/// Dialect L with what it knows.
pub(super) fn old_spec() -> EntitySpec {
    let entities = vec![entity(EVENT_SOURCED, "Log", "log"), entity(FUNCTION, "Act", "")];
    spec_of(PROTO, (0, 0), entities)
}

fn es_in(message: event_sourced_stream_in::Message) -> EventSourcedStreamIn {
    EventSourcedStreamIn {
        message: Some(message),
    }
}

pub(super) fn init(id: &str, snapshot: Option<(i64, Any)>) -> EventSourcedStreamIn {
    es_in(event_sourced_stream_in::Message::Init(EventSourcedInit {
        service_name: "t.Log".into(),
        entity_id: id.into(),
        snapshot: snapshot.map(|(snapshot_sequence, snapshot)| EventSourcedSnapshot {
            snapshot_sequence,
            snapshot: Some(snapshot),
        }),
    }))
}

pub(super) fn event(sequence: i64, payload: Any) -> EventSourcedStreamIn {
    es_in(event_sourced_stream_in::Message::Event(EventSourcedEvent {
        sequence,
        payload: Some(payload),
    }))
}

/// All that a command carries.
pub(super) fn command(id: i64, entity_id: &str, name: &str, text: &str) -> Command {
    Command {
        entity_id: entity_id.into(),
        id,
        name: name.into(),
        payload: Some(in_any(entity_id, text)),
        streamed: false,
        metadata: None,
    }
}

pub(super) fn es_command(id: i64, entity_id: &str, text: &str) -> EventSourcedStreamIn {
    let command = command(id, entity_id, "Do", text);
    es_in(event_sourced_stream_in::Message::Command(command))
}

pub(super) fn ve_command(id: i64, entity_id: &str, text: &str) -> ValueEntityStreamIn {
    ValueEntityStreamIn {
        message: Some(value_entity_stream_in::Message::Command(command(
            id, entity_id, "Do", text,
        ))),
    }
}

pub(super) fn ve_init(id: &str, value: Option<Any>) -> ValueEntityStreamIn {
    ValueEntityStreamIn {
        message: Some(value_entity_stream_in::Message::Init(ValueEntityInit {
            service_name: "t.Val".into(),
            entity_id: id.into(),
            state: Some(ValueEntityInitState { value }),
        })),
    }
}

fn act(action: Action) -> Option<ClientAction> {
    Some(ClientAction { action: Some(action) })
}

pub(super) fn reply_with(payload: Any) -> Action {
    Action::Reply(Reply {
        payload: Some(payload),
        metadata: None,
    })
}

pub(super) fn reply(text: &str) -> Action {
    reply_with(out_any(text))
}

/// A failure as a client action.
pub(super) fn failing(text: &str) -> Action {
    Action::Failure(Failure {
        command_id: 0,
        description: text.into(),
        restart: false,
    })
}

pub(super) fn restarting(text: &str) -> Action {
    Action::Failure(Failure {
        command_id: 0,
        description: text.into(),
        restart: true,
    })
}

pub(super) fn forward(service: &str, command: &str, payload: Any) -> Action {
    Action::Forward(Forward {
        service_name: service.into(),
        command_name: command.into(),
        payload: Some(payload),
        metadata: None,
    })
}

pub(super) fn effect(service: &str, command: &str, payload: Any, synchronous: bool) -> SideEffect {
    SideEffect {
        service_name: service.into(),
        command_name: command.into(),
        payload: Some(payload),
        synchronous,
        metadata: None,
    }
}

/// An answer of an event sourced entity.
pub(super) fn es(command_id: i64, action: Action) -> EventSourcedReply {
    EventSourcedReply {
        command_id,
        client_action: act(action),
        ..EventSourcedReply::default()
    }
}

pub(super) fn emitting(reply: EventSourcedReply, events: &[&str]) -> EventSourcedReply {
    EventSourcedReply {
        events: events.iter().map(|event| kept(event)).collect(),
        ..reply
    }
}

pub(super) fn snapshot(reply: EventSourcedReply, snapshot: &str) -> EventSourcedReply {
    EventSourcedReply {
        snapshot: Some(kept(snapshot)),
        ..reply
    }
}

pub(super) fn es_out(reply: EventSourcedReply) -> EventSourcedStreamOut {
    EventSourcedStreamOut {
        message: Some(event_sourced_stream_out::Message::Reply(reply)),
    }
}

/// A failure that is no answer.
pub(super) fn es_failure(command_id: i64, description: &str) -> EventSourcedStreamOut {
    EventSourcedStreamOut {
        message: Some(event_sourced_stream_out::Message::Failure(Failure {
            command_id,
            description: description.into(),
            restart: false,
        })),
    }
}

pub(super) fn ve(command_id: i64, action: Action) -> ValueEntityReply {
    ValueEntityReply {
        command_id,
        client_action: act(action),
        ..ValueEntityReply::default()
    }
}

pub(super) fn updating(reply: ValueEntityReply, value: Option<Any>) -> ValueEntityReply {
    let update = value_entity_action::Action::Update(ValueEntityUpdate { value });
    ValueEntityReply {
        state_action: Some(ValueEntityAction { action: Some(update) }),
        ..reply
    }
}

pub(super) fn deleting(reply: ValueEntityReply) -> ValueEntityReply {
    let delete = value_entity_action::Action::Delete(ValueEntityDelete {});
    ValueEntityReply {
        state_action: Some(ValueEntityAction { action: Some(delete) }),
        ..reply
    }
}

pub(super) fn ve_out(reply: ValueEntityReply) -> ValueEntityStreamOut {
    ValueEntityStreamOut {
        message: Some(value_entity_stream_out::Message::Reply(reply)),
    }
}

pub(super) fn ve_failure(command_id: i64, description: &str) -> ValueEntityStreamOut {
    ValueEntityStreamOut {
        message: Some(value_entity_stream_out::Message::Failure(Failure {
            command_id,
            description: description.into(),
            restart: false,
        })),
    }
}

/// What a function without state answers.
pub(super) fn response(action: Option<Action>) -> ActionResponse {
    ActionResponse {
        response: action.map(|action| match action {
            Action::Reply(reply) => action_response::Response::Reply(reply),
            Action::Forward(forward) => action_response::Response::Forward(forward),
            Action::Failure(failure) => action_response::Response::Failure(failure),
        }),
        side_effects: vec![],
    }
}

pub(super) fn entry(key: &str, value: &str) -> MetadataEntry {
    MetadataEntry {
        key: key.into(),
        value: Some(Value::StringValue(value.into())),
    }
}

/// A command to the action, without what its transport has added.
pub(super) fn act_command(name: &str, payload: Option<Any>, metadata: Option<Metadata>) -> ActionCommand {
    ActionCommand {
        service_name: "t.Act".into(),
        name: name.into(),
        payload,
        metadata,
    }
}
