use std::net::TcpStream;

use super::*;
use crate::serve::tests::closes;

const MOVED_BY: MovedBy = MovedBy {
    flag: "--layotto-listen",
    variable: "BELAY_LISTEN_LAYOTTO",
    setting: "listen.layotto",
};

fn listen(address: &str) -> Listen {
    Listen::new("layotto", address.parse().expect("a good address"), MOVED_BY)
}

/// Somebody else's listener on a free port of that host.
fn other(host: &str) -> (TcpListener, u16) {
    let listener = TcpListener::bind((host, 0)).expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    (listener, port)
}

#[track_caller]
fn names_everything(error: &Error, address: &str) {
    assert_eq!(error.code(), codes::ADDRESS_IN_USE);
    for part in [
        "layotto",
        address,
        "--layotto-listen",
        "BELAY_LISTEN_LAYOTTO",
        "listen.layotto",
    ] {
        assert!(error.message().contains(part), "no {part} in: {error}");
    }
}

#[test]
fn a_taken_port_names_listener_address_and_what_moves_it() {
    let (_other, port) = other("127.0.0.1");
    let address = format!("127.0.0.1:{port}");
    let error = bind_all(&[listen(&address)]).expect_err("the port is taken");
    names_everything(&error, &address);
}

#[test]
#[cfg(target_os = "linux")]
fn a_port_that_is_held_on_every_interface_is_taken() {
    for host in ["0.0.0.0", "::"] {
        let (_other, port) = other(host);
        let address = format!("127.0.0.1:{port}");
        let error = bind_all(&[listen(&address)]).expect_err("the port is taken");
        names_everything(&error, &address);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_wildcard_is_refused_where_one_interface_is_taken() {
    let (_other, port) = other("127.0.0.1");
    let address = format!("0.0.0.0:{port}");
    let error = bind_all(&[listen(&address)]).expect_err("overlaps");
    names_everything(&error, &address);
}

#[test]
fn a_port_that_is_held_on_the_other_loopback_is_warned_of() {
    let (_other, port) = other("::1");
    let ours = SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(taken(ours), [IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    bind_all(&[listen(&ours.to_string())]).expect("only a warning");
    let free = SocketAddr::from(([127, 0, 0, 1], other("::1").1));
    assert_eq!(taken(free), [] as [IpAddr; 0]);
}

#[tokio::test]
async fn one_taken_port_starts_nothing_and_all_taken_ones_are_named() {
    let (_first, first) = other("127.0.0.1");
    let (_second, second) = other("127.0.0.1");
    let (probe, free) = other("127.0.0.1");
    drop(probe);
    let addresses = [first, free, second].map(|port| format!("127.0.0.1:{port}"));
    let error = bind_all(&addresses.clone().map(|address| listen(&address))).expect_err("two are taken");
    assert!(
        error.message().contains(&addresses[0]) && error.message().contains(&addresses[2]),
        "{error}"
    );
    // The free one was let go.
    closes(&addresses[1]).await;
}

#[test]
fn port_0_picks_a_free_one_and_off_binds_nothing() {
    let bound = bind_all(&[listen("127.0.0.1:0"), listen("off")]).expect("a free port");
    assert_eq!(bound.len(), 1);
    assert!(!bound[0].address().ends_with(":0"));
    assert!(TcpStream::connect(bound[0].address()).is_ok());
}

#[test]
fn an_address_of_another_machine_is_said_to_be_one() {
    let error = bind_all(&[listen("192.0.2.1:0")]).expect_err("a documentation address");
    assert_eq!(error.code(), codes::ADDRESS_INVALID);
    assert!(error.message().contains("no such address"), "{error}");
}

#[test]
fn a_blocked_socket_path_says_what_is_there() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let address = format!("unix:{}", folder.path().display());
    let error = bind_all(&[listen(&address)]).expect_err("a folder is there");
    assert_eq!(error.code(), codes::SOCKET_PATH_BLOCKED);
    assert!(error.message().contains("a directory"), "{error}");
}

#[test]
fn a_socket_file_is_shown_with_its_whole_path() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let address = format!("unix:{}/a.sock", folder.path().display());
    let bound = bind_all(&[listen(&address)]).expect("free");
    assert_eq!(bound[0].address(), address);
}
