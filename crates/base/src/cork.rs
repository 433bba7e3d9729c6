//! Small writes of an HTTP/2 connection, held back until its task has its next turn.
//!
//! The library flushes after every data frame, which makes two system calls of each response and one of each event that
//! is handed to an application. What one turn flushes is kept here, and the task is woken again at once: it comes behind
//! the tasks that are ready meanwhile, and what they write leaves with it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::limits;

/// Memory for the next turn; more than this is not kept by a connection that has nothing to write.
const BYTES_KEPT: usize = 8 << 10;

/// A stream whose flush may be late by one turn of the task that owns it. That task must begin each turn with a read, as
/// an HTTP/2 connection does.
#[derive(Debug)]
pub struct Corked<S> {
    stream: S,
    held: BytesMut,
    /// Some of it is of an earlier turn: the next flush is for real.
    due: bool,
}

impl<S: AsyncWrite + Unpin> Corked<S> {
    pub fn new(stream: S) -> Corked<S> {
        Corked {
            stream,
            held: BytesMut::new(),
            due: false,
        }
    }

    /// Writes out what was held back.
    fn poll_release(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.held.has_remaining() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.advance(written);
        }
        self.due = false;
        if self.held.capacity() > BYTES_KEPT {
            self.held = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Corked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.due = !self.held.is_empty();
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Corked<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let size = slices.iter().map(|slice| slice.len()).sum::<usize>();
        let large = size > limits::CORK_WRITE_BYTES_MAX;
        if large || self.held.len() + size > limits::CORK_BYTES_MAX {
            ready!(self.poll_release(cx))?;
        }
        if large {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        }
        for slice in slices {
            self.held.extend_from_slice(slice);
        }
        Poll::Ready(Ok(size))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.due {
            ready!(self.poll_release(cx))?;
        } else if !self.held.is_empty() {
            cx.waker().wake_by_ref();
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_release(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn corked(room: usize) -> (Corked<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(room);
        (Corked::new(near), far)
    }

    /// HTTP/2 looks for something to read first.
    fn turn(corked: &mut Corked<DuplexStream>) {
        let mut cx = Context::from_waker(Waker::noop());
        let polled = Pin::new(corked).poll_read(&mut cx, &mut ReadBuf::new(&mut [0; 1]));
        assert!(polled.is_pending());
    }

    #[tokio::test]
    async fn what_one_turn_writes_leaves_in_the_next_as_one() {
        let (mut corked, mut peer) = corked(1024);
        turn(&mut corked);
        for word in [&b"head "[..], b"body ", b"trailers"] {
            corked.write_all(word).await.expect("there is room");
            corked.flush().await.expect("it is open");
        }
        let mut words = [0; 64];
        let mut cx = Context::from_waker(Waker::noop());
        let early = Pin::new(&mut peer).poll_read(&mut cx, &mut ReadBuf::new(&mut words));
        assert!(early.is_pending(), "nothing left in the turn itself");
        turn(&mut corked);
        corked.flush().await.expect("it is open");
        let size = peer.read(&mut words).await.expect("it is open");
        assert_eq!(&words[..size], b"head body trailers");
    }

    #[tokio::test]
    async fn more_than_is_held_back_leaves_in_order() {
        let (mut corked, mut peer) = corked(1024);
        let mut sizes =
            vec![limits::CORK_WRITE_BYTES_MAX; limits::CORK_BYTES_MAX / limits::CORK_WRITE_BYTES_MAX + 1];
        sizes.extend([10, limits::CORK_WRITE_BYTES_MAX + 1, 7]);
        let expected: Vec<u8> = (1..)
            .zip(sizes.clone())
            .flat_map(|(byte, size)| vec![byte; size])
            .collect();
        let write = async {
            for (byte, size) in (1..).zip(sizes) {
                corked.write_all(&vec![byte; size]).await?;
            }
            corked.shutdown().await
        };
        let mut seen = vec![];
        let (written, read) = tokio::join!(write, peer.read_to_end(&mut seen));
        written.expect("it is open");
        read.expect("it is open");
        assert!(seen == expected, "{} bytes of {}", seen.len(), expected.len());
    }

    #[tokio::test]
    async fn a_full_socket_is_felt_by_the_flush() {
        let (mut corked, mut peer) = corked(4);
        corked.write_all(b"123456").await.expect("it is held back");
        turn(&mut corked);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut corked).poll_flush(&mut cx).is_pending());
        let mut words = [0; 6];
        let (flushed, read) = tokio::join!(corked.flush(), peer.read_exact(&mut words));
        flushed.expect("it is open");
        read.expect("it is open");
        assert_eq!(&words, b"123456");
    }
}
