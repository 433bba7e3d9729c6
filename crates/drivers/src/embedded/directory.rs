//! The data directory: one process at a time, and a format that is never newer than the program.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use base::{Error, Result, codes};

/// What this program writes. Raise it with every change that an older program could not read.
const FORMAT: u32 = 1;

pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    pub(super) fn open(path: &Path) -> Result<Directory> {
        fs::create_dir_all(path).map_err(|cause| unusable(path, "it cannot be made", cause))?;
        let lock = lock(path)?;
        check_format(path)?;
        Ok(Directory {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn engine(&self) -> PathBuf {
        self.path.join("engine")
    }

    pub(super) fn watermark(&self) -> PathBuf {
        self.path.join("committed")
    }
}

/// The lock is the operating system's: it ends with the process, however that ends. The text is for people.
fn lock(path: &Path) -> Result<File> {
    let name = path.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(|cause| unusable(path, "its lock file cannot be opened", cause))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(locked(path, &mut file)),
        Err(TryLockError::Error(cause)) => return Err(unusable(path, "it cannot be locked", cause)),
    }
    let holder = format!("process {}\n", std::process::id());
    file.set_len(0)
        .and_then(|()| file.write_all(holder.as_bytes()))
        .map_err(|cause| unusable(path, "its lock file cannot be written", cause))?;
    Ok(file)
}

fn locked(path: &Path, file: &mut File) -> Error {
    let mut holder = String::new();
    let read = file.read_to_string(&mut holder);
    let holder = if read.is_ok() && !holder.trim().is_empty() {
        holder.trim()
    } else {
        "another process"
    };
    let message = format!("the data directory {} is held by {holder}", path.display());
    Error::new(codes::DATA_DIR_LOCKED, message)
}

fn check_format(path: &Path) -> Result<()> {
    let name = path.join("format");
    match fs::read_to_string(&name) {
        Ok(text) => match text
            .trim()
            .strip_prefix("belay ")
            .and_then(|number| number.parse::<u32>().ok())
        {
            Some(format) if format <= FORMAT => Ok(()),
            Some(format) => Err(newer(
                path,
                &format!("format {format}, this one reads up to {FORMAT}"),
            )),
            None => Err(newer(path, &format!("an unknown format '{}'", text.trim()))),
        },
        Err(cause) if cause.kind() == ErrorKind::NotFound => write_format(path, &name),
        Err(cause) => Err(unusable(path, "its format file cannot be read", cause)),
    }
}

fn write_format(path: &Path, name: &Path) -> Result<()> {
    if path.join("engine").exists() {
        let message = format!("{} holds data, but its file 'format' is missing", path.display());
        return Err(Error::new(codes::DATA_DIR_UNUSABLE, message));
    }
    let fresh = path.join("format.new");
    let written = File::create(&fresh)
        .and_then(|mut file| writeln!(file, "belay {FORMAT}").and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&fresh, name))
        .and_then(|()| File::open(path)?.sync_all());
    written.map_err(|cause| unusable(path, "it cannot be written to", cause))
}

fn newer(path: &Path, what: &str) -> Error {
    let message = format!(
        "the data in {} was written by a newer belay: {what}",
        path.display()
    );
    Error::new(codes::DATA_FORMAT_NEWER, message)
}

fn unusable(path: &Path, why: &str, cause: std::io::Error) -> Error {
    let message = format!(
        "the data directory {} cannot be used: {why}: {cause}",
        path.display()
    );
    Error::new(codes::DATA_DIR_UNUSABLE, message).because(cause)
}
