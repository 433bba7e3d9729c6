//! How event sourced and value entities differ.

use crate::spec::Service;
use async_trait::async_trait;
use base::Result;
use machines::engine::PartScan;
use machines::entity::rows::{self, Payload};
use machines::entity::{Command as Change, Query, Reply};
use machines::{Address, Engine, Question, Stored};
use prost::Message;
use prost_types::Any;
use wire::cloudstate::eventsourced::{self as es, event_sourced_stream_in, event_sourced_stream_out};
use wire::cloudstate::valueentity::{
    self as ve, value_entity_action, value_entity_stream_in, value_entity_stream_out,
};
use wire::cloudstate::{ClientAction, Command, Failure, SideEffect};

/// What a function says on a stream.
pub(super) enum Said {
    Reply {
        command: i64,
        action: Option<ClientAction>,
        effects: Vec<SideEffect>,
        changed: Changed,
    },
    Failure(Failure),
    Nothing,
}

/// What a reply asks to be stored.
#[derive(Default)]
pub(super) enum Changed {
    #[default]
    Nothing,
    Events {
        events: Vec<Payload>,
        snapshot: Option<Payload>,
    },
    Value(Option<Payload>),
    /// The protocol does not know it.
    Nonsense,
}

impl Changed {
    /// `after`: what the entity is at. `None`: nothing is stored.
    pub(super) fn change(self, after: u64) -> Option<Change> {
        match self {
            Changed::Nothing | Changed::Nonsense => None,
            Changed::Events { events, snapshot } => Some(Change::Append {
                after,
                events,
                snapshot,
            }),
            Changed::Value(value) => Some(Change::Put { after, value }),
        }
    }
}

/// What an entity begins with.
pub(super) struct Kept<In> {
    pub(super) init: In,
    /// The last of its events, or its value's version.
    pub(super) sequence: u64,
    /// Of the last event in the snapshot.
    pub(super) snapshot: u64,
}

#[async_trait]
pub(super) trait Kind: Send + Sync + 'static {
    type In: Message + 'static;
    type Out: Message + Default + 'static;

    const PATH: &'static str;
    /// As it stands in the reference's texts.
    const NAME: &'static str;
    /// What an empty message is called there.
    const EMPTY: &'static str;

    async fn kept(
        engine: &dyn Engine,
        address: &Address,
        service: &Service,
        id: &str,
    ) -> Result<Kept<Self::In>>;

    /// `None`: this kind has none.
    fn event(sequence: u64, payload: Payload) -> Option<Self::In>;

    fn command(command: Command) -> Self::In;

    fn said(message: Self::Out) -> Said;
}

pub(super) struct EventSourced;

#[async_trait]
impl Kind for EventSourced {
    type In = es::EventSourcedStreamIn;
    type Out = es::EventSourcedStreamOut;

    const PATH: &'static str = "/cloudstate.eventsourced.EventSourced/handle";
    const NAME: &'static str = "entity";
    const EMPTY: &'static str = "message";

    async fn kept(
        engine: &dyn Engine,
        address: &Address,
        service: &Service,
        id: &str,
    ) -> Result<Kept<Self::In>> {
        let Reply::Look { head, kept } = Query::Snapshot.ask(engine, address).await? else {
            return Err(strange());
        };
        let mut head = head.unwrap_or_default();
        let kept = kept.filter(|_| service.loads_snapshots);
        if kept.is_none() {
            head.snapshot_sequence = 0;
        }
        let snapshot = kept.map(|payload| es::EventSourcedSnapshot {
            snapshot_sequence: head.snapshot_sequence.cast_signed(),
            snapshot: Some(any(payload)),
        });
        let init = es::EventSourcedInit {
            service_name: service.name.clone(),
            entity_id: id.to_owned(),
            snapshot,
        };
        Ok(Kept {
            init: es_in(event_sourced_stream_in::Message::Init(init)),
            sequence: head.sequence,
            snapshot: head.snapshot_sequence,
        })
    }

    fn event(sequence: u64, payload: Payload) -> Option<Self::In> {
        let event = es::EventSourcedEvent {
            sequence: sequence.cast_signed(),
            payload: Some(any(payload)),
        };
        Some(es_in(event_sourced_stream_in::Message::Event(event)))
    }

    fn command(command: Command) -> Self::In {
        es_in(event_sourced_stream_in::Message::Command(command))
    }

    fn said(message: Self::Out) -> Said {
        match message.message {
            Some(event_sourced_stream_out::Message::Reply(reply)) => Said::Reply {
                command: reply.command_id,
                action: reply.client_action,
                effects: reply.side_effects,
                changed: match reply.events.is_empty() {
                    // A snapshot alone is not taken: it is of a state that has not changed.
                    true => Changed::Nothing,
                    false => Changed::Events {
                        events: reply.events.into_iter().map(payload).collect(),
                        snapshot: reply.snapshot.map(payload),
                    },
                },
            },
            Some(event_sourced_stream_out::Message::Failure(failure)) => Said::Failure(failure),
            None => Said::Nothing,
        }
    }
}

