//! Streams of a primitive: what is there, then what happens.

use std::pin::Pin;

use base::Error;
use futures::{Stream, StreamExt, stream};
use machines::engine::{Happened, Watch};
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};

use crate::error::status;
use crate::service::Target;
use crate::sessions::Session;

pub(crate) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The first answer of every stream of events holds none: clients wait for it, and then know that nothing is missed.
pub(crate) fn events<T: Default + Send + 'static>(
    target: &Target,
    session: Session,
    mut answer: impl FnMut(&Happened) -> Option<T> + Send + 'static,
) -> Result<Response<Answers<T>>, Status> {
    let watch = watch(target)?;
    let happened = until_closed(watch, session.closed);
    let answers = happened.filter_map(move |happened| {
        let answer = match happened {
            Ok(happened) => answer(&happened).map(Ok),
            Err(error) => Some(Err(status(&error))),
        };
        futures::future::ready(answer)
    });
    Ok(Response::new(Box::pin(
        stream::iter([Ok(T::default())]).chain(answers),
    )))
}

/// First `found`, then what `answer` makes of everything that happens after it was read.
pub(crate) fn watching<T: Send + 'static>(
    found: impl Stream<Item = Result<T, Status>> + Send + 'static,
    watch: Watch,
    session: Session,
    mut answer: impl FnMut(&Happened) -> Option<T> + Send + 'static,
) -> Response<Answers<T>> {
    let happened = until_closed(watch, session.closed);
    let answers = happened.filter_map(move |happened| {
        let answer = match happened {
            Ok(happened) => answer(&happened).map(Ok),
            Err(error) => Some(Err(status(&error))),
        };
        futures::future::ready(answer)
    });
    Response::new(Box::pin(found.chain(answers)))
}

/// The same, where one thing that happens may be told in several answers, or end the stream.
pub(crate) fn following<T: Send + 'static>(
    found: impl Stream<Item = Result<T, Status>> + Send + 'static,
    watch: Watch,
    session: Session,
    mut answers: impl FnMut(&Happened) -> Vec<Result<T, Status>> + Send + 'static,
) -> Response<Answers<T>> {
    let happened = until_closed(watch, session.closed);
    let answers = happened.flat_map(move |happened| {
        stream::iter(match happened {
            Ok(happened) => answers(&happened),
            Err(error) => vec![Err(status(&error))],
        })
    });
    Response::new(Box::pin(found.chain(answers)))
}

/// The same, where one thing that happens may be told in many answers, and telling them takes reading.
pub(crate) fn telling<T, S>(
    found: impl Stream<Item = Result<T, Status>> + Send + 'static,
    watch: Watch,
    session: Session,
    mut answers: impl FnMut(&Happened) -> S + Send + 'static,
) -> Response<Answers<T>>
where
    T: Send + 'static,
    S: Stream<Item = Result<T, Status>> + Send + 'static,
{
    let happened = until_closed(watch, session.closed);
    let answers = happened.flat_map(move |happened| match happened {
        Ok(happened) => answers(&happened).left_stream(),
        Err(error) => stream::iter([Err(status(&error))]).right_stream(),
    });
    Response::new(Box::pin(found.chain(answers)))
}

pub(crate) fn watch(target: &Target) -> Result<Watch, Status> {
    let watch = target.engine.watch(&target.address);
    watch.map_err(|error| status(&error))
}

/// Ends when the primitive is closed on this connection, after what was there by then.
pub(crate) fn until_closed(
    watch: Watch,
    closed: CancellationToken,
) -> impl Stream<Item = Result<Happened, Error>> + Send {
    stream::unfold((watch.events, closed), |(mut events, closed)| async move {
        let next = tokio::select! {
            biased;
            next = events.next() => next,
            () = closed.cancelled() => None,
        };
        next.map(|next| (next, (events, closed)))
    })
}
