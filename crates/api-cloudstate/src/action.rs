//! Calls of actions: what dialect L calls stateless functions.

use std::time::Duration;

use base::{Error, codes, limits};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use http::uri::PathAndQuery;
use prost_types::Any;
use tokio::time::timeout;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;
use wire::cloudstate::ClientAction;
use wire::cloudstate::action::{ActionCommand, ActionResponse, action_response};
use wire::cloudstate::client_action::Action;

use crate::entity::Outcome;
use crate::error::Refusal;
use crate::function::Line;
use crate::routing::Ask;
use crate::spec::Dialect;

type Codec = ProstCodec<ActionCommand, ActionResponse>;

/// Payloads of a client's stream, or why it broke off.
pub(crate) type Payloads = BoxStream<'static, Result<bytes::Bytes, Status>>;

/// `patience`: how long the function may take.
pub(crate) async fn unary(ask: &Ask, patience: Duration) -> Result<Outcome, Refusal> {
    let (mut client, path) = client(ask, "handleUnary").await?;
    let asked = client.unary(Request::new(whole(ask)), path, Codec::default());
    let response = timeout(patience, asked).await.map_err(|_| late(ask, patience))?;
    response
        .map(|response| outcome(response.into_inner()))
        .map_err(Refusal::from)
}

fn late(ask: &Ask, patience: Duration) -> Refusal {
    let (function, service, method) = (
        ask.service.function.authority(),
        &ask.service.name,
        &ask.command.method.name,
    );
    let message = format!("user function {function} has not answered {service}/{method} within {patience:?}");
    Error::new(codes::DEADLINE_EXCEEDED, message).into()
}

pub(crate) async fn streamed_in(ask: &Ask, payloads: Payloads) -> Result<Outcome, Refusal> {
    let (mut client, path) = client(ask, "handleStreamedIn").await?;
    let commands = Request::new(commands(ask, payloads));
    let response = client.client_streaming(commands, path, Codec::default()).await;
    response
        .map(|response| outcome(response.into_inner()))
        .map_err(Refusal::from)
}

pub(crate) async fn streamed_out(ask: &Ask) -> Result<Streaming<ActionResponse>, Refusal> {
    let (mut client, path) = client(ask, "handleStreamedOut").await?;
    let response = client
        .server_streaming(Request::new(whole(ask)), path, Codec::default())
        .await;
    response.map(tonic::Response::into_inner).map_err(Refusal::from)
}

pub(crate) async fn streamed(ask: &Ask, payloads: Payloads) -> Result<Streaming<ActionResponse>, Refusal> {
    let (mut client, path) = client(ask, "handleStreamed").await?;
    let commands = Request::new(commands(ask, payloads));
    let response = client.streaming(commands, path, Codec::default()).await;
    response.map(tonic::Response::into_inner).map_err(Refusal::from)
}

async fn client(ask: &Ask, method: &str) -> Result<(tonic::client::Grpc<Line>, PathAndQuery), Refusal> {
    let service = match ask.service.dialect {
        Dialect::L => crate::spec::FUNCTION,
        Dialect::N => crate::spec::ACTION,
    };
    let path = PathAndQuery::try_from(format!("/{service}/{method}"))
        .map_err(|_| Refusal::invalid(format!("{method} is no method")))?;
    let mut client = tonic::client::Grpc::new(ask.service.function.here().await?)
        .max_decoding_message_size(limits::FUNCTION_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(usize::MAX);
    client
        .ready()
        .await
        .map_err(|cause| ask.service.function.unreachable(&cause))?;
    Ok((client, path))
}

/// A command that is one message.
fn whole(ask: &Ask) -> ActionCommand {
    ActionCommand {
        payload: Some(payload(ask, ask.payload.clone())),
        ..opening(ask)
    }
}

fn opening(ask: &Ask) -> ActionCommand {
    ActionCommand {
        service_name: ask.service.name.clone(),
        name: ask.command.method.name.clone(),
        payload: None,
        metadata: (ask.service.dialect == Dialect::N).then(|| ask.metadata.clone()),
    }
}

fn payload(ask: &Ask, value: bytes::Bytes) -> Any {
    Any {
        type_url: ask.command.input_url.clone(),
        value: value.into(),
    }
}

/// In dialect N an opening that names the command, then payloads; in L every message has both.
fn commands(ask: &Ask, payloads: Payloads) -> impl Stream<Item = ActionCommand> + Send + 'static {
    let dialect = ask.service.dialect;
    let first = (dialect == Dialect::N).then(|| opening(ask));
    let ask = ask.clone();
    let later = whole_stream(payloads).map(move |value| ActionCommand {
        payload: Some(payload(&ask, value)),
        ..match dialect {
            Dialect::L => opening(&ask),
            Dialect::N => ActionCommand {
                metadata: Some(wire::cloudstate::Metadata::default()),
                ..ActionCommand::default()
            },
        }
    });
    futures::stream::iter(first).chain(later)
}

/// A client's stream that broke off never ends: its call is dropped, so that the function does not take it for whole.
fn whole_stream(payloads: Payloads) -> impl Stream<Item = bytes::Bytes> + Send + 'static {
    payloads.filter_map(|payload| async move {
        match payload {
            Ok(payload) => Some(payload),
            Err(_) => std::future::pending().await,
        }
    })
}

pub(crate) fn outcome(response: ActionResponse) -> Outcome {
    let action = response.response.map(|response| match response {
        action_response::Response::Failure(failure) => Action::Failure(failure),
        action_response::Response::Reply(reply) => Action::Reply(reply),
        action_response::Response::Forward(forward) => Action::Forward(forward),
    });
    Outcome {
        action: action.map(|action| ClientAction { action: Some(action) }),
        effects: response.side_effects,
    }
}
