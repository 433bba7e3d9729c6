//! C98: gRPC through nginx, as people put it in front.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tests::belay::client;
use tests::{Belay, Layotto, PATIENCE, eventually};
use tokio::process::{Child, Command};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use wire::layotto::{
    ConfigurationItem, GetFileRequest, GetStateRequest, PublishEventRequest, PutFileRequest,
    SaveConfigurationRequest, SaveStateRequest, StateItem, SubscribeConfigurationRequest,
};

const CONFIG: &str = r"
components:
  - { name: state_demo, driver: embedded }
  - { name: config_demo, driver: embedded }
  - { name: file_demo, driver: local-file }
";

/// One nginx in front of one Belay, in the foreground, in a folder of its own. It is killed with its drop.
struct Proxy {
    /// Held for its drop.
    _child: Child,
    folder: tempfile::TempDir,
    address: String,
}

impl Proxy {
    async fn before(belay: &Belay) -> Proxy {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = free_port();
        let config = config(folder.path(), port, &belay.layotto);
        let child = Command::new(nginx())
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("nginx starts");
        let proxy = Proxy {
            _child: child,
            folder,
            address: format!("127.0.0.1:{port}"),
        };
        eventually("nginx to listen", || async {
            tokio::net::TcpStream::connect(&proxy.address)
                .await
                .ok()
                .map(drop)
        })
        .await;
        proxy
    }

    async fn client(&self) -> Layotto {
        client(&self.address).await
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }
}

/// `cargo xtask test` installs it.
fn nginx() -> PathBuf {
    let usual = [
        "/usr/sbin/nginx",
        "/usr/local/sbin/nginx",
        "/usr/bin/nginx",
        "/usr/local/bin/nginx",
    ];
    let found = usual.iter().map(PathBuf::from).find(|path| path.exists());
    found.expect(
        "nginx is not installed: `apt-get install nginx-light`, or `cargo xtask test`, which does that",
    )
}

/// What nginx's manual has for gRPC, as one process that ends with its signal. Only limits of its own are off.
fn config(folder: &Path, port: u16, layotto: &str) -> PathBuf {
    let at = folder.display();
    let text = format!(
        "daemon off;
master_process off;
pid {at}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {at}/body;
    proxy_temp_path {at}/proxy;
    fastcgi_temp_path {at}/fastcgi;
    uwsgi_temp_path {at}/uwsgi;
    scgi_temp_path {at}/scgi;
    server {{
        listen 127.0.0.1:{port} http2;
        location / {{ grpc_pass grpc://{layotto}; }}
    }}
}}
"
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, text).expect("a file");
    path
}

/// nginx cannot tell which port it has found, so it gets one that was free a moment ago.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound").port()
}

fn save(key: &str, value: Vec<u8>) -> SaveStateRequest {
    let state = StateItem {
        key: key.into(),
        value: value.into(),
        ..StateItem::default()
    };
    SaveStateRequest {
        store_name: "state_demo".into(),
        states: vec![state],
    }
}

