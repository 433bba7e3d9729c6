//! A small file system of its own for a data directory, so that a test can fill it to the last byte.
//!
//! A `tmpfs` in a mount namespace that a waiting process holds: nothing is mounted for the rest of the machine, and all
//! of it ends with that process. Root makes the namespace itself; other users make it inside a user namespace.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::PATIENCE;

pub struct Volume {
    /// Waits for the end of its input, which is that of this value.
    holder: Child,
    folder: TempDir,
}

impl Volume {
    /// Panics where the system lets nobody mount: a test that needs a full disk must not pass without one.
    pub async fn mount(mib: u32) -> Volume {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = format!(r#"mount -t tmpfs -o size={mib}m none "$1" && echo mounted && exec cat"#);
        let mut holder = Command::new("unshare")
            .arg(if is_root() { "-m" } else { "-rm" })
            .args(["sh", "-c", &script, "sh"])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("unshare starts (Debian's package util-linux)");
        let said = holder.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(said).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        let line = line.expect("it mounts in time").expect("a text");
        assert_eq!(
            line.as_deref(),
            Some("mounted"),
            "no file system could be mounted in a namespace: run the tests as root, or allow user namespaces"
        );
        Volume { holder, folder }
    }

    /// Where programs of [`Volume::command`] find it.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The same folder, for this process.
    pub fn seen(&self) -> PathBuf {
        let inside = self.folder.path().strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.holder()).join("root").join(inside)
    }

    /// A program that sees the volume. Its process is that program's own.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        if !is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(["--mount", "--target", &self.holder()]).arg(program);
        command
    }

    /// Fills what is free, but for so many bytes. May be called again when something was given back.
    pub fn fill(&self, leave: u64) {
        let mut ballast = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.ballast())
            .expect("a file");
        let block = vec![0xbb; 4 << 10];
        loop {
            match ballast.write(&block) {
                Ok(_) => {}
                Err(cause) if cause.kind() == ErrorKind::StorageFull => break,
                Err(cause) => panic!("the volume cannot be filled: {cause}"),
            }
        }
        let size = ballast.metadata().expect("it has a size").len();
        let size = size.checked_sub(leave).expect("so much was free");
        ballast.set_len(size).expect("it can be shortened");
    }

    /// Takes the filling away.
    pub fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("it was filled");
    }

    /// Whether not one more block can be written.
    pub fn is_full(&self) -> bool {
        let path = self.seen().join("probe");
        let mut probe = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .expect("a file");
        let written = probe.write_all(b"x");
        std::fs::remove_file(&path).expect("it was just made");
        written.is_err_and(|cause| cause.kind() == ErrorKind::StorageFull)
    }

    fn ballast(&self) -> PathBuf {
        self.seen().join("ballast")
    }

    fn holder(&self) -> String {
        self.holder.id().expect("it waits for its input").to_string()
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
