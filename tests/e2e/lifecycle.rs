//! Starting, stopping, and every way in which that can go wrong.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tests::belay::{FREE_PORTS, belay, binary};
use tests::sdk::free_port;
use tests::{Belay, eventually};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use wire::layotto::{GetStateRequest, SaveStateRequest, StateItem};

pub(crate) const CONFIG: &str = "components: [{ name: state_demo, driver: embedded }]\n";

fn file(folder: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("belay.yaml");
    std::fs::write(&path, text).expect("a file");
    path
}

/// The arguments of `belay run` for this file, this data directory and these flags.
pub(crate) fn run(config: &Path, data: &Path, flags: &[&str]) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["run".into(), "--config".into(), config.into()];
    arguments.extend(["--data-dir".into(), data.into()]);
    arguments.extend(flags.iter().map(OsString::from));
    arguments
}

/// With listeners that nobody else has.
pub(crate) const ANY_PORTS: [&str; 4] = ["--layotto-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

fn started(arguments: Vec<OsString>) -> tokio::process::Child {
    tokio::process::Command::new(binary())
        .args(arguments)
        .envs(FREE_PORTS)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts")
}

#[tokio::test]
async fn sigterm_is_a_clean_end_and_takes_the_endpoints_file_along() {
    let mut belay = Belay::run(CONFIG).await;
    let endpoints = belay.data().join("endpoints.json");
    assert!(endpoints.exists());
    assert_eq!(belay.terminate().await.code(), Some(0), "{}", belay.log());
    assert!(!endpoints.exists());
}

/// What it prints once it serves.
async fn welcome(child: &mut tokio::process::Child) -> Vec<String> {
    let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut lines = stdout.lines();
    let mut said = vec![];
    while let Some(line) = lines.next_line().await.expect("a text") {
        let is_last = line.starts_with("Ctrl-C stops it.");
        said.push(line);
        if is_last {
            break;
        }
    }
    said
}

/// `belay dev` itself: what it prints says where it is, and the line to try works.
#[tokio::test]
async fn dev_needs_no_file_and_its_first_advice_works() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = tokio::process::Command::new(binary())
        .arg("dev")
        .args(ANY_PORTS)
        .envs(FREE_PORTS)
        .current_dir(&folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let said = tokio::time::timeout(tests::PATIENCE, welcome(&mut child)).await;
    let said = said.expect("it serves in time");
    let advice = said.iter().find(|line| line.contains("belay state set"));
    let advice = advice.unwrap_or_else(|| panic!("it advises nothing: {said:?}"));
    let bin = binary();
    let bin = bin.parent().expect("it is in a folder").to_owned();
    let path = std::env::var("PATH").expect("programs are found by it");
    let tried = tokio::process::Command::new("sh")
        .args(["-ec", advice])
        .current_dir(&folder)
        .env("PATH", format!("{}:{path}", bin.display()))
        .output();
    let tried = tried.await.expect("a shell");
    let out = String::from_utf8_lossy(&tried.stdout);
    let expected = "saved hello in state_demo (5 bytes)\nworld\n";
    assert_eq!((tried.status.code(), &*out), (Some(0), expected), "{tried:?}");
    let found = std::fs::read(folder.path().join(".belay/endpoints.json")).expect("it serves");
    let found: serde_json::Value = serde_json::from_slice(&found).expect("it is JSON");
    for listener in ["layotto", "admin"] {
        let address = found[listener].as_str().expect("it listens");
        assert!(
            said.iter().any(|line| line.contains(address)),
            "{address}: {said:?}"
        );
    }
}

#[tokio::test]
async fn a_call_in_flight_is_answered_before_the_end() {
    let mut belay = Belay::run(CONFIG).await;
    let mut client = belay.client().await;
    let save = |n: u32| SaveStateRequest {
        store_name: "state_demo".into(),
        states: vec![StateItem {
            key: n.to_string(),
            value: "v".into(),
            ..StateItem::default()
        }],
    };
    client.save_state(save(0)).await.expect("it works");
    let calls: Vec<_> = (1..200)
        .map(|n| {
            let mut client = client.clone();
            async move { client.save_state(save(n)).await.is_ok().then_some(n) }
        })
        .collect();
    let calls = futures::future::join_all(calls);
    let (answered, status) = futures::future::join(calls, belay.terminate()).await;
    assert_eq!(status.code(), Some(0));
    let belay = belay.restart().await;
    let mut client = belay.client().await;
    for key in answered.into_iter().flatten() {
        let request = GetStateRequest {
            store_name: "state_demo".into(),
            key: key.to_string(),
            ..Default::default()
        };
        let found = client.get_state(request).await.expect("it works").into_inner();
        assert_eq!(&found.data[..], b"v", "key {key} was acknowledged");
    }
}

/// C76.
#[tokio::test]
async fn a_port_in_use_is_one_clear_message() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = taken.local_addr().expect("it is bound").to_string();
    for flag in ["--layotto-listen", "--admin-listen"] {
        let other = if flag == "--layotto-listen" {
            "--admin-listen"
        } else {
            "--layotto-listen"
        };
        let config = file(&folder, CONFIG);
        let data = folder.path().join("data");
        let flags = [flag, &address, other, "127.0.0.1:0"];
        let ran = belay(run(&config, &data, &flags)).await;
        assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
        for part in ["BLY0020", &address, flag, "belay explain BLY0020"] {
            assert!(ran.err.contains(part), "'{part}' is missing:\n{}", ran.err);
        }
    }
}

