//! A small file system of its own for a data directory, so that a test can fill it to the last byte, or cut its power.
//!
//! It is mounted in a namespace that a waiting process holds: nothing is mounted for the rest of the machine, and all of it
//! ends with that process. A `tmpfs` to be filled: root makes the namespace itself, other users make it inside a user
//! namespace. An `ext4` in a file to be cut off: only root may mount that.

use std::ffi::OsStr;
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
    disk: Option<Disk>,
}

/// What an `ext4` is on.
struct Disk {
    folder: TempDir,
}

impl Disk {
    fn new() -> Disk {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Disk { folder }
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("disk.ext4")
    }
}

impl Volume {
    /// Panics where the system lets nobody mount: a test that needs a full disk must not pass without one.
    pub async fn mount(mib: u32) -> Volume {
        Volume::of(&format!("mount -t tmpfs -o size={mib}m none"), None).await
    }

    /// One whose power can be cut, see [`Volume::cut`]. Panics where it cannot be mounted.
    pub async fn mount_disk(mib: u64) -> Volume {
        assert!(
            is_root(),
            "a disk whose power can be cut needs a loop device: run the tests as root"
        );
        let disk = Disk::new();
        let image = std::fs::File::create(disk.image()).expect("a file");
        image.set_len(mib << 20).expect("it can be as large");
        run(
            "mkfs.ext4",
            &["-q".as_ref(), "-F".as_ref(), disk.image().as_ref()],
        )
        .await;
        Volume::mount_image(disk).await
    }

    /// What would be there if the power went now: what was synced, and little else. Whoever writes here has to stand still.
    ///
    /// The file system writes by itself only every five minutes, so what the disk has is what somebody has waited for.
    pub async fn cut(&self) -> Volume {
        let disk = self.disk.as_ref().expect("it was mounted as a disk");
        let copy = Disk::new();
        let (from, to) = (disk.image(), copy.image());
        run("cp", &["--sparse=always".as_ref(), from.as_ref(), to.as_ref()]).await;
        Volume::mount_image(copy).await
    }

    async fn mount_image(disk: Disk) -> Volume {
        let mount = format!("mount -o loop,commit=300 '{}'", disk.image().display());
        Volume::of(&mount, Some(disk)).await
    }

    async fn of(mount: &str, disk: Option<Disk>) -> Volume {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let script = format!(r#"{mount} "$1" && echo mounted && exec cat"#);
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
        Volume { holder, folder, disk }
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

async fn run(program: &str, arguments: &[&OsStr]) {
    let ended = Command::new(program).args(arguments).status().await;
    assert!(ended.is_ok_and(|ended| ended.success()), "{program} has failed");
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
