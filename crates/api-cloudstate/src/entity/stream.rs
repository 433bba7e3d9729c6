//! A stream to a user function that carries one entity.

use base::limits;
use futures::future::BoxFuture;
use http::uri::PathAndQuery;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::kind::Kind;
use crate::error::not_ready;
use crate::function::Line;

pub(super) struct Stream<K: Kind> {
    /// `None`: nothing more is said.
    out: Option<mpsc::Sender<K::In>>,
    heard: Heard<K::Out>,
}

enum Heard<M> {
    /// Functions may not answer before they have something to say.
    Opening(BoxFuture<'static, Result<Response<Streaming<M>>, Status>>),
    Open(Box<Streaming<M>>),
    Over,
}

impl<K: Kind> Stream<K> {
    pub(super) fn open(line: Line) -> Stream<K> {
        let (out, said) = mpsc::channel(limits::ENTITY_MESSAGES_AHEAD);
        let opening = Box::pin(async move {
            let mut client = tonic::client::Grpc::new(line)
                .max_decoding_message_size(limits::FUNCTION_MESSAGE_BYTES_MAX)
                .max_encoding_message_size(usize::MAX);
            client.ready().await.map_err(not_ready)?;
            let codec = ProstCodec::<K::In, K::Out>::default();
            let path = PathAndQuery::from_static(K::PATH);
            let said = tonic::Request::new(ReceiverStream::new(said));
            client.streaming(said, path, codec).await
        });
        Stream {
            out: Some(out),
            heard: Heard::Opening(opening),
        }
    }

    /// Waits while the function is slow to read. Whether it was said shows by what is heard.
    pub(super) fn say(&self, message: K::In) -> impl Future<Output = ()> + Send + use<K> {
        let out = self.out.clone();
        async move {
            if let Some(out) = out {
                drop(out.send(message).await);
            }
        }
    }

    /// Nothing more will be said.
    pub(super) fn end(&mut self) {
        self.out = None;
    }

    /// `None`: the function has ended the stream. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<Result<K::Out, Status>> {
        loop {
            match &mut self.heard {
                Heard::Opening(opening) => match opening.await {
                    Ok(response) => self.heard = Heard::Open(Box::new(response.into_inner())),
                    Err(status) => {
                        self.heard = Heard::Over;
                        return Some(Err(status));
                    }
                },
                Heard::Open(stream) => match stream.message().await {
                    Ok(Some(message)) => return Some(Ok(message)),
                    ended => {
                        self.heard = Heard::Over;
                        return ended.transpose();
                    }
                },
                Heard::Over => return None,
            }
        }
    }
}
