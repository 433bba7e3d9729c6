//! A running Belay.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tonic::transport::{Channel, Endpoint};
use wire::layotto::runtime_client::RuntimeClient;

use crate::PATIENCE;
use crate::volume::Volume;

pub type Layotto = RuntimeClient<Channel>;

/// Longer than a write to a disk that answers at all.
const STANDSTILL: Duration = Duration::from_millis(300);

/// Messages as large as the listener takes, with some room.
const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// The binary under test: `BELAY_BIN`, or the one that cargo built beside this test.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("BELAY_BIN") {
        return path.into();
    }
    let own = std::env::current_exe().expect("a test has a path");
    let path = own
        .parent()
        .and_then(Path::parent)
        .expect("target/debug/deps")
        .join("belay");
    assert!(
        path.exists(),
        "{} is not built: run `cargo build -p belay`, or set BELAY_BIN",
        path.display()
    );
    path
}

/// Listeners that a test does not ask for must not meet those of others.
pub const FREE_PORTS: [(&str, &str); 4] = [
    ("BELAY_PRIMITIVES_LISTEN", "127.0.0.1:0"),
    ("BELAY_CONTROL_LISTEN", "127.0.0.1:0"),
    ("BELAY_INGRESS_LISTEN", "127.0.0.1:0"),
    ("BELAY_FUNCTIONS_LISTEN", "127.0.0.1:0"),
];

/// One Belay, in a folder of its own. It is killed with its drop.
pub struct Belay {
    child: Child,
    pub layotto: String,
    pub admin: String,
    pub primitives: String,
    pub control: String,
    pub ingress: String,
    /// Empty where there are no user functions.
    pub functions: String,
    start: Start,
}

/// How it is started, again and again.
#[derive(Clone)]
struct Start {
    config: String,
    listen: String,
    folder: Arc<TempDir>,
    /// Where the data is, if not in the folder.
    volume: Option<Arc<Volume>>,
    /// Where primitives listen again, if not at any free port.
    primitives: Option<String>,
}

impl Start {
    fn new(config: &str, listen: String) -> Start {
        let folder = Arc::new(tempfile::tempdir().expect("a temporary folder"));
        Start {
            config: config.to_owned(),
            listen,
            folder,
            volume: None,
            primitives: None,
        }
    }

    /// The data directory as this process sees it.
    fn data(&self) -> PathBuf {
        match &self.volume {
            Some(volume) => volume.seen().join("data"),
            None => self.folder.path().join("data"),
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("belay.log")
    }

    fn command(&self) -> Command {
        let (mut command, data) = match &self.volume {
            Some(volume) => (volume.command(&binary()), volume.path().join("data")),
            None => (Command::new(binary()), self.data()),
        };
        let config = self.folder.path().join("belay.yaml");
        std::fs::write(&config, &self.config).expect("a configuration file");
        command.arg("run").arg("--config").arg(config);
        command.arg("--data-dir").arg(data);
        command.args(["--layotto-listen", &self.listen, "--admin-listen", "127.0.0.1:0"]);
        command.envs(FREE_PORTS);
        if let Some(address) = &self.primitives {
            command.args(["--primitives-listen", address]);
        }
        command
    }
}

impl Belay {
    /// With this `belay.yaml`; its listeners and its data directory are set from outside.
    pub async fn run(config: &str) -> Belay {
        Belay::start(Start::new(config, "127.0.0.1:0".into())).await
    }

    /// The same, but Layotto's API on a socket file.
    pub async fn run_at(config: &str, socket: &Path) -> Belay {
        Belay::start(Start::new(config, format!("unix:{}", socket.display()))).await
    }

    /// With its data on that volume.
    pub async fn run_on(config: &str, volume: Arc<Volume>) -> Belay {
        let start = Start::new(config, "127.0.0.1:0".into());
        let volume = Some(volume);
        Belay::start(Start { volume, ..start }).await
    }

    /// With what `belay dev` runs, its callback to the application at this port.
    pub async fn dev(app_port: u16) -> Belay {
        Belay::run(&dev_config(app_port)).await
    }

