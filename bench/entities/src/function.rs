//! A user function that does as little as it can: `bench.Counters`, event sourced, dialect N, no snapshots. It insists on events in order.

use std::collections::HashMap;
use std::pin::Pin;

use futures::Stream;
use prost::Message;
use prost_types::Any;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use tonic::{Request, Response, Status, Streaming};
use wire::cloudstate::client_action::Action;
use wire::cloudstate::entity_discovery_server::{EntityDiscovery, EntityDiscoveryServer};
use wire::cloudstate::eventsourced::event_sourced_server::{EventSourced, EventSourcedServer};
use wire::cloudstate::eventsourced::{
    EventSourcedReply, EventSourcedStreamIn, EventSourcedStreamOut, event_sourced_stream_in,
    event_sourced_stream_out,
};
use wire::cloudstate::{
    ClientAction, Command, Entity, EntitySpec, ProxyInfo, Reply, ServiceInfo, UserFunctionError,
};

/// An entity that is active is a stream.
const STREAMS_MAX: u32 = 100_000;
const ADDED: &str = "type.googleapis.com/bench.Added";
const SUM: &str = "type.googleapis.com/bench.Sum";

/// `GetSum` has the first field only.
#[derive(Clone, PartialEq, Message)]
pub struct AddEvents {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(int32, tag = "2")]
    pub events: i32,
}

#[derive(Clone, PartialEq, Message)]
pub struct Sum {
    #[prost(int64, tag = "1")]
    pub value: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Added {
    #[prost(int64, tag = "1")]
    by: i64,
}

pub fn serve(listen: &str) -> Result<(), String> {
    let address = listen.parse().map_err(|e| format!("{listen}: {e}"))?;
    let runtime = tokio::runtime::Runtime::new().map_err(|e| e.to_string())?;
    let discovery = Discovery {
        proto: descriptors()?.into(),
    };
    let server = tonic::transport::Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_pending_accept_reset_streams(Some(STREAMS_MAX as usize))
        .add_service(EntityDiscoveryServer::new(discovery))
        .add_service(EventSourcedServer::new(Counters));
    runtime.block_on(server.serve(address)).map_err(|e| e.to_string())
}

// ---------------------------------------------------------------- discovery

struct Discovery {
    proto: bytes::Bytes,
}

#[tonic::async_trait]
impl EntityDiscovery for Discovery {
    async fn discover(&self, _: Request<ProxyInfo>) -> Result<Response<EntitySpec>, Status> {
        let counters = Entity {
            entity_type: "cloudstate.eventsourced.EventSourced".into(),
            service_name: "bench.Counters".into(),
            persistence_id: "counters".into(),
            passivation_strategy: None,
        };
        let info = ServiceInfo {
            service_name: "bench".into(),
            protocol_major_version: 0,
            protocol_minor_version: 2,
            ..ServiceInfo::default()
        };
        Ok(Response::new(EntitySpec {
            proto: self.proto.clone(),
            entities: vec![counters],
            service_info: Some(info),
        }))
    }

    async fn report_error(&self, request: Request<UserFunctionError>) -> Result<Response<()>, Status> {
        eprintln!("the proxy reports: {}", request.into_inner().message);
        Ok(Response::new(()))
    }
}

/// A `FileDescriptorSet` of what is under `proto/`.
fn descriptors() -> Result<Vec<u8>, String> {
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources(HashMap::from([
        ("counters.proto", include_str!("../proto/counters.proto")),
        (
            "cloudstate/entity_key.proto",
            include_str!("../proto/cloudstate/entity_key.proto"),
        ),
    ])));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler.open_file("counters.proto").map_err(|e| e.to_string())?;
    Ok(compiler.encode_file_descriptor_set())
}

struct Sources(HashMap<&'static str, &'static str>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(source) => File::from_source(name, source),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

// ---------------------------------------------------------------- counters

struct Counters;

#[tonic::async_trait]
impl EventSourced for Counters {
    type handleStream = Pin<Box<dyn Stream<Item = Result<EventSourcedStreamOut, Status>> + Send>>;

    async fn handle(
        &self,
        request: Request<Streaming<EventSourcedStreamIn>>,
    ) -> Result<Response<Self::handleStream>, Status> {
        let state = (request.into_inner(), Counter::default());
        let answers = futures::stream::try_unfold(state, |(mut messages, mut counter)| async move {
            while let Some(said) = messages.message().await? {
                if let Some(answer) = counter.hear(said)? {
                    return Ok(Some((answer, (messages, counter))));
                }
            }
            Ok(None)
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

#[derive(Default)]
struct Counter {
    /// Of the last event.
    sequence: i64,
    sum: i64,
}

impl Counter {
    fn hear(&mut self, said: EventSourcedStreamIn) -> Result<Option<EventSourcedStreamOut>, Status> {
        use event_sourced_stream_in::Message::{Command, Event, Init};
        match said.message {
            Some(Init(init)) if init.snapshot.is_none() => Ok(None),
            Some(Event(event)) if event.sequence == self.sequence + 1 => {
                let event = event.payload.unwrap_or_default();
                self.sequence += 1;
                self.sum += Added::decode(event.value.as_slice()).map_err(unreadable)?.by;
                Ok(None)
            }
            Some(Command(command)) => self.answer(command).map(Some),
            other => Err(Status::failed_precondition(format!(
                "after event {}: {other:?}",
                self.sequence
            ))),
        }
    }

    fn answer(&mut self, command: Command) -> Result<EventSourcedStreamOut, Status> {
        let payload = command.payload.unwrap_or_default();
        let asked = AddEvents::decode(payload.value.as_slice()).map_err(unreadable)?;
        let count = match command.name.as_str() {
            "Add" => asked.events.max(0),
            "Get" => 0,
            name => return Err(Status::unimplemented(name)),
        };
        self.sequence += i64::from(count);
        self.sum += i64::from(count);
        let reply = Reply {
            payload: Some(any(SUM, &Sum { value: self.sum })),
            metadata: None,
        };
        let answer = EventSourcedReply {
            command_id: command.id,
            client_action: Some(ClientAction {
                action: Some(Action::Reply(reply)),
            }),
            events: (0..count).map(|_| any(ADDED, &Added { by: 1 })).collect(),
            ..EventSourcedReply::default()
        };
        Ok(EventSourcedStreamOut {
            message: Some(event_sourced_stream_out::Message::Reply(answer)),
        })
    }
}

fn any(type_url: &str, message: &impl Message) -> Any {
    Any {
        type_url: type_url.into(),
        value: message.encode_to_vec(),
    }
}

fn unreadable(e: prost::DecodeError) -> Status {
    Status::invalid_argument(e.to_string())
}
