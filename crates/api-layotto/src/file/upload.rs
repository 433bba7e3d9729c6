//! What a client uploads, as a store reads it; and what is done with the rest when the store wants no more of it.
//!
//! An upload that is refused is still on its way. Closing it at once is allowed, but proxies, and clients that write to the
//! end before they read, lose the reason on it (case C98). So the rest is read and thrown away, up to a limit.

use base::limits;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use ports::file::Content;
use tokio::runtime::Handle;
use tonic::Status;
use wire::layotto as pb;

use crate::error;

pub(super) type Requests = BoxStream<'static, Result<pb::PutFileRequest, Status>>;

/// An upload of which messages may be left: those are drained when it is dropped.
pub(super) struct Upload {
    /// `None` once the last message, or the error that it ended with, has been read.
    requests: Option<Requests>,
}

impl Upload {
    pub(super) fn of(requests: Requests) -> Upload {
        Upload {
            requests: Some(requests),
        }
    }

    pub(super) async fn first(&mut self) -> Result<Option<pb::PutFileRequest>, Status> {
        self.next().await.transpose()
    }

    /// The first message's data, then that of the others.
    pub(super) fn content(self, first: Bytes) -> Content {
        let rest = stream::unfold(self, |mut upload| async move {
            let request = upload.next().await?;
            let data = request
                .map(|request| request.data)
                .map_err(error::file::upload_broke);
            Some((data, upload))
        });
        let first = stream::iter([Ok(first)]);
        let some = |data: &base::Result<Bytes>| !matches!(data, Ok(data) if data.is_empty());
        // Fused, because a store may ask again behind the end.
        first
            .chain(rest)
            .filter(move |data| std::future::ready(some(data)))
            .fuse()
            .boxed()
    }

    async fn next(&mut self) -> Option<Result<pb::PutFileRequest, Status>> {
        let next = self.requests.as_mut()?.next().await;
        if !matches!(next, Some(Ok(_))) {
            self.requests = None;
        }
        next
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(requests) = self.requests.take() else {
            return;
        };
        // Without a runtime the process is going down, and the connection with it.
        if Handle::try_current().is_ok() {
            base::task::spawn("drain of a refused upload", drain(requests));
        }
    }
}

/// Reads on until the client is done, or has sent too much, or takes too long.
async fn drain(mut requests: Requests) {
    let rest = async {
        let mut size = 0;
        while let Some(Ok(request)) = requests.next().await {
            size += request.data.len();
            if size > limits::UPLOAD_DRAIN_BYTES_MAX {
                return;
            }
        }
    };
    let in_time = tokio::time::timeout(limits::UPLOAD_DRAIN_TIME_MAX, rest).await;
    tracing::debug!(in_time = in_time.is_ok(), "drained a refused upload");
}
