//! Where a service listens: `http://host:port`, `host:port` or `unix:/path`.

use std::fmt;
use std::io;
use std::path::PathBuf;

use http::Uri;
use http::uri::Authority;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// One place to connect to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Address {
    /// The host as the resolver wants it: an IPv6 address has no brackets.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
}

pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A stream, whichever it is.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl Stream {
    pub(crate) fn boxed(self) -> Box<dyn Io> {
        match self {
            Stream::Tcp(stream) => Box::new(stream),
            Stream::Unix(stream) => Box::new(stream),
        }
    }
}

const EXPECTED: &str = "write http://host:port, host:port or unix:/path";

impl Address {
    /// `Err` is what to write instead.
    pub(crate) fn parse(text: &str) -> Result<Address, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path.starts_with('/') {
                true => Ok(Address::Unix(path.into())),
                false => Err("the path of a socket must be absolute: write unix:/path".to_owned()),
            };
        }
        let text = if text.contains("://") {
            text.to_owned()
        } else {
            format!("http://{text}")
        };
        let uri: Uri = text.parse().map_err(|_| EXPECTED.to_owned())?;
        let (path, port) = (uri.path(), uri.port_u16());
        match Address::of(&uri)? {
            _ if port.is_none() => Err(format!("the port is missing: {EXPECTED}")),
            _ if path != "/" || uri.query().is_some() => {
                Err("a service's address has no path: the method of each call is its path".to_owned())
            }
            address => Ok(address),
        }
    }

    /// Where a URL points to; 80 is the port that needs no naming.
    pub(crate) fn of(uri: &Uri) -> Result<Address, String> {
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err("https is not possible yet: TLS is not built in".to_owned()),
            _ => return Err("the scheme must be http".to_owned()),
        }
        let authority = uri.authority().ok_or("the host is missing")?;
        if authority.as_str().contains('@') {
            return Err("credentials do not belong into a URL: send them as a header".to_owned());
        }
        Ok(Address::Tcp {
            host: host(authority).ok_or("the host is missing")?,
            port: authority.port_u16().unwrap_or(80),
        })
    }

    pub(crate) async fn connect(&self) -> io::Result<Stream> {
        match self {
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Address::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path).await?)),
        }
    }
}

fn host(authority: &Authority) -> Option<String> {
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    (!host.is_empty()).then(|| host.to_owned())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let parsed = Address::parse(text).map(|address| address.to_string());
        match expected.strip_prefix("no: ") {
            None => assert_eq!(parsed.as_deref(), Ok(expected), "{text}"),
            Some(reason) => {
                let error = parsed.expect_err(text);
                assert!(error.contains(reason), "{text}: {error}");
            }
        }
    }

    #[test]
    fn addresses_are_read_in_all_their_forms() {
        check("http://localhost:8080", "localhost:8080");
        check("http://localhost:8080/", "localhost:8080");
        check("localhost:8080", "localhost:8080");
        check("[::1]:8080", "[::1]:8080");
        check("unix:/run/app.sock", "unix:/run/app.sock");
        check("unix:///run/app.sock", "unix:/run/app.sock");
    }

    #[test]
    fn what_is_no_address_says_what_to_write() {
        check("https://localhost:8443", "no: TLS is not built in");
        check("localhost", "no: the port is missing");
        check("http://localhost:8080/api", "no: has no path");
        check("ftp://localhost:21", "no: the scheme must be http");
        check("http://me:secret@localhost:80", "no: credentials");
        check("unix:app.sock", "no: must be absolute");
        check("", "no: write http://host:port");
        check("a b:1", "no: write http://host:port");
    }
}
