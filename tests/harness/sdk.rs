//! The SDK programs in `tests/js` and `tests/java`: each prints a line per check and ends with 0 when all were good.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::Belay;
use crate::echo::Echo;

/// Longest that all scenarios of one SDK may take.
const DEADLINE: Duration = Duration::from_secs(180);

pub struct Sdk {
    pub program: OsString,
    pub arguments: Vec<OsString>,
}

pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Over what the program talks to Belay.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    UnixSocket,
}

/// A Belay with the samples' component names, a file store, secrets, an HTTP service to call; then the program.
pub async fn passes(sdk: &Sdk, scenario: &str, transport: Transport) {
    let work = tempfile::tempdir().expect("a temporary folder");
    let echo = Echo::serve().await;
    let app_port = free_port();
    let config = config(app_port, work.path(), &echo.address);
    let belay = match transport {
        Transport::Tcp => Belay::run(&config).await,
        Transport::UnixSocket => Belay::run_at(&config, &work.path().join("layotto.sock")).await,
    };
    let files = work.path().join("files");
    std::fs::create_dir(&files).expect("a folder");
    let run = Command::new(&sdk.program)
        .args(&sdk.arguments)
        .arg(scenario)
        .env("BELAY_LAYOTTO", &belay.layotto)
        .env("BELAY_APP_PORT", app_port.to_string())
        .env("BELAY_HTTP_TARGET", format!("http://{}", echo.address))
        .env("BELAY_WORK_DIR", &files)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ran = tokio::time::timeout(DEADLINE, run)
        .await
        .expect("the SDK's checks end")
        .expect("it starts");
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    println!("{out}");
    let checks = out.lines().filter(|line| line.starts_with("ok ")).count();
    assert!(
        ran.status.success() && checks > 0,
        "{checks} good checks\n{out}\n{err}\nbelay: {}",
        belay.log()
    );
}

/// Free now; whoever listens there next is the program's own callback server, or nobody.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound").port()
}

/// Below those that systems hand out by themselves: a program that is killed finds it free when it comes back.
pub fn lasting_port() -> u16 {
    loop {
        let port = fastrand::u16(16_384..32_000);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn config(app_port: u16, work: &Path, target: &str) -> String {
    let secrets = work.join("secrets.json");
    let text = r#"{"db-user-pass": {"username": "admin", "password": "pw1"}, "testPassword": "pw2"}"#;
    std::fs::write(&secrets, text).expect("a file");
    let secrets = secrets.display();
    format!(
        r"
hellos: {{ helloworld: {{ greeting: greeting }} }}
apps: [{{ id: sdk, callback: 127.0.0.1:{app_port} }}]
components:
  - {{ name: state_demo, driver: embedded }}
  - {{ name: lock_demo, driver: embedded }}
  - {{ name: sequencer_demo, driver: embedded }}
  - {{ name: pub_subs_demo, driver: embedded }}
  - {{ name: config_demo, driver: embedded }}
  - {{ name: file_demo, driver: local-file }}
  - {{ name: secret_demo, driver: secret-file, settings: {{ secretsFile: {secrets} }} }}
  - {{ name: bindings_demo, driver: http-binding, settings: {{ url: 'http://{target}' }} }}
  - {{ name: mosn, driver: http-invoke, settings: {{ targets: [{{ id: '*', url: 'http://{target}' }}] }} }}
"
    )
}