    async fn start(start: Start) -> Belay {
        let data = start.data();
        std::fs::create_dir_all(&data).expect("a data directory");
        let mut child = start
            .command()
            .stdout(Stdio::null())
            .stderr(Stdio::from(log(&start.log())))
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts");
        let found = endpoints(&mut child, &start).await;
        let address = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        Belay {
            child,
            layotto: address("layotto"),
            admin: address("admin"),
            primitives: address("primitives"),
            control: address("control"),
            ingress: address("ingress"),
            functions: address("functions"),
            start,
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub fn data(&self) -> PathBuf {
        self.start.data()
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.start.log()).unwrap_or_default()
    }

    pub async fn client(&self) -> Layotto {
        client(&self.layotto).await
    }

    /// As a crash does it. The data stays.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    pub async fn terminate(&mut self) -> ExitStatus {
        let pid = Pid::from_raw(self.pid() as i32).expect("a pid is not zero");
        kill_process(pid, Signal::TERM).expect("it can be signalled");
        self.ended().await
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .expect("it ends in time")
            .expect("it can be waited for")
    }

    /// Kills it if it still runs, and starts it again over the same data; its addresses are new.
    pub async fn restart(mut self) -> Belay {
        if self.child.id().is_some() {
            self.kill().await;
        }
        Belay::start(self.start.clone()).await
    }

    /// The same, with another `belay.yaml`.
    pub async fn restart_with(mut self, config: &str) -> Belay {
        config.clone_into(&mut self.start.config);
        self.restart().await
    }

    /// Cuts the power of the volume that its data is on, and starts it again on what is left.
    pub async fn cut_power(mut self) -> Belay {
        let pid = Pid::from_raw(self.pid() as i32).expect("a pid is not zero");
        kill_process(pid, Signal::STOP).expect("it can be stopped");
        // What it has asked of the disk already ends by itself.
        tokio::time::sleep(STANDSTILL).await;
        let volume = self.start.volume.as_ref().expect("its data is on a volume");
        let left = Arc::new(volume.cut().await);
        self.kill().await;
        self.start.volume = Some(left);
        Belay::start(self.start.clone()).await
    }

    /// The same, but primitives listen where they did: their clients stay connected to one address.
    pub async fn restart_in_place(mut self) -> Belay {
        self.start.primitives = Some(self.primitives.clone());
        self.restart().await
    }
}

pub async fn client(address: &str) -> Layotto {
    let channel = Endpoint::from_shared(format!("http://{address}"))
        .expect("an address")
        .connect_timeout(PATIENCE)
        .connect()
        .await
        .expect("it listens");
    RuntimeClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// The configuration that `belay dev` has, for an application at this port.
pub fn dev_config(app_port: u16) -> String {
    let out = std::process::Command::new(binary())
        .args(["dev", "--print-config"])
        .output();
    let out = out.expect("the binary starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).expect("the configuration is a text");
    assert!(
        text.contains("127.0.0.1:9999"),
        "the application's address is in the configuration"
    );
    text.replace("127.0.0.1:9999", &format!("127.0.0.1:{app_port}"))
}

fn log(path: &Path) -> std::fs::File {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("a log file")
}

/// Waits for `endpoints.json` of this very process.
async fn endpoints(child: &mut Child, start: &Start) -> serde_json::Value {
    let pid = child.id().expect("it was just started");
    let path = start.data().join("endpoints.json");
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            let log = std::fs::read_to_string(start.log()).unwrap_or_default();
            panic!("belay ended with {status} instead of listening:\n{log}");
        }
        let found = std::fs::read(&path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(found) = found {
            let found: serde_json::Value = found;
            if found["pid"] == pid {
                return found;
            }
        }
        assert!(
            tokio::time::Instant::now() < until,
            "belay did not listen within {PATIENCE:?}:\n{}",
            std::fs::read_to_string(start.log()).unwrap_or_default()
        );
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

/// What the binary prints and how it ends, for commands that end by themselves.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub async fn belay<I: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = I>) -> Ran {
    let mut child = Command::new(binary())
        .args(arguments)
        .envs(FREE_PORTS)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary starts");
    let (mut out, mut err) = (String::new(), String::new());
    let mut stdout = child.stdout.take().expect("it is piped");
    let mut stderr = child.stderr.take().expect("it is piped");
    let all = async {
        let read = futures::future::join(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err));
        let (a, b) = read.await;
        a.and(b).expect("texts");
        child.wait().await.expect("it can be waited for")
    };
    let status = tokio::time::timeout(PATIENCE, all)
        .await
        .expect("it ends by itself");
    Ran {
        code: status.code().unwrap_or(-1),
        out,
        err,
    }
}
