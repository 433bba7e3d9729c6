//! Every documented exit code, and what a second signal does.

use std::process::Stdio;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tests::belay::{FREE_PORTS, Ran, belay, binary};
use tests::{Belay, Layotto, eventually};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tonic::Request;
use wire::layotto::{CommonInvokeRequest, InvokeServiceRequest, SaveStateRequest, StateItem};

use crate::lifecycle::{ANY_PORTS, CONFIG, get, run};

fn send(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid as i32).expect("a pid is not zero");
    kill_process(pid, signal).expect("it can be signalled");
}

#[track_caller]
fn check(ran: &Ran, code: i32, part: &str) {
    let Ran { out, err, .. } = ran;
    assert_eq!(ran.code, code, "{out}{err}");
    assert!(err.contains(part), "'{part}' is missing: {err}");
}

#[tokio::test]
async fn a_wish_to_stop_is_0_whichever_signal_it_is() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut belay = Belay::run(CONFIG).await;
        send(belay.pid(), signal);
        assert_eq!(belay.ended().await.code(), Some(0), "{}", belay.log());
    }
}

#[tokio::test]
async fn a_command_that_failed_is_1() {
    let running = Belay::run(CONFIG).await;
    let data = running.data();
    let get = ["state", "get", "nobody", "--data-dir"].map(std::ffi::OsStr::new);
    let ran = belay(get.into_iter().chain([data.as_os_str()])).await;
    check(&ran, 1, "nobody has no value");
    check(&belay(["explain", "BLY9999"]).await, 1, "BLY9999");
    let ran = belay(["run", "--config", "there-is-no-such-file.yaml"]).await;
    check(&ran, 1, "there-is-no-such-file.yaml");
}

#[tokio::test]
async fn a_command_line_that_cannot_be_understood_is_2() {
    for arguments in [
        &["frobnicate"][..],
        &["state", "set", "key-without-value", "--json"],
        &["run", "--layotto-listen", "nonsense"],
    ] {
        check(&belay(arguments).await, 2, "--help");
    }
}

/// Addresses and data directories are in `lifecycle`.
#[tokio::test]
async fn a_component_that_cannot_be_opened_is_3() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("belay.yaml");
    let missing = folder.path().join("missing.json");
    let text = format!(
        "components: [{{ name: s, driver: secret-file, settings: {{ secretsFile: {} }} }}]\n",
        missing.display()
    );
    std::fs::write(&config, text).expect("a file");
    let ran = belay(run(&config, &folder.path().join("data"), &ANY_PORTS)).await;
    check(&ran, 3, "missing.json");
}

/// The system refuses every further write to a file, as a disk that breaks does.
#[tokio::test]
async fn an_engine_that_stopped_is_4_and_keeps_what_it_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("belay.yaml"), CONFIG).expect("a file");
    // The signal that comes with the refusal would end the process; what is ignored stays so.
    let script =
        r#"trap "" XFSZ; exec "$0" run --data-dir data --layotto-listen 127.0.0.1:0 --admin-listen off"#;
    let start = || {
        tokio::process::Command::new("sh")
            .args(["-c", script])
            .arg(binary())
            .envs(FREE_PORTS)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts")
    };
    let mut child = start();
    let pid = child.id().expect("it runs");
    let mut client = served_by(folder.path(), pid).await;
    let save = |value: &'static str| SaveStateRequest {
        store_name: "state_demo".into(),
        states: vec![StateItem {
            key: "k".into(),
            value: value.into(),
            ..StateItem::default()
        }],
    };
    client.save_state(save("kept")).await.expect("it is saved");
    let none = Rlimit {
        current: Some(0),
        maximum: None,
    };
    let process = Pid::from_raw(pid as i32);
    prlimit(process, Resource::Fsize, none).expect("it is our own process");
    let refused = client.save_state(save("lost")).await.expect_err("no byte fits");
    let mut log = String::new();
    let mut stderr = child.stderr.take().expect("it is piped");
    let ended = futures::future::join(stderr.read_to_string(&mut log), child.wait());
    let (read, status) = tokio::time::timeout(tests::PATIENCE, ended)
        .await
        .expect("it ends by itself");
    read.expect("a text");
    assert_eq!(
        status.expect("it was waited for").code(),
        Some(4),
        "{refused:?}\n{log}"
    );
    assert!(log.contains("error BLY0034"), "{log}");

    let again = start();
    let mut client = served_by(folder.path(), again.id().expect("it runs")).await;
    let request = wire::layotto::GetStateRequest {
        store_name: "state_demo".into(),
        key: "k".into(),
        ..Default::default()
    };
    let found = client.get_state(request).await.expect("it serves").into_inner();
    assert_eq!(&found.data[..], b"kept");
}

