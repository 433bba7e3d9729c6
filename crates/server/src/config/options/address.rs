//! Where something listens.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Longest path of a Unix socket that every system takes, bytes.
const SOCKET_PATH_BYTES_MAX: usize = 107;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Address {
    /// Nothing listens.
    #[default]
    Off,
    /// Port 0 lets the system choose.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
}

impl Address {
    pub(super) fn loopback(port: u16) -> Address {
        Address::Tcp {
            host: "127.0.0.1".into(),
            port,
        }
    }

    /// Whether other machines may reach it. A host name counts as reachable: what it means can change.
    pub fn is_remote(&self) -> bool {
        match self {
            Address::Off | Address::Unix(_) => false,
            Address::Tcp { host, .. } => match bare(host).parse::<IpAddr>() {
                Ok(ip) => !ip.is_loopback(),
                Err(_) => host != "localhost",
            },
        }
    }

    /// Whether both cannot be listened on at once.
    pub(in crate::config) fn overlaps(&self, other: &Address) -> bool {
        match (self, other) {
            (Address::Unix(one), Address::Unix(other)) => one == other,
            (
                Address::Tcp { host: one, port },
                Address::Tcp {
                    host: other,
                    port: same,
                },
            ) => port == same && *port != 0 && (one == other || is_wildcard(one) || is_wildcard(other)),
            _ => false,
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Address, String> {
        if text == "off" {
            return Ok(Address::Off);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        if text.contains("://") {
            return Err("an address has no scheme: write host:port".into());
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("the host is missing: write 127.0.0.1:{text}"));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return Err("an address is written host:port, unix:/path/of/a/socket or off".into());
        };
        let Ok(port) = port.parse::<u16>() else {
            return Err("the port must be a number from 0 (any free port) to 65535".into());
        };
        check_host(host, port)?;
        Ok(Address::Tcp {
            host: host.to_owned(),
            port,
        })
    }
}

fn unix(path: &str) -> Result<Address, String> {
    if path.is_empty() {
        return Err("the socket's path is missing: write unix:/path/of/a/socket".into());
    }
    if path.len() > SOCKET_PATH_BYTES_MAX {
        return Err(format!(
            "the socket's path is {} bytes long, a system takes {SOCKET_PATH_BYTES_MAX}",
            path.len()
        ));
    }
    Ok(Address::Unix(Path::new(path).to_owned()))
}

fn check_host(host: &str, port: u16) -> Result<(), String> {
    if host.is_empty() {
        return Err(format!(
            "the host is missing: write 127.0.0.1:{port}, or 0.0.0.0:{port} for every interface"
        ));
    }
    if host == "*" {
        return Err(format!("write 0.0.0.0:{port} for every interface"));
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if bare(host) != host {
        return bare(host)
            .parse::<IpAddr>()
            .map(drop)
            .map_err(|_| "the host in brackets is no IPv6 address".into());
    }
    if host.contains(':') {
        return Err("an IPv6 host stands in brackets: [::1]:80".into());
    }
    if host.bytes().all(fits) {
        return Ok(());
    }
    Err("the host is neither a name nor an IP address".into())
}

/// An IPv6 host without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host)
}

fn is_wildcard(host: &str) -> bool {
    bare(host).parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Off => f.write_str("off"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl TryFrom<String> for Address {
    type Error = String;

    fn try_from(text: String) -> Result<Address, String> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

impl JsonSchema for Address {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "`host:port` (port 0: any free one), `unix:/path/of/a/socket`, or `off`.",
            "type": "string",
            "format": super::format::ADDRESS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str) -> Address {
        let address: Address = text.parse().unwrap_or_else(|message| panic!("{text}: {message}"));
        assert_eq!(address.to_string(), text);
        address
    }

    #[track_caller]
    fn check_refused(text: &str, message: &str) {
        let refused = text.parse::<Address>().expect_err(text);
        assert!(refused.contains(message), "{refused}");
    }

    #[test]
    fn addresses_read_as_they_are_written() {
        for text in [
            "off",
            "127.0.0.1:0",
            "localhost:34904",
            "[::1]:80",
            "my-host.local:1",
            "unix:/tmp/a.sock",
            "unix:a",
        ] {
            check(text);
        }
    }

    #[test]
    fn a_bad_address_says_how_it_is_written() {
        check_refused("34904", "write 127.0.0.1:34904");
        check_refused(":34904", "0.0.0.0:34904 for every interface");
        check_refused("*:80", "0.0.0.0:80");
        check_refused("::1:80", "[::1]:80");
        check_refused("[x]:80", "no IPv6 address");
        check_refused("host:70000", "65535");
        check_refused("host:", "65535");
        check_refused("http://host:80", "no scheme");
        check_refused("a b:80", "neither a name");
        check_refused("", "host:port");
        check_refused("unix:", "path is missing");
    }

    #[test]
    fn a_socket_path_has_107_bytes_at_most() {
        let path = |length: usize| format!("unix:/{}", "x".repeat(length - 1));
        check(&path(107));
        check_refused(&path(108), "108 bytes");
    }

    #[test]
    fn only_loopback_and_sockets_are_local() {
        for local in [
            "off",
            "unix:/x",
            "127.0.0.1:1",
            "127.9.9.9:1",
            "localhost:1",
            "[::1]:1",
        ] {
            assert!(!check(local).is_remote(), "{local}");
        }
        for remote in ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "host:1"] {
            assert!(check(remote).is_remote(), "{remote}");
        }
    }

    #[test]
    fn wildcards_overlap_every_host_of_their_port() {
        let overlap = |one: &str, other: &str| check(one).overlaps(&check(other));
        assert!(
            overlap("127.0.0.1:1", "127.0.0.1:1")
                && overlap("0.0.0.0:1", "127.0.0.1:1")
                && overlap("unix:/x", "unix:/x")
        );
        assert!(
            !overlap("127.0.0.1:0", "127.0.0.1:0")
                && !overlap("127.0.0.1:1", "127.0.0.1:2")
                && !overlap("off", "off")
        );
    }
}
