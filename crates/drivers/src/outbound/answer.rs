//! What comes back, and what goes wrong on the way.

use std::error::Error as _;
use std::fmt;

use bytes::{Bytes, BytesMut};
use http::response::Parts;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

use super::pool::Lease;

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// All connections were in use until the deadline.
    NoPlace,
    /// Nothing was sent: who could not be reached, and why.
    Connect(String),
    /// It broke after something may have been sent.
    Broken(hyper::Error),
    Deadline,
    /// The body has more bytes than this.
    TooLarge(usize),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NoPlace => f.write_str("connection pool timeout"),
            Failure::Connect(reason) => f.write_str(reason),
            Failure::Broken(cause) => match cause.source() {
                Some(source) => write!(f, "{cause}: {source}"),
                None => write!(f, "{cause}"),
            },
            Failure::Deadline => f.write_str("no answer in time"),
            Failure::TooLarge(size_max) => write!(f, "the answer is larger than {size_max} bytes"),
        }
    }
}

/// The head of an answer, whose body is still on its way.
pub(crate) struct Answer {
    pub head: Parts,
    body: Incoming,
    lease: Lease,
    deadline: Instant,
}

impl Answer {
    pub(super) fn new(response: Response<Incoming>, lease: Lease, deadline: Instant) -> Answer {
        let (head, body) = response.into_parts();
        Answer {
            head,
            body,
            lease,
            deadline,
        }
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.head.status
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The whole body; the connection is kept for others.
    pub(crate) async fn body(mut self, size_max: usize) -> Result<(Parts, Bytes), Failure> {
        let size = usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX);
        if size > size_max {
            return Err(Failure::TooLarge(size_max));
        }
        match read(&mut self.body, size_max, self.deadline).await? {
            Read::Whole(body) => {
                self.lease.give_back();
                Ok((self.head, body))
            }
            Read::Start(_) => Err(Failure::TooLarge(size_max)),
        }
    }

    /// The body's first bytes, as far as they come. The connection is kept when that is all of it.
    pub(crate) async fn start_of_body(mut self, size_max: usize) -> Bytes {
        match read(&mut self.body, size_max, self.deadline).await {
            Ok(Read::Whole(body)) => {
                self.lease.give_back();
                body
            }
            Ok(Read::Start(start)) => start,
            Err(_) => Bytes::new(),
        }
    }
}

enum Read {
    Whole(Bytes),
    /// There is more of it.
    Start(Bytes),
}

async fn read(body: &mut Incoming, size_max: usize, deadline: Instant) -> Result<Read, Failure> {
    let read = timeout_at(deadline, read_on(body, size_max)).await;
    read.map_err(|_| Failure::Deadline)?
}

/// The pieces of a body. One that comes in one piece is not copied.
#[derive(Default)]
struct Pieces {
    first: Bytes,
    whole: BytesMut,
}

impl Pieces {
    fn size(&self) -> usize {
        self.first.len() + self.whole.len()
    }

    /// `expected` bytes are known to follow.
    fn add(&mut self, piece: Bytes, expected: usize) {
        if self.size() == 0 {
            self.first = piece;
            return;
        }
        if self.whole.is_empty() {
            let first = std::mem::take(&mut self.first);
            self.whole.reserve(first.len() + piece.len() + expected);
            self.whole.extend_from_slice(&first);
        }
        self.whole.extend_from_slice(&piece);
    }

    fn join(self) -> Bytes {
        if self.whole.is_empty() {
            self.first
        } else {
            self.whole.freeze()
        }
    }
}

async fn read_on(body: &mut Incoming, size_max: usize) -> Result<Read, Failure> {
    let mut pieces = Pieces::default();
    while let Some(frame) = body.frame().await {
        let Ok(mut piece) = frame.map_err(Failure::Broken)?.into_data() else {
            continue;
        };
        let room = size_max - pieces.size();
        if piece.len() > room {
            piece.truncate(room);
            pieces.add(piece, 0);
            return Ok(Read::Start(pieces.join()));
        }
        let expected = usize::try_from(body.size_hint().lower()).unwrap_or(0);
        pieces.add(piece, expected.min(size_max));
    }
    Ok(Read::Whole(pieces.join()))
}