/// A client of that process, once it serves.
async fn served_by(folder: &std::path::Path, pid: u32) -> Layotto {
    let file = folder.join("data/endpoints.json");
    let address = eventually("the endpoints", || async {
        let text = std::fs::read(&file).ok()?;
        let found: serde_json::Value = serde_json::from_slice(&text).ok()?;
        (found["pid"] == pid).then(|| found["layotto"].as_str().expect("an address").to_owned())
    })
    .await;
    tests::belay::client(&address).await
}

#[tokio::test]
async fn no_running_belay_is_5() {
    let folder = tempfile::tempdir().expect("a folder");
    let status = ["status", "--data-dir"].map(std::ffi::OsStr::new);
    let ran = belay(status.into_iter().chain([folder.path().as_os_str()])).await;
    check(&ran, 5, "BLY0023");
}

/// A Belay with a call in flight: the service that it invokes does not answer before this is dropped.
struct Busy {
    belay: Belay,
    invoked: TcpStream,
    call: tokio::task::JoinHandle<()>,
}

impl Busy {
    async fn start() -> Busy {
        let service = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = service.local_addr().expect("it is bound");
        let config = format!(
            "components: [{{ name: mosn, driver: http-invoke, settings: {{ targets: [{{ id: slow, url: 'http://{address}' }}] }} }}]\n"
        );
        let belay = Belay::run(&config).await;
        let mut client = belay.client().await;
        #[allow(clippy::disallowed_methods, reason = "the test holds its handle and ends it")]
        let call = tokio::spawn(async move {
            let mut request = Request::new(InvokeServiceRequest {
                id: "slow".into(),
                message: Some(CommonInvokeRequest {
                    method: "answer".into(),
                    ..CommonInvokeRequest::default()
                }),
            });
            let timeout = "30000".parse().expect("it is ascii");
            request.metadata_mut().insert("rpc_request_timeout", timeout);
            // What becomes of it is not what these tests are about.
            drop(client.invoke_service(request).await);
        });
        let (invoked, _) = service.accept().await.expect("belay invokes it");
        Busy { belay, invoked, call }
    }

    /// Asks it to stop, and waits until it has heard.
    async fn stop(&self, signal: Signal) {
        send(self.belay.pid(), signal);
        eventually("the drain", || async {
            self.belay.log().contains("once more").then_some(())
        })
        .await;
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.call.abort();
    }
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once_with_the_signals_code() {
    for (first, second, code) in [
        (Signal::TERM, Signal::TERM, 143),
        (Signal::INT, Signal::INT, 130),
        (Signal::TERM, Signal::INT, 130),
        (Signal::INT, Signal::TERM, 143),
    ] {
        let mut busy = Busy::start().await;
        busy.stop(first).await;
        send(busy.belay.pid(), second);
        let status = busy.belay.ended().await;
        assert_eq!(status.code(), Some(code), "{}", busy.belay.log());
    }
}

#[tokio::test]
async fn the_actuator_is_down_while_calls_in_flight_end() {
    let mut busy = Busy::start().await;
    let admin = busy.belay.admin.clone();
    let probes = ["/actuator/health/liveness", "/actuator/health/readiness"];
    for probe in probes {
        let (status, body) = get(&admin, probe).await;
        assert_eq!(status, 200, "{body}");
    }
    busy.stop(Signal::TERM).await;
    for probe in probes {
        eventually("the actuator to say so", || async {
            let (status, body) = get(&admin, probe).await;
            let down = r#""runtime_startup":{"status":"DOWN","details":{"reason":"shutdown"}}"#;
            (status == 500 && body.contains(down)).then_some(())
        })
        .await;
    }
    assert_eq!(get(&admin, "/ready").await.0, 503);
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut busy.invoked, answer)
        .await
        .expect("belay still waits");
    assert_eq!(busy.belay.ended().await.code(), Some(0), "{}", busy.belay.log());
}
