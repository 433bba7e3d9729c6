//! Where the application listens.

use std::fmt;
use std::io;
use std::path::PathBuf;

use base::limits;
use http::Uri;
use http::uri::Authority;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// `host:port`, or `unix:` and the path of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp(String),
    Unix(PathBuf),
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Address {
    /// `None` for what is no address.
    pub fn parse(text: &str) -> Option<Address> {
        if let Some(path) = text.strip_prefix("unix:") {
            return (!path.is_empty()).then(|| Address::Unix(path.into()));
        }
        let authority: Authority = text.parse().ok()?;
        let has_port = authority.port_u16().is_some_and(|port| port > 0);
        let valid = has_port && !authority.host().is_empty() && !text.contains('@');
        valid.then(|| Address::Tcp(text.to_owned()))
    }

    /// What requests are addressed to.
    pub(super) fn origin(&self) -> Uri {
        let localhost = || Uri::from_static("http://localhost");
        match self {
            Address::Tcp(authority) => format!("http://{authority}")
                .parse()
                .unwrap_or_else(|_| localhost()),
            Address::Unix(_) => localhost(),
        }
    }

    pub(super) async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Address::Tcp(authority) => {
                let stream = TcpStream::connect(authority).await?;
                stream.set_nodelay(true)?;
                notice_silence(&stream)?;
                Box::new(stream)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        })
    }
}

/// A host that has gone without a word is noticed by the kernel. HTTP/2 pings would do it too, but gRPC servers in Go and
/// Java close a connection whose client pings them more often than every five minutes, or while no call is on it.
fn notice_silence(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new()
        .with_time(limits::KEEP_ALIVE_INTERVAL)
        .with_interval(limits::KEEP_ALIVE_TIMEOUT / PROBES)
        .with_retries(PROBES);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limits::KEEP_ALIVE_INTERVAL + limits::KEEP_ALIVE_TIMEOUT))?;
    Ok(())
}

const PROBES: u32 = 4;

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(authority) => f.write_str(authority),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_sockets_are_addresses() {
        for text in ["127.0.0.1:9999", "app.local:1", "[::1]:9999"] {
            let address = Address::parse(text).expect(text);
            assert_eq!(address.to_string(), text);
            assert_eq!(
                address.origin().authority().map(|authority| authority.as_str()),
                Some(text)
            );
        }
        let socket = Address::parse("unix:/run/app.sock");
        assert_eq!(socket, Some(Address::Unix("/run/app.sock".into())));
    }

    #[tokio::test]
    async fn a_host_that_is_gone_is_noticed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("loopback has a free port");
        let address = listener.local_addr().expect("the listener is bound");
        let stream = TcpStream::connect(address).await.expect("it is accepted");
        notice_silence(&stream).expect("the socket has these options");
        assert_eq!(SockRef::from(&stream).keepalive().ok(), Some(true));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "9999",
            ":9999",
            "app",
            "app:",
            "app:0",
            "app:65536",
            "a b:1",
            "u@app:1",
            "unix:",
            "http://app:1",
        ] {
            assert_eq!(Address::parse(text), None, "{text}");
        }
    }
}
