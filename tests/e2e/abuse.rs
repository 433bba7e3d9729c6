//! Bad input from the network: the process stays up, its memory bounded, and others are served.

use std::time::Duration;

use tests::{Belay, eventually, proc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wire::layotto::{GetFileRequest, GetStateRequest, PutFileRequest, SaveStateRequest, StateItem};

const CONFIG: &str = r"
components:
  - { name: state_demo, driver: embedded }
  - { name: file_demo, driver: local-file }
";

async fn served(belay: &Belay) {
    let mut client = belay.client().await;
    let request = GetStateRequest {
        store_name: "state_demo".into(),
        key: "k".into(),
        ..Default::default()
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), client.get_state(request)).await;
    answer
        .expect("others are served in time")
        .expect("others are served");
}

async fn connect(belay: &Belay) -> TcpStream {
    TcpStream::connect(&belay.layotto).await.expect("it listens")
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_and_cut_frames_end_their_connection_only() {
    let belay = Belay::run(CONFIG).await;
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..300 {
        let mut stream = connect(&belay).await;
        let mut bytes = vec![0; random.usize(1..2_000)];
        random.fill(&mut bytes);
        if round % 2 == 0 {
            bytes.splice(0..0, PREFACE.iter().copied());
        }
        // Whether it still takes them is its own affair.
        drop(stream.write_all(&bytes).await);
        drop(stream.shutdown().await);
        if round % 50 == 0 {
            served(&belay).await;
        }
    }
    served(&belay).await;
}

/// A well-formed call whose message is garbage, or shorter than it says.
#[tokio::test]
async fn garbage_messages_are_refused_with_a_status() {
    let belay = Belay::run(CONFIG).await;
    let (client, connection) = h2::client::handshake(connect(&belay).await)
        .await
        .expect("it speaks HTTP/2");
    #[allow(clippy::disallowed_methods, reason = "it ends with its connection")]
    tokio::spawn(connection);
    let bodies: [&[u8]; 5] = [
        b"",
        b"\0\0\0\0\x05abc",
        b"\0\xff\xff\xff\xff",
        b"\0\0\0\0\x04\xff\xff\xff\xff",
        b"\x07\0\0\0\0",
    ];
    for body in bodies {
        let request = http::Request::post("http://belay/spec.proto.runtime.v1.Runtime/GetState")
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())
            .expect("a request");
        let mut client = client.clone().ready().await.expect("the connection lives");
        let (answer, mut send) = client.send_request(request, false).expect("it is sent");
        send.send_data(body.to_vec().into(), true).expect("it is sent");
        let answer = tokio::time::timeout(Duration::from_secs(5), answer)
            .await
            .expect("in time");
        let answer = answer.expect("an answer, not a reset");
        let status = match answer.headers().get("grpc-status") {
            Some(status) => Some(status.clone()),
            None => {
                let mut body = answer.into_body();
                while body.data().await.is_some() {}
                body.trailers()
                    .await
                    .ok()
                    .flatten()
                    .and_then(|trailers| trailers.get("grpc-status").cloned())
            }
        };
        let status = status.expect("a status");
        assert_ne!(status.as_bytes(), b"0", "{body:?}");
    }
    served(&belay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_100_mib_is_refused_early() {
    let belay = Belay::run(CONFIG).await;
    let before = proc::resident_mib(belay.pid());
    let mut client = belay.client().await;
    let value = vec![0; 100 << 20].into();
    let states = vec![StateItem {
        key: "k".into(),
        value,
        ..StateItem::default()
    }];
    let refused = client
        .save_state(SaveStateRequest {
            store_name: "state_demo".into(),
            states,
        })
        .await;
    assert_eq!(
        refused.expect_err("too large").code(),
        tonic::Code::ResourceExhausted
    );
    let grown = proc::resident_mib(belay.pid()) - before;
    assert!(grown < 40.0, "it was not taken in: {grown:.0} MiB");
    served(&belay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_connections_cost_little_and_harm_nobody() {
    raise_own_limit();
    let belay = Belay::run(CONFIG).await;
    served(&belay).await;
    let before = proc::resident_mib(belay.pid());
    let mut idle = Vec::with_capacity(10_000);
    for _ in 0..10_000 {
        let mut stream = connect(&belay).await;
        // Preface and an empty SETTINGS frame: a connection that is open and says nothing.
        stream.write_all(PREFACE).await.expect("it takes it");
        stream
            .write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0])
            .await
            .expect("it takes it");
        idle.push(stream);
    }
    served(&belay).await;
    let grown = proc::resident_mib(belay.pid()) - before;
    println!("10000 idle connections: {grown:.0} MiB");
    assert!(grown < 400.0, "10000 idle connections cost {grown:.0} MiB");
    drop(idle);
    served(&belay).await;
}

/// The test holds as many sockets as the server.
fn raise_own_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            ..limit
        },
    )
    .expect("up to the hard limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rapid_reset_flood_harms_nobody() {
    let belay = Belay::run(CONFIG).await;
    let before = proc::resident_mib(belay.pid());
    for _ in 0..20 {
        let (mut client, connection) = h2::client::handshake(connect(&belay).await)
            .await
            .expect("HTTP/2");
        #[allow(clippy::disallowed_methods, reason = "it ends with its connection")]
        let connection = tokio::spawn(connection);
        for _ in 0..5_000 {
            let request = http::Request::post("http://belay/spec.proto.runtime.v1.Runtime/GetState")
                .header("content-type", "application/grpc")
                .body(())
                .expect("a request");
            let Ok(ready) = client.ready().await else { break };
            client = ready;
            let Ok((_, mut send)) = client.send_request(request, false) else {
                break;
            };
            send.send_reset(h2::Reason::CANCEL);
            match client.clone().ready().await {
                Ok(ready) => client = ready,
                Err(_) => break,
            }
        }
        connection.abort();
    }
    served(&belay).await;
    let grown = proc::resident_mib(belay.pid()) - before;
    assert!(grown < 100.0, "the floods cost {grown:.0} MiB");
}