fn code(status: &Status) -> &str {
    let code = status.metadata().get("belay-error-code");
    code.and_then(|code| code.to_str().ok()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_and_their_errors_pass_through_a_proxy() {
    let belay = Belay::run(CONFIG).await;
    let proxy = Proxy::before(&belay).await;
    let mut client = proxy.client().await;
    let value = vec![7; 3 << 20];
    client
        .save_state(save("k", value.clone()))
        .await
        .expect("it is saved");
    let mut get = GetStateRequest {
        store_name: "state_demo".into(),
        key: "k".into(),
        ..Default::default()
    };
    let answer = client
        .get_state(get.clone())
        .await
        .expect("it is read")
        .into_inner();
    assert!(answer.data == value && !answer.etag.is_empty());

    get.store_name = "nowhere".into();
    let through = client
        .get_state(get.clone())
        .await
        .expect_err("there is no such store");
    let direct = belay
        .client()
        .await
        .get_state(get)
        .await
        .expect_err("there is no such store");
    assert_eq!(
        (through.code(), through.message(), code(&through)),
        (direct.code(), direct.message(), code(&direct))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_refusal_keeps_its_reason_through_a_proxy() {
    let belay = Belay::run(CONFIG).await;
    let proxy = Proxy::before(&belay).await;
    for address in [&belay.layotto, &proxy.address] {
        let mut client = client(address).await;
        let event = PublishEventRequest {
            pubsub_name: "state_demo".into(),
            topic: "t".into(),
            data: vec![1; 5 << 20].into(),
            ..Default::default()
        };
        let refused = client
            .publish_event(event)
            .await
            .expect_err("5 MiB are over the limit");
        assert_eq!(refused.code(), Code::ResourceExhausted, "{address}: {refused:?}");

        // The first message says nothing of how to open the file, 100 MiB follow all the same.
        let upload = tokio_stream::iter((0..100).map(|_| PutFileRequest {
            store_name: "nowhere".into(),
            name: "f".into(),
            data: vec![2; 1 << 20].into(),
            ..Default::default()
        }));
        let refused = client.put_file(upload).await.expect_err("there is no such store");
        assert_eq!(
            refused.code(),
            Code::InvalidArgument,
            "{address}: {refused:?}\n{}",
            proxy.log()
        );
        assert!(refused.message().contains("nowhere"), "{address}: {refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_pass_through_a_proxy_both_ways() {
    let files = tempfile::tempdir().expect("a temporary folder");
    let name = files.path().join("f").display().to_string();
    let belay = Belay::run(CONFIG).await;
    let proxy = Proxy::before(&belay).await;
    let mut client = proxy.client().await;
    let metadata = [("FileMode", "420"), ("FileFlag", "578")];
    let metadata: std::collections::HashMap<String, String> = metadata
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let part = PutFileRequest {
        store_name: "file_demo".into(),
        name: name.clone(),
        data: vec![3; 1 << 20].into(),
        metadata,
    };
    let upload = tokio_stream::iter(vec![part; 20]);
    client.put_file(upload).await.expect("it is uploaded");
    let request = GetFileRequest {
        store_name: "file_demo".into(),
        name,
        ..Default::default()
    };
    let mut download = client.get_file(request).await.expect("it is there").into_inner();
    let mut size = 0;
    while let Some(part) = download.message().await.expect("it is read to its end") {
        assert!(part.data.iter().all(|byte| *byte == 3));
        size += part.data.len();
    }
    assert_eq!(size, 20 << 20);
}

/// News must come while the stream is open, not when a buffer is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_of_a_subscription_comes_at_once_through_a_proxy() {
    let belay = Belay::run(CONFIG).await;
    let proxy = Proxy::before(&belay).await;
    let mut client = proxy.client().await;
    let (asks, questions) = tokio::sync::mpsc::channel(1);
    let request = SubscribeConfigurationRequest {
        store_name: "config_demo".into(),
        app_id: "app".into(),
        keys: vec!["k".into()],
        ..Default::default()
    };
    asks.send(request).await.expect("the channel has room");
    let stream = client.subscribe_configuration(ReceiverStream::new(questions));
    let mut news = stream.await.expect("the stream opens").into_inner();
    for content in ["first", "second"] {
        // The subscription may begin after the first save, so it is repeated until it is heard of.
        let heard = async {
            loop {
                let message = news
                    .message()
                    .await
                    .expect("no error")
                    .expect("the stream goes on");
                if message.items.iter().any(|item| item.content == content) {
                    break;
                }
            }
        };
        let mut client = belay.client().await;
        let saves = async {
            loop {
                client
                    .save_configuration(save_item(content))
                    .await
                    .expect("it is saved");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            () = heard => {}
            () = saves => unreachable!("it saves for ever"),
            () = tokio::time::sleep(PATIENCE) => panic!("no news of {content} within {PATIENCE:?}"),
        }
    }
}

fn save_item(content: &str) -> SaveConfigurationRequest {
    let item = ConfigurationItem {
        key: "k".into(),
        content: content.into(),
        ..Default::default()
    };
    SaveConfigurationRequest {
        store_name: "config_demo".into(),
        app_id: "app".into(),
        items: vec![item],
        ..Default::default()
    }
}