fn es_in(message: event_sourced_stream_in::Message) -> es::EventSourcedStreamIn {
    es::EventSourcedStreamIn {
        message: Some(message),
    }
}

pub(super) struct Value;

#[async_trait]
impl Kind for Value {
    type In = ve::ValueEntityStreamIn;
    type Out = ve::ValueEntityStreamOut;

    const PATH: &'static str = "/cloudstate.valueentity.ValueEntity/handle";
    const NAME: &'static str = "Value entity";
    const EMPTY: &'static str = "failure";

    async fn kept(
        engine: &dyn Engine,
        address: &Address,
        service: &Service,
        id: &str,
    ) -> Result<Kept<Self::In>> {
        let Reply::Look { head, kept } = Query::Look.ask(engine, address).await? else {
            return Err(strange());
        };
        let init = ve::ValueEntityInit {
            service_name: service.name.clone(),
            entity_id: id.to_owned(),
            state: Some(ve::ValueEntityInitState { value: kept.map(any) }),
        };
        let sequence = head.map_or(0, |head| head.sequence);
        Ok(Kept {
            init: ve_in(value_entity_stream_in::Message::Init(init)),
            sequence,
            snapshot: sequence,
        })
    }

    fn event(_sequence: u64, _payload: Payload) -> Option<Self::In> {
        None
    }

    fn command(command: Command) -> Self::In {
        ve_in(value_entity_stream_in::Message::Command(command))
    }

    fn said(message: Self::Out) -> Said {
        match message.message {
            Some(value_entity_stream_out::Message::Reply(reply)) => Said::Reply {
                command: reply.command_id,
                action: reply.client_action,
                effects: reply.side_effects,
                changed: match reply.state_action.map(|action| action.action) {
                    None | Some(None) => Changed::Nothing,
                    Some(Some(value_entity_action::Action::Delete(_))) => Changed::Value(None),
                    Some(Some(value_entity_action::Action::Update(update))) => match update.value {
                        Some(value) => Changed::Value(Some(payload(value))),
                        None => Changed::Nonsense,
                    },
                },
            },
            Some(value_entity_stream_out::Message::Failure(failure)) => Said::Failure(failure),
            None => Said::Nothing,
        }
    }
}

fn ve_in(message: value_entity_stream_in::Message) -> ve::ValueEntityStreamIn {
    ve::ValueEntityStreamIn {
        message: Some(message),
    }
}

/// Events behind a snapshot, or behind those that were read before: sequences and payloads.
pub(super) fn events(engine: &dyn Engine, address: &Address, after: u64) -> Result<PartScanOf> {
    Ok(PartScanOf {
        snapshot: engine.snapshot(address)?,
        scan: PartScan {
            part: rows::EVENT,
            prefix: bytes::Bytes::new(),
            after: Some(bytes::Bytes::copy_from_slice(&after.to_be_bytes())),
            limit: base::limits::ENTITY_EVENTS_PAGE,
            descending: false,
        },
    })
}

/// One page of events, as they are stored now.
pub(super) struct PartScanOf {
    snapshot: Box<dyn machines::engine::Snapshot>,
    scan: PartScan,
}

impl PartScanOf {
    pub(super) async fn page(self) -> Result<Vec<(u64, Payload)>> {
        let page = self.snapshot.scan(self.scan).await?;
        let event = |(suffix, row): (bytes::Bytes, bytes::Bytes)| {
            let sequence = rows::sequence(&suffix).unwrap_or_default();
            rows::Event::from_row(&row).map(|event| (sequence, event.payload))
        };
        page.rows.into_iter().map(event).collect()
    }
}

pub(super) fn any(payload: Payload) -> Any {
    Any {
        type_url: payload.type_url,
        value: payload.value.into(),
    }
}

pub(super) fn payload(any: Any) -> Payload {
    Payload {
        type_url: any.type_url,
        value: any.value.into(),
    }
}

fn strange() -> base::Error {
    base::Error::new(base::codes::INTERNAL, "an entity has answered something else")
}

/// What fuzzers say on either stream, up to what would be stored.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn heard(bytes: &[u8]) {
    let events = es::EventSourcedStreamOut::decode(bytes).map(EventSourced::said);
    let value = ve::ValueEntityStreamOut::decode(bytes).map(Value::said);
    for said in [events, value].into_iter().flatten() {
        if let Said::Reply { changed, .. } = said {
            let _ = changed.change(7);
        }
    }
}
