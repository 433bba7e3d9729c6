//! The programs in `tests/cloudstate`.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

pub(crate) struct Sdk {
    pub(crate) name: &'static str,
    folder: &'static str,
    /// What the build leaves in that folder, and how it is built there.
    built: &'static str,
    advice: &'static str,
    command: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
    /// How the SDK wraps what its users say of a failure.
    pub(crate) failure: fn(&str) -> String,
    /// What a client hears when a handler throws.
    pub(crate) crash: &'static str,
}

pub(crate) const JAVASCRIPT: Sdk = Sdk {
    name: "npm cloudstate 0.0.3",
    folder: "js",
    built: "node_modules/cloudstate",
    advice: "npm ci",
    command: &["node", "index.js"],
    environment: &[],
    failure: str::to_owned,
    crash: "Error handling command 'AddItem': Error: crashed as asked",
};

pub(crate) const PYTHON: Sdk = Sdk {
    name: "PyPI cloudstate 0.1.1",
    folder: "python",
    built: "venv/bin/python",
    advice: "python3 -m venv venv && venv/bin/pip install --no-deps -r requirements.txt",
    command: &["venv/bin/python", "cart.py"],
    environment: &[],
    failure: |text| format!("['{text}']"),
    crash: "['crashed as asked']",
};

/// It sends a snapshot with the fifth event, if it was given four, and can load none.
pub(crate) const PYTHON_WITH_SNAPSHOTS: Sdk = Sdk {
    environment: &[("SNAPSHOT_EVERY", "5")],
    ..PYTHON
};

pub(crate) const GO: Sdk = Sdk {
    name: "Go support v0.3.0",
    folder: "go",
    built: "target/functions",
    advice: "go build -o target/functions .",
    command: &["target/functions"],
    environment: &[],
    failure: str::to_owned,
    crash: "Unexpected entity failure",
};

/// A running program. It is killed with its drop.
pub(crate) struct Function {
    child: Child,
    pub(crate) port: u16,
}

/// Ports that somebody else took before the program could.
const STARTS_MAX: usize = 3;

impl Function {
    /// On a free port.
    pub(crate) async fn start(sdk: &Sdk, work: &Path) -> Function {
        for _ in 0..STARTS_MAX {
            if let Some(function) = Function::start_at(sdk, work, tests::sdk::lasting_port()).await {
                return function;
            }
        }
        panic!(
            "the user function of {} does not start:\n{}",
            sdk.name,
            said(work)
        );
    }

    /// None: it has ended instead of listening.
    pub(crate) async fn start_at(sdk: &Sdk, work: &Path, port: u16) -> Option<Function> {
        let folder = tests::sdk::folder("cloudstate").join(sdk.folder);
        let built = folder.join(sdk.built);
        assert!(built.exists(), "run `{}` in {}", sdk.advice, folder.display());
        let log = std::fs::File::options().create(true).append(true).open(log(work));
        let log = log.expect("a log file");
        let program: PathBuf = match sdk.command[0] {
            path if path.contains('/') => folder.join(path),
            name => name.into(),
        };
        let mut child = Command::new(program)
            .args(&sdk.command[1..])
            .envs(sdk.environment.iter().copied())
            .env("HOST", "127.0.0.1")
            .env("PORT", port.to_string())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the function starts");
        let listening = || {
            let ended = child.try_wait().expect("it can be waited for");
            async move {
                match TcpStream::connect(("127.0.0.1", port)).await {
                    Ok(_) => Some(true),
                    Err(_) => ended.map(|_| false),
                }
            }
        };
        let listens = tests::eventually("the function to listen", listening).await;
        listens.then_some(Function { child, port })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("it can be killed");
    }
}

fn log(work: &Path) -> PathBuf {
    work.join("function.log")
}

/// Everything the program has said so far.
pub(crate) fn said(work: &Path) -> String {
    std::fs::read_to_string(log(work)).unwrap_or_default()
}
