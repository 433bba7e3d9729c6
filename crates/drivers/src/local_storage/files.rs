//! The four operations on the directory. They block.

use std::fs::File;
use std::io::{Read, Write};

use base::{Error, Result, codes, limits};
use bytes::Bytes;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::tree::{self, Tree};

/// What a list has, and whether there is more.
pub(super) struct List {
    pub names: Vec<String>,
    pub truncated: bool,
}

fn error(what: &str, name: &str, errno: Errno) -> Error {
    match errno {
        Errno::XDEV => Error::new(codes::FILE_FORBIDDEN, format!("{name} is outside of rootPath")),
        Errno::NOENT => Error::new(codes::FILE_NOT_FOUND, format!("file not found: {name}")),
        errno => {
            let text = format!("error {what} {name}: {}", tree::text(errno));
            Error::new(codes::FILE_FAILED, text).because(errno)
        }
    }
}

/// Writes beside the file and renames, so that nobody ever sees a part of it. Missing folders are made.
pub(super) fn create(tree: &Tree, name: &str, content: &[u8]) -> Result<()> {
    let failed = |errno| error("creating file", name, errno);
    make_folders(tree, name).map_err(failed)?;
    let created = tree.in_parent(name, |folder, last| {
        let part = format!(".{}.part", uuid::Uuid::new_v4());
        let outcome = write(folder, &part, content)
            .and_then(|()| rustix::fs::renameat(folder, part.as_str(), folder, last));
        if outcome.is_err() {
            // Nothing can be done about a part that stays, and the reason is told already.
            let _ = rustix::fs::unlinkat(folder, part.as_str(), AtFlags::empty());
        }
        outcome
    });
    created.map_err(failed)
}

fn write(folder: BorrowedFd<'_>, name: &str, content: &[u8]) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o666))?;
    let written = File::from(file).write_all(content);
    written.map_err(|cause| Errno::from_io_error(&cause).unwrap_or(Errno::IO))
}

/// Every folder on the way, each made beneath the ones before.
fn make_folders(tree: &Tree, name: &str) -> Result<(), Errno> {
    for (index, _) in name.match_indices('/') {
        let folder = &name[..index];
        let named = folder.rsplit('/').next().unwrap_or_default();
        if matches!(named, "" | "." | "..") {
            continue;
        }
        let made = tree.in_parent(folder, |parent, last| {
            rustix::fs::mkdirat(parent, last, Mode::from_raw_mode(0o777))
        });
        match made {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

pub(super) fn get(tree: &Tree, name: &str) -> Result<Bytes> {
    let failed = |errno| error("reading file", name, errno);
    let file = tree.open(name, OFlags::RDONLY, Mode::empty()).map_err(failed)?;
    let size_max = limits::BINDING_FILE_BYTES_MAX;
    let mut content = vec![];
    // One byte more than there may be shows that there is more.
    let read = File::from(file)
        .take(size_max as u64 + 1)
        .read_to_end(&mut content);
    read.map_err(|cause| failed(Errno::from_io_error(&cause).unwrap_or(Errno::IO)))?;
    if content.len() > size_max {
        let text = format!("{name} is larger than {size_max} bytes: read it through a file component");
        return Err(Error::new(codes::FILE_FAILED, text));
    }
    Ok(content.into())
}

pub(super) fn delete(tree: &Tree, name: &str) -> Result<()> {
    tree.remove(name)
        .map_err(|errno| error("deleting file", name, errno))
}

/// The files in a folder and below, relative to the root; `limit` bounds what is looked at. Links are named and not
/// followed.
pub(super) fn list(tree: &Tree, folder: &str, limit: usize) -> Result<List> {
    let failed = |errno| error("listing the files in", folder, errno);
    let mut names = vec![];
    let top = folder.trim_end_matches('/');
    let mut folders = vec![if top == "." {
        String::new()
    } else {
        format!("{top}/")
    }];
    while let Some(prefix) = folders.pop() {
        let opened = if prefix.is_empty() { "." } else { &prefix };
        let directory = tree.open(opened, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
        let directory = match directory {
            // It was removed in the meantime.
            Err(Errno::NOENT) if prefix.len() > top.len() + 1 => continue,
            directory => directory.map_err(failed)?,
        };
        for entry in Dir::read_from(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "." || name == ".." {
                continue;
            }
            if names.len() + folders.len() >= limit {
                return Ok(sorted(names, true));
            }
            match kind(directory.as_fd(), &entry) {
                FileType::Directory => folders.push(format!("{prefix}{name}/")),
                _ => names.push(format!("{prefix}{name}")),
            }
        }
    }
    Ok(sorted(names, false))
}

fn sorted(mut names: Vec<String>, truncated: bool) -> List {
    names.sort_unstable();
    List { names, truncated }
}

/// Some file systems don't say it with the name.
fn kind(folder: BorrowedFd<'_>, entry: &rustix::fs::DirEntry) -> FileType {
    match entry.file_type() {
        FileType::Unknown => rustix::fs::statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
            .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode)),
        kind => kind,
    }
}
