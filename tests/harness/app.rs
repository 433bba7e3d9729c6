//! An application beside Belay: its callback server, in this process, programmable by the test.

use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};
use wire::layotto::app_callback_server::{AppCallback, AppCallbackServer};
use wire::layotto::topic_event_response::TopicEventResponseStatus as Answer;
use wire::layotto::{
    ListTopicSubscriptionsResponse, TopicEventRequest, TopicEventResponse, TopicSubscription,
};

type Handler = dyn Fn(&TopicEventRequest) -> Result<Answer, Status> + Send + Sync;

/// Answers every event as its handler says, and passes it on to the test.
pub struct App {
    pub port: u16,
    pub events: mpsc::Receiver<TopicEventRequest>,
    serving: tokio::task::JoinHandle<()>,
}

/// Events that wait for the test.
const EVENTS_MAX: usize = 100_000;

struct Callback {
    topics: Vec<(String, String)>,
    handler: Arc<Handler>,
    events: mpsc::Sender<TopicEventRequest>,
}

impl App {
    /// Subscribes to these `(pubsub, topic)`.
    pub async fn serve(
        topics: &[(&str, &str)],
        handler: impl Fn(&TopicEventRequest) -> Result<Answer, Status> + Send + Sync + 'static,
    ) -> App {
        App::serve_at(0, topics, handler).await
    }

    pub async fn serve_at(
        port: u16,
        topics: &[(&str, &str)],
        handler: impl Fn(&TopicEventRequest) -> Result<Answer, Status> + Send + Sync + 'static,
    ) -> App {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let topics = topics
            .iter()
            .map(|(pubsub, topic)| ((*pubsub).to_owned(), (*topic).to_owned()));
        let callback = Callback {
            topics: topics.collect(),
            handler: Arc::new(handler),
            events: sender,
        };
        let server = tonic::transport::Server::builder()
            .add_service(AppCallbackServer::new(callback))
            .serve_with_incoming(TcpListenerStream::new(listener));
        #[allow(clippy::disallowed_methods, reason = "the test holds its handle and ends it")]
        let serving = tokio::spawn(async move { server.await.expect("it serves") });
        App {
            port,
            events,
            serving,
        }
    }

    pub async fn next(&mut self) -> TopicEventRequest {
        tokio::time::timeout(crate::PATIENCE, self.events.recv())
            .await
            .expect("an event in time")
            .expect("the server runs")
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tonic::async_trait]
impl AppCallback for Callback {
    async fn list_topic_subscriptions(
        &self,
        _: Request<()>,
    ) -> Result<Response<ListTopicSubscriptionsResponse>, Status> {
        let subscription = |(pubsub_name, topic): &(String, String)| TopicSubscription {
            pubsub_name: pubsub_name.clone(),
            topic: topic.clone(),
            ..TopicSubscription::default()
        };
        let subscriptions = self.topics.iter().map(subscription).collect();
        Ok(Response::new(ListTopicSubscriptionsResponse { subscriptions }))
    }

    async fn on_topic_event(
        &self,
        request: Request<TopicEventRequest>,
    ) -> Result<Response<TopicEventResponse>, Status> {
        let event = request.into_inner();
        let answer = (self.handler)(&event);
        self.events
            .send(event)
            .await
            .map_err(|_| Status::unavailable("the test has ended"))?;
        answer.map(|status| {
            Response::new(TopicEventResponse {
                status: status.into(),
            })
        })
    }
}

/// A handler that refuses the first `n` deliveries of each event it is asked about.
pub fn refusing(
    n: usize,
    which: impl Fn(&TopicEventRequest) -> bool + Send + Sync + 'static,
) -> impl Fn(&TopicEventRequest) -> Result<Answer, Status> + Send + Sync + 'static {
    let seen = Mutex::new(std::collections::HashMap::<String, usize>::new());
    move |event| {
        let mut seen = seen.lock().expect("no test panics here");
        let count = seen.entry(event.id.clone()).or_default();
        *count += 1;
        Ok(if which(event) && *count <= n {
            Answer::Retry
        } else {
            Answer::Success
        })
    }
}