#[tokio::test]
async fn a_locked_data_directory_is_one_clear_message() {
    let running = Belay::run(CONFIG).await;
    let data = running.data();
    let folder = tempfile::tempdir().expect("a folder");
    let ran = belay(run(&file(&folder, CONFIG), &data, &ANY_PORTS)).await;
    assert_eq!(ran.code, 3, "{}", ran.err);
    for part in ["BLY0031", &format!("process {}", running.pid()), "--data-dir"] {
        assert!(ran.err.contains(part), "'{part}' is missing:\n{}", ran.err);
    }
    running.client().await;
}

#[tokio::test]
async fn data_of_a_newer_belay_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("a folder");
    std::fs::write(data.join("format"), "belay 4711\n").expect("a file");
    let ran = belay(run(&file(&folder, CONFIG), &data, &ANY_PORTS)).await;
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(
        ran.err.contains("BLY0032") && ran.err.contains("4711"),
        "{}",
        ran.err
    );
}

#[tokio::test]
async fn a_bad_configuration_lists_every_finding_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = file(
        &folder,
        "listen: { layotto: nonsense }\ncomponents:\n  - { name: a, driver: embeded }\n  - { name: b, driver: memory, colour: red }\n",
    );
    for command in ["check", "run"] {
        let ran = belay([command.as_ref(), "--config".as_ref(), config.as_os_str()]).await;
        assert_eq!(ran.code, 1, "{command}");
        let all = ran.out + &ran.err;
        for part in ["nonsense", "embeded", "embedded", "colour", "1:", "3:", "4:"] {
            assert!(all.contains(part), "{command}: '{part}' is missing:\n{all}");
        }
    }
}

#[tokio::test]
async fn a_key_that_cannot_sign_is_a_finding() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("key.pem");
    std::fs::write(
        &key,
        "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n",
    )
    .expect("a file");
    let text = format!(
        "restate:\n  request_identity_private_key_pem_file: {}\n",
        key.display()
    );
    let config = file(&folder, &text);
    for command in ["check", "run"] {
        let ran = belay([command.as_ref(), "--config".as_ref(), config.as_os_str()]).await;
        assert_eq!(ran.code, 1, "{command}");
        let all = ran.out + &ran.err;
        for part in ["key.pem", "no ed25519 key", "2:"] {
            assert!(all.contains(part), "{command}: '{part}' is missing:\n{all}");
        }
    }
}

