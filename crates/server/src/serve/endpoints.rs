//! The addresses in force, for scripts and SDKs that start Belay on free ports: `<data>/endpoints.json`.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use base::{Error, Result, codes};
use serde::{Deserialize, Serialize};

/// The file's name in the data directory.
pub const FILE: &str = "endpoints.json";

/// What the file holds: `{"pid": 1, "version": "0.1.0", "layotto": "127.0.0.1:34904", ...}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    pub pid: u32,
    pub version: String,
    /// Address by listener; one that is off is not there.
    #[serde(flatten)]
    pub addresses: BTreeMap<String, String>,
}

impl Endpoints {
    pub(super) fn of_this_process(addresses: BTreeMap<String, String>) -> Endpoints {
        Endpoints {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            addresses,
        }
    }

    /// What the process that uses that data directory wrote.
    pub fn read(data_dir: &Path) -> Result<Endpoints> {
        let path = data_dir.join(FILE);
        let missing = |cause: &dyn std::fmt::Display| {
            Error::new(
                codes::NOT_RUNNING,
                format!("no belay says where it listens in {}: {cause}", path.display()),
            )
        };
        let text = fs::read(&path).map_err(|cause| missing(&cause))?;
        serde_json::from_slice(&text).map_err(|cause| missing(&cause))
    }
}

/// The file while the process serves. Dropping it removes it, unless another process has written its own.
pub(super) struct EndpointsFile {
    path: PathBuf,
}

impl EndpointsFile {
    /// Readers see the old file or the whole new one. On a disk without one free block the new one takes the blocks of the old
    /// one; if there is none, Belay serves all the same.
    pub(super) fn write(data_dir: &Path, endpoints: &Endpoints) -> Result<EndpointsFile> {
        let path = data_dir.join(FILE);
        let temporary = data_dir.join(format!("{FILE}.{}", endpoints.pid));
        let text = serde_json::to_vec_pretty(endpoints).expect("texts and numbers always serialize");
        let written = fs::write(&temporary, &text).and_then(|()| fs::rename(&temporary, &path));
        match written {
            Ok(()) => {}
            Err(cause) if cause.kind() == ErrorKind::StorageFull => {
                drop(fs::remove_file(&temporary));
                if let Err(cause) = overwrite(&path, text) {
                    tracing::warn!(file = %path.display(), %cause, "where Belay listens cannot be written down");
                }
            }
            Err(cause) => {
                let message = format!("{} cannot be written: {cause}", path.display());
                return Err(Error::new(codes::DATA_DIR_UNUSABLE, message).because(cause));
            }
        }
        Ok(EndpointsFile { path })
    }

    /// For a process that stops because something failed, such as the disk: on a full one the next process has only the
    /// blocks of this file.
    pub(super) fn leave(self) {
        std::mem::forget(self);
    }
}

/// In place, and never shorter than it was: what is behind the text is blank.
fn overwrite(path: &Path, mut text: Vec<u8>) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).open(path)?;
    let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    text.resize(text.len().max(length), b' ');
    file.write_all(&text)
}

impl Drop for EndpointsFile {
    fn drop(&mut self) {
        let ours = fs::read(&self.path)
            .ok()
            .and_then(|text| serde_json::from_slice::<Endpoints>(&text).ok())
            .is_some_and(|endpoints| endpoints.pid == std::process::id());
        if ours {
            drop(fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints() -> Endpoints {
        Endpoints::of_this_process(BTreeMap::from([(
            "layotto".to_owned(),
            "127.0.0.1:34904".to_owned(),
        )]))
    }

    #[test]
    fn the_file_holds_addresses_beside_pid_and_version() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let _file = EndpointsFile::write(folder.path(), &endpoints()).expect("writable");
        let text = fs::read(folder.path().join(FILE)).expect("written");
        let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(json["layotto"], "127.0.0.1:34904");
        assert_eq!(json["pid"], std::process::id());
        assert_eq!(Endpoints::read(folder.path()).expect("readable"), endpoints());
    }

    #[test]
    fn a_clean_stop_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        drop(EndpointsFile::write(folder.path(), &endpoints()).expect("writable"));
        assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 0);
        let error = Endpoints::read(folder.path()).expect_err("nothing is there");
        assert_eq!(error.code(), codes::NOT_RUNNING);
    }

    #[test]
    fn what_failed_leaves_its_file_to_the_next() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = EndpointsFile::write(folder.path(), &endpoints()).expect("writable");
        file.leave();
        assert_eq!(Endpoints::read(folder.path()).expect("still there"), endpoints());
    }

    #[test]
    fn a_file_is_overwritten_in_place_by_a_shorter_text() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let long = Endpoints {
            version: "9".repeat(500),
            ..endpoints()
        };
        let _file = EndpointsFile::write(folder.path(), &long).expect("writable");
        let text = serde_json::to_vec_pretty(&endpoints()).expect("texts");
        overwrite(&folder.path().join(FILE), text).expect("it is there");
        assert_eq!(Endpoints::read(folder.path()).expect("readable"), endpoints());
        overwrite(&folder.path().join("missing"), vec![]).expect_err("there is none");
    }

    #[test]
    fn the_file_of_another_process_is_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = EndpointsFile::write(folder.path(), &endpoints()).expect("writable");
        let other = Endpoints {
            pid: 1,
            ..endpoints()
        };
        let text = serde_json::to_vec(&other).expect("plain");
        fs::write(folder.path().join(FILE), text).expect("writable");
        drop(file);
        assert_eq!(Endpoints::read(folder.path()).expect("still there").pid, 1);
    }
}
