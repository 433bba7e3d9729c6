//! `SubscribeConfiguration`: many subscriptions on one stream, each the stream's own.
//!
//! The stream is driven by whoever sends it: nothing is read from a store while the client has no room for more, so a slow
//! client costs its place in the store's log and no memory. It goes on after the client has closed its sending side, and
//! never carries a message without items, which clients do not expect.

use std::collections::HashSet;
use std::future::ready;
use std::sync::Arc;

use base::{Result, limits};
use futures::stream::{self, BoxStream, SelectAll};
use futures::{FutureExt, StreamExt};
use ports::config::{Changes, Filter};
use tonic::Status;
use wire::layotto as pb;

use super::coverage::Coverage;
use crate::components::Live;
use crate::{convert, error};

type Requests = BoxStream<'static, Result<pb::SubscribeConfigurationRequest, Status>>;
type Response = pb::SubscribeConfigurationResponse;

/// The subscriptions of one stream.
pub(super) struct Watches {
    live: Arc<Live>,
    /// `None` once the client has closed its side.
    requests: Option<Requests>,
    coverage: Coverage,
    running: SelectAll<BoxStream<'static, Result<Response, Status>>>,
}

enum Event {
    Asked(pb::SubscribeConfigurationRequest),
    HalfClosed,
    Out(Response),
    /// The client has closed its side and watches nothing, or something has failed.
    End(Option<Status>),
}

impl Watches {
    pub(super) fn new(live: Arc<Live>, requests: Requests) -> Watches {
        Watches {
            live,
            requests: Some(requests),
            coverage: Coverage::default(),
            running: SelectAll::new(),
        }
    }

    /// Ends behind the first error.
    pub(super) fn into_stream(self) -> BoxStream<'static, Result<Response, Status>> {
        stream::unfold(Some(self), |watches| async {
            let mut watches = watches?;
            match watches.next().await {
                Ok(Some(response)) => Some((Ok(response), Some(watches))),
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Response>, Status> {
        loop {
            match self.event().await {
                Event::Asked(request) => self.watch(request).await?,
                Event::HalfClosed => self.requests = None,
                Event::Out(response) => return Ok(Some(response)),
                Event::End(None) => return Ok(None),
                Event::End(Some(status)) => return Err(status),
            }
        }
    }

    /// Cancel safe: what has not been returned is still in its stream.
    async fn event(&mut self) -> Event {
        if self.requests.is_none() && self.running.is_empty() {
            return Event::End(None);
        }
        let requests = &mut self.requests;
        let asked = async {
            match requests {
                Some(requests) => requests.next().await,
                None => std::future::pending().await,
            }
        };
        let running = &mut self.running;
        let changed = async {
            match running.is_empty() {
                true => std::future::pending().await,
                false => running.next().await,
            }
        };
        tokio::select! {
            asked = asked => match asked {
                Some(Ok(request)) => Event::Asked(request),
                Some(Err(status)) => Event::End(Some(status)),
                None => Event::HalfClosed,
            },
            changed = changed => match changed {
                Some(Ok(response)) => Event::Out(response),
                Some(Err(status)) => Event::End(Some(status)),
                None => Event::End(None),
            },
        }
    }

    async fn watch(&mut self, request: pb::SubscribeConfigurationRequest) -> Result<(), Status> {
        let store = super::find(&self.live.load(), &request.store_name)?;
        let scope = super::scope(&*store, request.app_id, request.group, request.label);
        let Some(addition) = self.coverage.add(&request.store_name, &scope, request.keys) else {
            return Ok(());
        };
        if self.running.len() >= limits::WATCHES_PER_STREAM_MAX {
            return Err(error::config::too_many_watches());
        }
        let filter = Filter {
            app: scope.app.clone(),
            group: scope.group,
            label: scope.label,
            keys: addition.keys,
        };
        let changes = store.watch(filter).await;
        let changes = changes.map_err(|error| error::config::component(&error))?;
        let source = Source {
            store_name: request.store_name,
            app_id: scope.app,
            except: addition.except,
        };
        self.running.push(source.responses(changes));
        Ok(())
    }
}

/// Where the items of a watch come from, and which of them another watch reports.
struct Source {
    store_name: String,
    app_id: String,
    except: HashSet<String>,
}

impl Source {
    /// A store that closes a watch ends the stream: the client must not wait for changes that cannot come.
    fn responses(
        self,
        changes: BoxStream<'static, Result<Changes>>,
    ) -> BoxStream<'static, Result<Response, Status>> {
        let store_name = self.store_name.clone();
        let ended = async move { Err(error::config::watch_ended(&store_name)) }.into_stream();
        changes
            .filter_map(move |changes| ready(self.response(changes).transpose()))
            .chain(ended)
            .boxed()
    }

    fn response(&self, changes: Result<Changes>) -> Result<Option<Response>, Status> {
        let mut items = changes.map_err(|error| error::config::component(&error))?.items;
        items.retain(|item| !self.except.contains(&item.key));
        if items.is_empty() {
            return Ok(None);
        }
        Ok(Some(Response {
            store_name: self.store_name.clone(),
            app_id: self.app_id.clone(),
            items: convert::config_items(items),
        }))
    }
}
