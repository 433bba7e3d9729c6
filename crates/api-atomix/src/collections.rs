//! Streams of primitives with many entries: what is there, what happens, and a clear as the removal of each entry.

use base::Error;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use machines::engine::Happened;
use machines::primitive::collection::{Listed, Listing};
use tonic::{Response, Status};

use crate::error::status;
use crate::service::Target;
use crate::sessions::Session;
use crate::streams::{self, Answers};

/// What an event is to one stream.
pub(crate) enum Heard<T> {
    /// Nothing: another key, for example.
    Nothing,
    Answer(T),
    Answers(Vec<T>),
    /// Every entry of that generation is gone.
    Cleared(u64),
}

/// Makes answers of what happens.
pub(crate) type Hear<T> = Box<dyn FnMut(&Happened) -> Heard<T> + Send>;

/// How one stream says things.
pub(crate) struct Telling<T> {
    pub(crate) heard: Hear<T>,
    /// Of an entry that was cleared.
    pub(crate) removed: fn(Listed) -> Vec<T>,
    /// Only this one's removal is of interest.
    pub(crate) key: Option<String>,
}

/// A key filter: an empty one is none.
pub(crate) fn filter(key: String) -> Option<String> {
    Some(key).filter(|key| !key.is_empty())
}

/// The first answer is `opening`: clients wait for it, and then know that nothing is missed.
pub(crate) fn events<T: Send + 'static>(
    target: &Target,
    session: Session,
    opening: T,
    telling: Telling<T>,
) -> Result<Response<Answers<T>>, Status> {
    let watch = streams::watch(target)?;
    let happened = streams::until_closed(watch, session.closed);
    let answers = told(target.clone(), happened, telling);
    Ok(Response::new(Box::pin(
        stream::iter([Ok(opening)]).chain(answers),
    )))
}

/// The entries that are there, as one snapshot has them unless it takes long.
pub(crate) fn entries<T: Send + 'static>(target: Target, entry: fn(Listed) -> T) -> Response<Answers<T>> {
    let listed = listed(target, Listing::live());
    Response::new(Box::pin(listed.map_ok(entry).map_err(|error| status(&error))))
}

/// The same, then what happens: the watch begins first, and whatever is newer than its beginning comes as an event only.
pub(crate) fn watched_entries<T: Send + 'static>(
    target: Target,
    session: Session,
    entry: fn(Listed) -> T,
    telling: Telling<T>,
) -> Result<Response<Answers<T>>, Status> {
    let watch = streams::watch(&target)?;
    let since = watch.since;
    let found = listed(target.clone(), Listing::live());
    let found = found.try_filter(move |listed| futures::future::ready(listed.version <= since));
    let found = found.map_ok(entry).map_err(|error| status(&error));
    let happened = streams::until_closed(watch, session.closed);
    Ok(Response::new(Box::pin(
        found.chain(told(target, happened, telling)),
    )))
}

fn told<T: Send + 'static>(
    target: Target,
    happened: impl Stream<Item = Result<Happened, Error>> + Send + 'static,
    telling: Telling<T>,
) -> impl Stream<Item = Result<T, Status>> + Send {
    let Telling {
        mut heard,
        removed,
        key,
    } = telling;
    happened.flat_map(move |happened| {
        let one = match happened {
            Ok(happened) => match heard(&happened) {
                Heard::Nothing => None,
                Heard::Answer(answer) => Some(Ok(answer)),
                Heard::Answers(answers) => {
                    let answers = stream::iter(answers.into_iter().map(Ok));
                    return answers.left_stream().right_stream();
                }
                Heard::Cleared(generation) => {
                    let gone = listed(target.clone(), Listing::cleared(generation, key.clone()));
                    let gone = gone.map_ok(move |listed| stream::iter(removed(listed).into_iter().map(Ok)));
                    let gone = gone.try_flatten().map_err(|error: Error| status(&error));
                    return gone.right_stream().right_stream();
                }
            },
            Err(error) => Some(Err(status(&error))),
        };
        stream::iter(one).left_stream()
    })
}

fn listed(target: Target, listing: Listing) -> impl Stream<Item = Result<Listed, Error>> + Send {
    let pages = stream::try_unfold((target, listing), |(target, mut listing)| async move {
        let page = listing.next(&*target.engine, &target.address).await?;
        Ok::<_, Error>(page.map(|page| (page, (target, listing))))
    });
    pages
        .map_ok(|page| stream::iter(page.into_iter().map(Ok)))
        .try_flatten()
}
