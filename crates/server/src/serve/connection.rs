//! An accepted connection, on its way to a runtime and on it.

use std::io;
use std::net;
use std::os::unix::net as unix;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use base::cork::Corked;
use base::{Peer, limits};
use prometheus_client::metrics::gauge::Gauge;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

/// What an HTTP/2 client sends first is this long; less is not a client of ours.
const PREFACE_BYTES: usize = 24;

/// Accepted, and not yet on a runtime: a registration with one cannot move to another.
pub(super) struct Accepted {
    pub(super) socket: Socket,
    pub(super) permit: Permit,
}

pub(super) enum Socket {
    Tcp(net::TcpStream),
    Unix(unix::UnixStream),
}

/// Counts one open connection for as long as it is held.
pub(super) struct Permit {
    counts: Vec<Arc<AtomicUsize>>,
    gauge: Gauge,
}

impl Permit {
    pub(super) fn new(counts: Vec<Arc<AtomicUsize>>, gauge: Gauge) -> Permit {
        for count in &counts {
            count.fetch_add(1, Ordering::Relaxed);
        }
        gauge.inc();
        Permit { counts, gauge }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        for count in &self.counts {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        self.gauge.dec();
    }
}

/// A connection on the runtime that serves it.
pub(super) struct Connection {
    stream: Corked<Stream>,
    /// Until the client has said its first words. A connection that never does would be held for ever: pings and
    /// deadlines only begin with HTTP/2 itself.
    handshake: Option<Box<Handshake>>,
    peer: Peer,
    _permit: Permit,
}

struct Handshake {
    deadline: Pin<Box<Sleep>>,
    missing: usize,
}

pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    /// Registers the socket with the current runtime.
    pub(super) fn register(self) -> io::Result<Stream> {
        Ok(match self {
            Socket::Tcp(socket) => Stream::Tcp(TcpStream::from_std(socket)?),
            Socket::Unix(socket) => Stream::Unix(UnixStream::from_std(socket)?),
        })
    }
}

impl Accepted {
    pub(super) fn register(self) -> io::Result<Connection> {
        Ok(Connection {
            stream: Corked::new(self.socket.register()?),
            handshake: Some(Box::new(Handshake {
                deadline: Box::pin(tokio::time::sleep(limits::HANDSHAKE_DEADLINE)),
                missing: PREFACE_BYTES,
            })),
            peer: Peer::new(uuid::Uuid::new_v4().as_u128()),
            _permit: self.permit,
        })
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.peer.leave();
    }
}

impl Connection {
    fn poll_handshake(
        &mut self,
        cx: &mut Context<'_>,
        read: usize,
        polled: Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        let Some(handshake) = &mut self.handshake else {
            return polled;
        };
        if polled.is_pending() {
            return handshake.deadline.as_mut().poll(cx).map(|()| {
                let message = "no words from the client within the handshake's deadline";
                Err(io::Error::new(io::ErrorKind::TimedOut, message))
            });
        }
        handshake.missing = handshake.missing.saturating_sub(read);
        if handshake.missing == 0 {
            self.handshake = None;
        }
        polled
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let read = buffer.filled().len() - filled;
        self.poll_handshake(cx, read, polled)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buffer),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn connection() -> (unix::UnixStream, Connection) {
        let (client, server) = unix::UnixStream::pair().expect("a pair of sockets");
        server.set_nonblocking(true).expect("a socket");
        client.set_nonblocking(true).expect("a socket");
        let accepted = Accepted {
            socket: Socket::Unix(server),
            permit: Permit::new(vec![], Gauge::default()),
        };
        (client, accepted.register().expect("inside a runtime"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_cut() {
        let (_client, mut connection) = connection();
        let cut = connection.read_u8().await.expect_err("nothing was said");
        assert_eq!(cut.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_that_said_hello_may_be_silent_for_ever() {
        let (client, mut connection) = connection();
        let mut client = UnixStream::from_std(client).expect("inside a runtime");
        client.write_all(&[0; PREFACE_BYTES]).await.expect("room for it");
        connection
            .read_exact(&mut [0; PREFACE_BYTES])
            .await
            .expect("it is there");
        tokio::time::pause();
        let silence = tokio::time::timeout(limits::HANDSHAKE_DEADLINE * 2, connection.read_u8());
        assert!(silence.await.is_err(), "still waiting");
    }

    #[tokio::test]
    async fn a_permit_counts_while_it_is_held() {
        let (count, gauge) = (Arc::new(AtomicUsize::new(0)), Gauge::default());
        let permit = Permit::new(vec![count.clone()], gauge.clone());
        assert_eq!((count.load(Ordering::Relaxed), gauge.get()), (1, 1));
        drop(permit);
        assert_eq!((count.load(Ordering::Relaxed), gauge.get()), (0, 0));
    }
}
