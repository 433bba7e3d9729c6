//! The last synced commit, kept beside the store.
//!
//! A store that finds a damaged batch in its journal forgets everything behind it without a word. So the number of the last
//! synced commit is written to a file of its own after each sync: it is in the page cache at once, which survives the
//! process, and reaches the disk within a second or at a clean stop. At open a store that is behind it has lost something.
//!
//! Layout, little endian: commit (8 bytes), the time it was made (8), the two xor [`MARK`] (8).

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use base::{Error, Result, Timestamp, codes};
use ports::kv::Version;

const MARK: u64 = 0x4265_6c61_7920_3031;

pub(super) struct Watermark(File);

impl Watermark {
    /// Cheap: no sync. Only ever call it with what is synced.
    pub(super) fn write(&self, version: Version, at: Timestamp) -> std::io::Result<()> {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&version.0.to_le_bytes());
        bytes[8..16].copy_from_slice(&at.0.to_le_bytes());
        bytes[16..].copy_from_slice(&(version.0 ^ at.0 ^ MARK).to_le_bytes());
        self.0.write_all_at(&bytes, 0)
    }

    pub(super) fn sync(&self) -> std::io::Result<()> {
        self.0.sync_data()
    }
}

/// Compares the mark with the store's last commit, and gives the last time that was seen.
pub(super) fn open(path: &Path, store: Version, accept_data_loss: bool) -> Result<(Watermark, Timestamp)> {
    let failed = |cause: std::io::Error| {
        let message = format!("{} cannot be used: {cause}", path.display());
        Error::new(codes::DATA_DIR_UNUSABLE, message).because(cause)
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(failed)?;
    let (marked, seen) = match read(&file).map_err(failed)? {
        Mark::Good(version, at) => (version, at),
        Mark::Fresh if store == Version(0) => (Version(0), Timestamp(0)),
        Mark::Fresh | Mark::Damaged if accept_data_loss => (Version(0), Timestamp(0)),
        Mark::Fresh => return Err(damaged(path, "it is empty although the store is not")),
        Mark::Damaged => return Err(damaged(path, "its check sum is wrong")),
    };
    if marked > store && !accept_data_loss {
        let message = format!(
            "the store ends at commit {}, but commit {} was acknowledged: its journal is damaged",
            store.0, marked.0
        );
        return Err(Error::new(codes::DATA_DAMAGED, message));
    }
    let watermark = Watermark(file);
    watermark
        .write(store, seen)
        .and_then(|()| watermark.sync())
        .map_err(failed)?;
    Ok((watermark, seen))
}

enum Mark {
    Fresh,
    Good(Version, Timestamp),
    Damaged,
}

fn read(file: &File) -> std::io::Result<Mark> {
    if file.metadata()?.len() == 0 {
        return Ok(Mark::Fresh);
    }
    let mut bytes = [0; 24];
    if file.metadata()?.len() < 24 {
        return Ok(Mark::Damaged);
    }
    file.read_exact_at(&mut bytes, 0)?;
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let (version, at) = (number(0), number(8));
    Ok(if number(16) == version ^ at ^ MARK {
        Mark::Good(Version(version), Timestamp(at))
    } else {
        Mark::Damaged
    })
}

fn damaged(path: &Path, why: &str) -> Error {
    let message = format!("{} cannot be trusted: {why}", path.display());
    Error::new(codes::DATA_DAMAGED, message)
}