#[tokio::test]
async fn layottos_own_configuration_runs_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("layotto.json");
    let text = r#"{ "servers": [ { "default_log_level": "INFO", "listeners": [
        { "name": "grpc", "address": "127.0.0.1:0", "bind_port": true, "filter_chains": [ { "filters": [ { "type": "grpc",
          "config": { "server_name": "runtime", "grpc_config": {
            "hellos": { "helloworld": { "type": "helloworld", "hello": "greeting" } },
            "state": { "state_demo": { "type": "in-memory", "metadata": {} } },
            "lock": { "lock_demo": { "type": "in-memory", "metadata": {} } },
            "oss": { "oss_demo": { "type": "aws.oss", "metadata": {} } } } } } ] } ] } ] } ] }"#;
    std::fs::write(&config, text).expect("a file");
    let data = folder.path().join("data");
    let mut child = started(run(&config, &data, &["--admin-listen", "127.0.0.1:0"]));
    let endpoints = data.join("endpoints.json");
    let address = eventually("the endpoints", || async {
        let text = std::fs::read(&endpoints).ok()?;
        let found: serde_json::Value = serde_json::from_slice(&text).ok()?;
        found["layotto"].as_str().map(str::to_owned)
    })
    .await;
    let mut client = tests::belay::client(&address).await;
    let hello = wire::layotto::SayHelloRequest {
        service_name: "helloworld".into(),
        name: "eva".into(),
        ..Default::default()
    };
    let answer = client.say_hello(hello).await.expect("it answers").into_inner();
    assert_eq!(answer.hello, "greeting, eva");
    child.kill().await.expect("it can be killed");
}

#[tokio::test]
async fn health_readiness_and_metrics_are_on_the_admin_port() {
    let belay = Belay::run(CONFIG).await;
    for (path, part) in [
        ("/health", ""),
        ("/ready", ""),
        ("/metrics", "process_resident_memory_bytes"),
        ("/version", "0.1"),
    ] {
        let (status, body) = get(&belay.admin, path).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert!(body.contains(part), "{path}: {body}");
    }
    assert_eq!(get(&belay.admin, "/nothing").await.0, 404);
}

/// A subscription to an application that is not there keeps readiness waiting, and says so.
#[tokio::test]
async fn a_start_without_the_application_serves_and_delivers_when_it_comes() {
    let port = free_port();
    let belay = Belay::dev(port).await;
    let publish = wire::layotto::PublishEventRequest {
        pubsub_name: "pub_subs_demo".into(),
        topic: "late".into(),
        data: "kept".into(),
        ..Default::default()
    };
    belay
        .client()
        .await
        .publish_event(publish)
        .await
        .expect("it is durable already");
    let late = [("pub_subs_demo", "late")];
    let answer = |_: &_| Ok(wire::layotto::topic_event_response::TopicEventResponseStatus::Success);
    let mut app = tests::app::App::serve_at(port, &late, answer).await;
    assert_eq!(&app.next().await.data[..], b"kept");
}

#[tokio::test]
async fn a_unix_socket_serves_beside_tcp() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("belay.sock");
    let config = file(&folder, CONFIG);
    let data = folder.path().join("data");
    let listen = format!("unix:{}", socket.display());
    let flags = ["--layotto-listen", &listen, "--admin-listen", "off"];
    // Twice: the second start finds the socket file that the killed first one left.
    for _ in 0..2 {
        let mut child = started(run(&config, &data, &flags));
        eventually("the socket", || async {
            tokio::net::UnixStream::connect(&socket).await.ok()
        })
        .await;
        let path = socket.clone();
        let connect = tower::service_fn(move |_: tonic::transport::Uri| {
            let path = path.clone();
            async move {
                tokio::net::UnixStream::connect(path)
                    .await
                    .map(hyper_util::rt::TokioIo::new)
            }
        });
        let channel = tonic::transport::Endpoint::from_static("http://localhost")
            .connect_with_connector(connect)
            .await
            .expect("it answers");
        let mut client = tests::Layotto::new(channel);
        let request = GetStateRequest {
            store_name: "state_demo".into(),
            key: "k".into(),
            ..Default::default()
        };
        client.get_state(request).await.expect("it answers");
        child.kill().await.expect("it can be killed");
    }
}

pub(crate) async fn get(address: &str, path: &str) -> (u16, String) {
    use http_body_util::BodyExt;
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new())
        .build_http::<http_body_util::Empty<bytes::Bytes>>();
    let uri = format!("http://{address}{path}").parse().expect("a URI");
    let answer = tokio::time::timeout(Duration::from_secs(10), client.get(uri)).await;
    let answer = answer.expect("an answer in time").expect("it listens");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}