/// A reader that takes nothing must not make the server read the file into memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_costs_nothing() {
    let belay = Belay::run(CONFIG).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("large").display().to_string();
    put(&belay, &path, 200).await;
    let before = proc::resident_mib(belay.pid());
    let mut streams = vec![];
    for _ in 0..20 {
        let mut client = belay.client().await;
        let request = GetFileRequest {
            store_name: "file_demo".into(),
            name: path.clone(),
            ..Default::default()
        };
        let mut stream = client.get_file(request).await.expect("it opens").into_inner();
        stream
            .message()
            .await
            .expect("it begins")
            .expect("there is content");
        streams.push((client, stream));
    }
    served(&belay).await;
    let grown = proc::resident_mib(belay.pid()) - before;
    assert!(
        grown < 120.0,
        "20 readers of 200 MiB that do not read cost {grown:.0} MiB"
    );
}

async fn put(belay: &Belay, path: &str, mib: usize) {
    let first = PutFileRequest {
        store_name: "file_demo".into(),
        name: path.into(),
        metadata: [
            ("FileMode".to_owned(), "420".to_owned()),
            ("FileFlag".to_owned(), "578".to_owned()),
        ]
        .into(),
        ..Default::default()
    };
    let chunk = bytes::Bytes::from(vec![b'x'; 1 << 20]);
    let chunks = (0..mib).map(move |_| PutFileRequest {
        data: chunk.clone(),
        ..Default::default()
    });
    let all = futures::stream::iter(std::iter::once(first).chain(chunks));
    belay.client().await.put_file(all).await.expect("it is stored");
}

/// 2 GiB in and out again, in constant memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gibibytes_pass_through_in_constant_memory() {
    let mib = if tests::long() { 4_096 } else { 2_048 };
    let belay = Belay::run(CONFIG).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("huge").display().to_string();
    let pid = belay.pid();
    let highest = watch(pid);
    put(&belay, &path, mib).await;
    let request = GetFileRequest {
        store_name: "file_demo".into(),
        name: path,
        ..Default::default()
    };
    let mut stream = belay
        .client()
        .await
        .get_file(request)
        .await
        .expect("it opens")
        .into_inner();
    let mut got = 0;
    while let Some(chunk) = stream.message().await.expect("it goes on") {
        assert!(chunk.data.len() <= 102_400);
        got += chunk.data.len();
    }
    assert_eq!(got, mib << 20);
    let highest = highest.await;
    println!("{mib} MiB in and out: at most {highest:.0} MiB resident");
    assert!(highest < 50.0, "{highest:.0} MiB resident");
}

/// The highest resident memory until it is awaited.
fn watch(pid: u32) -> impl Future<Output = f64> {
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    #[allow(clippy::disallowed_methods, reason = "the test awaits it")]
    let task = tokio::spawn(async move {
        let mut highest: f64 = 0.0;
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tokio::select! {
                _ = tick.tick() => highest = highest.max(proc::resident_mib(pid)),
                _ = &mut stopped => return highest,
            }
        }
    });
    async move {
        drop(stop);
        task.await.expect("it does not panic")
    }
}

/// A client that opens a call and never finishes its message does not hold up the others on its connection.
#[tokio::test]
async fn half_a_request_holds_up_nobody() {
    let belay = Belay::run(CONFIG).await;
    let mut stream = connect(&belay).await;
    stream.write_all(PREFACE).await.expect("it takes it");
    stream
        .write_all(&[0, 0, 50, 4, 0])
        .await
        .expect("it takes half a frame head");
    served(&belay).await;
    let mut byte = [0; 1];
    eventually("its settings", || async { Some(()) }).await;
    let first = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut byte)).await;
    assert!(first.is_ok(), "the server has sent its settings");
}
