//! `belay subscribe`.

use std::io;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use wire::layotto::subscribe_topic_events_request::SubscribeTopicEventsRequestType as Request;
use wire::layotto::subscribe_topic_events_response::SubscribeTopicEventsResponseType as Message;
use wire::layotto::topic_event_response::TopicEventResponseStatus as Answer;
use wire::layotto::{
    SubscribeTopicEventsRequest, SubscribeTopicEventsRequestInitial, SubscribeTopicEventsRequestProcessed,
    SubscribeTopicEventsResponse, TopicEventRequest, TopicEventResponse,
};

use super::connection::Connection;
use super::console::Form;
use super::failure::Call;
use super::{Common, Console, Exit, Failure, payload};
use crate::cli::Report;

/// The consumer group, in a subscription's metadata.
const GROUP: &str = "consumerID";

/// Requests that wait to be sent; one event is printed at a time, so there is hardly ever more than one.
const REQUESTS_MAX: usize = 4;

/// How long the end waits until the server has taken the last answers.
const END_TIMEOUT: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(in crate::cli) struct Subscribe {
    /// The topic.
    topic: String,
    /// Name of the publish/subscribe component.
    #[arg(long, value_name = "NAME", default_value = "pub_subs_demo")]
    pubsub: String,
    /// Consumer group: its members share the events, and what it has settled does not come again.
    #[arg(long, value_name = "NAME", default_value = "cli")]
    group: String,
    /// End after so many events.
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Ask for every event again after it was printed.
    #[arg(long, conflicts_with = "drop")]
    retry: bool,
    /// Give every event up after it was printed: it goes to the dead-letter topic, if there is one.
    #[arg(long)]
    drop: bool,
    #[command(flatten)]
    pub(super) common: Common,
}

/// A stream of events, and the way back for their answers.
struct Subscription<'a> {
    arguments: &'a Subscribe,
    connection: Connection,
    events: Streaming<SubscribeTopicEventsResponse>,
    answers: mpsc::Sender<SubscribeTopicEventsRequest>,
}

impl Subscribe {
    pub(super) async fn run(&self, console: &mut Console<'_>) -> Result<Exit, Failure> {
        let mut subscription = self.open().await?;
        // Only now: until here a signal just ends the process.
        let mut stop = Stop::new().map_err(|cause| {
            let report = Report::uncoded(format!("signals cannot be listened for: {cause}"));
            Failure::new(report, Exit::Failed)
        })?;
        let ended = self.events(&mut subscription, &mut stop, console).await;
        // Whatever ended it: what was printed is to be settled.
        subscription.end().await;
        ended.map(|()| Exit::Ok)
    }

    /// Until there were enough, or somebody wants it to stop.
    async fn events(
        &self,
        subscription: &mut Subscription<'_>,
        stop: &mut Stop,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let mut left = self.count.unwrap_or(u64::MAX);
        while left > 0 {
            tokio::select! {
                message = subscription.next() => {
                    if subscription.take(message?, console).await? {
                        left -= 1;
                    }
                }
                () = stop.asked() => break,
            }
        }
        Ok(())
    }

    fn call(&self) -> Call<'_> {
        Call {
            name: "SubscribeTopicEvents",
            component: &self.pubsub,
            flag: "--pubsub",
        }
    }

    async fn open(&self) -> Result<Subscription<'_>, Failure> {
        let connection = self.common.connect().await?;
        let (answers, requests) = mpsc::channel(REQUESTS_MAX);
        let initial = SubscribeTopicEventsRequestInitial {
            pubsub_name: self.pubsub.clone(),
            topic: self.topic.clone(),
            metadata: [(GROUP.to_owned(), self.group.clone())].into(),
            dead_letter_topic: None,
        };
        answers
            .try_send(request(Request::InitialRequest(initial)))
            .expect("the channel is new, and has room");
        let mut client = connection.runtime();
        let stream = client.subscribe_topic_events(ReceiverStream::new(requests));
        let events = connection.answer(self.call(), stream).await?.into_inner();
        Ok(Subscription {
            arguments: self,
            connection,
            events,
            answers,
        })
    }

    fn answer(&self) -> Answer {
        match (self.retry, self.drop) {
            (true, _) => Answer::Retry,
            (_, true) => Answer::Drop,
            _ => Answer::Success,
        }
    }
}

fn request(request: Request) -> SubscribeTopicEventsRequest {
    SubscribeTopicEventsRequest {
        subscribe_topic_events_request_type: Some(request),
    }
}

impl Subscription<'_> {
    /// Cancel safe: what was not taken is still there.
    async fn next(&mut self) -> Result<Message, Failure> {
        loop {
            let message = self.events.message().await;
            let message =
                message.map_err(|status| self.connection.failure(self.arguments.call(), &status))?;
            let Some(message) = message else {
                let report = Report::uncoded("the subscription was ended by the server")
                    .next("subscribe again; unsettled events come again");
                return Err(Failure::new(report, Exit::Failed));
            };
            if let Some(message) = message.subscribe_topic_events_response_type {
                return Ok(message);
            }
        }
    }

    /// Prints an event, then settles it; says whether it was one.
    async fn take(&mut self, message: Message, console: &mut Console<'_>) -> Result<bool, Failure> {
        let form = self.arguments.common.form();
        match message {
            Message::InitialResponse(_) => {
                if form == Form::Text {
                    let Subscribe { topic, group, .. } = self.arguments;
                    console.note(format_args!(
                        "subscribed to {topic} as group {group}, Ctrl-C to stop"
                    ));
                }
                Ok(false)
            }
            Message::EventMessage(event) => {
                let text = payload::shown(&event.data);
                console.say(form, text.strip_suffix('\n').unwrap_or(&text), &json(&event))?;
                self.settle(event.id).await;
                Ok(true)
            }
        }
    }

    async fn settle(&self, id: String) {
        let status = self.arguments.answer().into();
        let processed = SubscribeTopicEventsRequestProcessed {
            id,
            status: Some(TopicEventResponse { status }),
        };
        // A stream that has ended says why to whoever reads on.
        drop(
            self.answers
                .send(request(Request::EventProcessed(processed)))
                .await,
        );
    }

    /// Closes this side, and waits until the server has read it to the end: only then the last answer has surely arrived.
    async fn end(self) {
        let Subscription {
            answers, mut events, ..
        } = self;
        drop(answers);
        let ended = async { while let Ok(Some(_)) = events.message().await {} };
        drop(tokio::time::timeout(END_TIMEOUT, ended).await);
    }
}

/// The names are those of CloudEvents, except for the wire's own.
fn json(event: &TopicEventRequest) -> Value {
    let mut object = Map::new();
    for (name, text) in [
        ("id", &event.id),
        ("topic", &event.topic),
        ("pubsub", &event.pubsub_name),
        ("source", &event.source),
        ("type", &event.r#type),
        ("content_type", &event.data_content_type),
    ] {
        object.insert(name.to_owned(), text.clone().into());
    }
    payload::put(&mut object, "data", &event.data);
    Value::Object(object)
}

/// Ctrl-C, or a supervisor's wish.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> io::Result<Stop> {
        Ok(Stop {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
