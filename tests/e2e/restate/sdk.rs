//! The programs in `tests/restate`.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

pub(super) struct Sdk {
    /// For the table in the documentation.
    pub(super) name: &'static str,
    /// Service protocol that is spoken with it.
    pub(super) protocol: u32,
    pub(super) folder: &'static str,
    /// What the build leaves in that folder.
    built: &'static str,
    /// How it is built there.
    advice: &'static str,
    /// The command in that folder, without port and file.
    command: &'static [&'static str],
    /// Registered with `use_http_11`.
    pub(super) http_11: bool,
    /// Of the Belay that it is driven with.
    pub(super) config: &'static str,
    /// Its manifest cannot say when an attempt is to suspend: the administrator does.
    pub(super) is_silent: bool,
}

pub(super) const TYPESCRIPT_1_3: Sdk = Sdk {
    name: "TypeScript 1.3.0",
    protocol: 1,
    built: "node_modules/restate-1.3",
    command: &["node", "services.js", "restate-1.3", "http2"],
    ..TYPESCRIPT_1_4
};

pub(super) const TYPESCRIPT_1_4: Sdk = Sdk {
    name: "TypeScript 1.4.0",
    protocol: 2,
    built: "node_modules/restate-1.4",
    command: &["node", "services.js", "restate-1.4", "http2"],
    is_silent: true,
    ..TYPESCRIPT_1_14
};

pub(super) const TYPESCRIPT_1_14: Sdk = Sdk {
    name: "TypeScript 1.14.5",
    protocol: 6,
    folder: "js",
    built: "node_modules/restate-1.14",
    advice: "npm ci",
    command: &["node", "services.js", "restate-1.14", "http2"],
    http_11: false,
    config: "{}",
    is_silent: false,
};

/// Its package wants Node 22 without saying so; the polyfill lets it run on Node 20.
pub(super) const TYPESCRIPT_1_17: Sdk = Sdk {
    name: "TypeScript 1.17.2",
    protocol: 6,
    folder: "js",
    built: "node_modules/restate-1.17",
    advice: "npm ci",
    command: &[
        "node",
        "--import",
        "./polyfill.js",
        "services.js",
        "restate-1.17",
        "http2",
    ],
    http_11: false,
    config: "{}",
    is_silent: false,
};

pub(super) const TYPESCRIPT_1_17_VERSION_7: Sdk = Sdk {
    name: "TypeScript 1.17.2, with version 7 allowed",
    protocol: 7,
    config: "restate: {protocol_max: 7}",
    ..TYPESCRIPT_1_17
};

/// It answers only to who has the key of `identity.rs`.
pub(super) const TYPESCRIPT_1_17_SIGNED: Sdk = Sdk {
    name: "TypeScript 1.17.2, to signed requests",
    command: &[
        "env",
        "IDENTITY_KEYS=publickeyv1_AfQwmwfgEZhrWpvv8N52SHpRtZqGGaFr4AZN6qtYWSiY",
        "node",
        "--import",
        "./polyfill.js",
        "services.js",
        "restate-1.17",
        "http2",
    ],
    ..TYPESCRIPT_1_17
};

/// Request, then answer: it suspends whenever it waits for anything. Not with 1.14, which takes the end of a request over
/// HTTP/1.1 for that of the connection and gives up.
pub(super) const TYPESCRIPT_1_17_HTTP_11: Sdk = Sdk {
    name: "TypeScript 1.17.2 over HTTP/1.1",
    command: &[
        "node",
        "--import",
        "./polyfill.js",
        "services.js",
        "restate-1.17",
        "http",
    ],
    http_11: true,
    ..TYPESCRIPT_1_17
};

pub(super) const RUST: Sdk = Sdk {
    name: "Rust 0.13.0",
    protocol: 6,
    folder: "rust",
    built: "target/debug/restate-services",
    advice: "cargo build --target-dir target",
    command: &["target/debug/restate-services"],
    http_11: false,
    config: "{}",
    is_silent: false,
};

pub(super) const PYTHON: Sdk = Sdk {
    name: "Python 1.3.0",
    protocol: 6,
    folder: "python",
    built: "venv/bin/hypercorn",
    advice: "python3 -m venv venv && venv/bin/pip install -r requirements.txt",
    command: &["venv/bin/python", "services.py"],
    http_11: false,
    config: "{}",
    is_silent: false,
};

pub(super) const PYTHON_0_5: Sdk = Sdk {
    name: "Python 0.5.1",
    protocol: 2,
    built: "venv-0.5/bin/hypercorn",
    advice: "python3 -m venv venv-0.5 && venv-0.5/bin/pip install -r requirements-0.5.txt",
    command: &["venv-0.5/bin/python", "services.py"],
    is_silent: true,
    ..PYTHON
};

pub(super) const GO: Sdk = Sdk {
    name: "Go 1.2.0",
    protocol: 6,
    folder: "go",
    built: "target/services",
    advice: "go build -o target/services .",
    command: &["target/services"],
    http_11: false,
    config: "{}",
    is_silent: false,
};

pub(super) const JAVA: Sdk = Sdk {
    name: "Java 2.4.0",
    protocol: 6,
    folder: "java",
    built: "target/lib",
    advice: "mvn -q package",
    command: &["java", "-cp", "target/classes:target/lib/*", "belay.Main"],
    http_11: false,
    config: "{}",
    is_silent: false,
};

/// A running program. It is killed with its drop.
pub(super) struct Program {
    child: Child,
    pub(super) port: u16,
}

/// Ports that somebody else took before the program could.
const STARTS_MAX: usize = 3;

impl Program {
    /// On a free port.
    pub(super) async fn start(sdk: &Sdk, work: &std::path::Path) -> Program {
        for _ in 0..STARTS_MAX {
            if let Some(program) = Program::start_at(sdk, work, tests::sdk::lasting_port()).await {
                return program;
            }
        }
        panic!("the services do not start:\n{}", said(work));
    }

    /// None: it has ended instead of listening.
    pub(super) async fn start_at(sdk: &Sdk, work: &std::path::Path, port: u16) -> Option<Program> {
        let folder = folder(sdk);
        let built = folder.join(sdk.built);
        assert!(built.exists(), "run `{}` in {}", sdk.advice, folder.display());
        let log = std::fs::File::options().create(true).append(true).open(log(work));
        let log = log.expect("a log file");
        // A path is one from there, a bare name is looked up.
        let program = match sdk.command[0] {
            path if path.contains('/') => folder.join(path),
            name => name.into(),
        };
        let mut child = Command::new(program)
            .args(&sdk.command[1..])
            .arg(port.to_string())
            .arg(notes(work))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the services start");
        let listening = || {
            let ended = child.try_wait().expect("it can be waited for");
            async move {
                match TcpStream::connect(("127.0.0.1", port)).await {
                    Ok(_) => Some(true),
                    Err(_) => ended.map(|_| false),
                }
            }
        };
        let listens = tests::eventually("the services to listen", listening).await;
        listens.then_some(Program { child, port })
    }

    pub(super) async fn kill(&mut self) {
        self.child.kill().await.expect("it can be killed");
    }
}

fn folder(sdk: &Sdk) -> PathBuf {
    tests::sdk::folder("restate").join(sdk.folder)
}

/// Where handlers note what they do.
pub(super) fn notes(work: &std::path::Path) -> PathBuf {
    work.join("notes")
}

fn log(work: &std::path::Path) -> PathBuf {
    work.join("services.log")
}

/// Everything the program has said so far.
pub(super) fn said(work: &std::path::Path) -> String {
    std::fs::read_to_string(log(work)).unwrap_or_default()
}
