//! Binding: all sockets first, so that a start either has every address it needs or harms nothing.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::unix::net::UnixListener;
use std::path::Path;

use base::{Error, Result, codes, limits};
use socket2::{Domain, Socket, Type};

use super::socket_file::{self, Refusal, SocketFile};
use crate::config::Address;

/// One listener as configured.
#[derive(Clone, Debug)]
pub struct Listen {
    /// `layotto`, `admin`: in messages, metrics and the endpoints file.
    pub name: &'static str,
    pub address: Address,
    pub moved_by: MovedBy,
    /// Permissions of a socket file.
    pub socket_mode: u32,
    /// Open connections; more are refused.
    pub connections_max: usize,
}

/// What moves a listener; messages name it.
#[derive(Clone, Copy, Debug)]
pub struct MovedBy {
    /// `--layotto-listen`
    pub flag: &'static str,
    /// `BELAY_LISTEN_LAYOTTO`
    pub variable: &'static str,
    /// `listen.layotto`
    pub setting: &'static str,
}

/// Permissions of a socket file, unless configured otherwise: the owner's alone.
pub const SOCKET_MODE: u32 = 0o600;

impl Listen {
    pub fn new(name: &'static str, address: Address, moved_by: MovedBy) -> Listen {
        Listen {
            name,
            address,
            moved_by,
            socket_mode: SOCKET_MODE,
            connections_max: limits::CONNECTIONS_MAX,
        }
    }
}

/// A socket that listens. Connections wait in its backlog until it is served.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listen: Listen,
    pub(super) socket: Listening,
}

#[derive(Debug)]
pub(super) enum Listening {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Bound {
    /// The address that clients use, with the port that was picked.
    pub(super) fn address(&self) -> String {
        match (&self.socket, &self.listen.address) {
            (Listening::Tcp(listener), _) => listener
                .local_addr()
                .map_or_else(|_| self.listen.address.to_string(), |address| address.to_string()),
            (Listening::Unix(..), Address::Unix(path)) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                Address::Unix(path).to_string()
            }
            (Listening::Unix(..), other) => other.to_string(),
        }
    }
}

/// Binds every listener that is not off, or says which ones it could not and lets go of the rest.
pub(super) fn bind_all(listeners: &[Listen]) -> Result<Vec<Bound>> {
    let mut bound = Vec::new();
    let mut errors = Vec::new();
    for listen in listeners {
        match bind(listen) {
            Ok(Some(socket)) => bound.push(Bound {
                listen: listen.clone(),
                socket,
            }),
            Ok(None) => {}
            Err(error) => errors.push(error),
        }
    }
    let mut errors = errors.into_iter();
    match (errors.next(), errors.len()) {
        (None, _) => Ok(bound),
        (Some(only), 0) => Err(only),
        (Some(first), _) => {
            let others = errors.map(|error| format!("; {error}")).collect::<String>();
            Err(Error::new(first.code(), format!("{first}{others}")))
        }
    }
}

fn bind(listen: &Listen) -> Result<Option<Listening>> {
    match &listen.address {
        Address::Off => Ok(None),
        Address::Tcp { host, port } => bind_tcp(listen, host, *port).map(Some),
        Address::Unix(path) => bind_unix(listen, path).map(Some),
    }
}

fn bind_tcp(listen: &Listen, host: &str, port: u16) -> Result<Listening> {
    let address = resolve(listen, host, port)?;
    warn_of_neighbours(listen, address);
    listen_on(address)
        .map(Listening::Tcp)
        .map_err(|cause| match cause.kind() {
            ErrorKind::AddrInUse => listen.in_use(),
            ErrorKind::PermissionDenied => listen
                .unusable("the system does not let this user have that port")
                .because(cause),
            ErrorKind::AddrNotAvailable => listen.unusable("this machine has no such address").because(cause),
            _ => listen.unusable(&cause.to_string()).because(cause),
        })
}

/// A name is looked up once, when the process starts.
fn resolve(listen: &Listen, host: &str, port: u16) -> Result<SocketAddr> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let found = (host, port).to_socket_addrs().map_err(|cause| {
        listen
            .unusable(&format!("the name {host} cannot be resolved"))
            .because(cause)
    })?;
    // SDKs write 127.0.0.1 where they do not ask.
    let (four, six): (Vec<_>, Vec<_>) = found.partition(SocketAddr::is_ipv4);
    four.into_iter()
        .chain(six)
        .next()
        .ok_or_else(|| listen.unusable(&format!("the name {host} has no address")))
}

fn listen_on(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // Lets a restart have the port while connections of the process before it run out.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // Every interface means both families, whatever the system's default.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(limits::BACKLOG_CONNECTIONS)?;
    Ok(socket.into())
}

/// Addresses that are not ours, but that a client may reach instead by the same port: `localhost` is both ::1 and
/// 127.0.0.1, and a wildcard overlaps with both. Trying to bind them harms nobody, unlike connecting.
fn neighbours(address: SocketAddr) -> Vec<IpAddr> {
    const FOUR: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const SIX: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let ip = address.ip();
    match ip {
        _ if address.port() == 0 => vec![],
        _ if ip.is_unspecified() => vec![FOUR, SIX],
        FOUR => vec![SIX],
        SIX => vec![FOUR],
        _ => vec![],
    }
}

fn warn_of_neighbours(listen: &Listen, address: SocketAddr) {
    for ip in taken(address) {
        tracing::warn!(
            listener = listen.name,
            address = %address,
            taken = %SocketAddr::new(ip, address.port()),
            moved_by = listen.moved_by.flag,
            "another process listens on the same port; clients that say localhost may reach it instead"
        );
    }
}

fn taken(address: SocketAddr) -> Vec<IpAddr> {
    neighbours(address)
        .into_iter()
        .filter(|ip| {
            listen_on(SocketAddr::new(*ip, address.port()))
                .is_err_and(|cause| cause.kind() == ErrorKind::AddrInUse)
        })
        .collect()
}

fn bind_unix(listen: &Listen, path: &Path) -> Result<Listening> {
    socket_file::bind(path, listen.socket_mode)
        .map(|(listener, file)| Listening::Unix(listener, file))
        .map_err(|refusal| match refusal {
            Refusal::InUse => listen.in_use(),
            Refusal::Blocked(by) => Error::new(
                codes::SOCKET_PATH_BLOCKED,
                format!(
                    "listener {} cannot use {}: {by} is there and was left alone; remove it, or {}",
                    listen.name,
                    listen.address,
                    listen.moved_by.hint()
                ),
            ),
            Refusal::Io(cause) => listen.unusable(&cause.to_string()).because(cause),
        })
}

impl Listen {
    fn in_use(&self) -> Error {
        let another = match &self.address {
            Address::Unix(_) => "another process serves there; stop it,",
            _ => "the port is taken by another process; stop it,",
        };
        Error::new(
            codes::ADDRESS_IN_USE,
            format!(
                "listener {} cannot have {}: {another} or {}",
                self.name,
                self.address,
                self.moved_by.hint()
            ),
        )
    }

    fn unusable(&self, why: &str) -> Error {
        Error::new(
            codes::ADDRESS_INVALID,
            format!(
                "listener {} cannot use {}: {why}; {}",
                self.name,
                self.address,
                self.moved_by.hint()
            ),
        )
    }
}

impl MovedBy {
    fn hint(&self) -> String {
        format!(
            "move this listener with {}, {} or {} in the configuration (port 0 picks a free one, off switches it off)",
            self.flag, self.variable, self.setting
        )
    }
}

#[cfg(test)]
mod tests;
