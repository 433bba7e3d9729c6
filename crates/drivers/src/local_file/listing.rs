//! One page of a folder: names are sorted, and only the page's own entries are looked at more closely.

use base::{Result, limits};
use ports::Metadata;
use ports::file::{Info, Listing};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;

use super::text;
use crate::tree::Tree;

/// `limit` 0 means as many as one page may have. It blocks.
pub(super) fn page(tree: &Tree, folder: &str, limit: usize, marker: &str) -> Result<Listing> {
    let opened = tree.open(folder, OFlags::RDONLY, Mode::empty());
    let directory = opened.map_err(|errno| text::error("open", folder, errno))?;
    let names = names(&directory).map_err(|errno| text::error("readdirent", folder, errno))?;
    let behind = behind(&names, marker);
    let limit = if limit == 0 { usize::MAX } else { limit };
    let page = &behind[..behind.len().min(limit).min(limits::FILE_LIST_MAX)];
    let mut files = Vec::with_capacity(page.len());
    for name in page {
        match info(&directory, name) {
            Ok(info) => files.push(info),
            // It was removed in the meantime.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(text::error("lstat", &String::from_utf8_lossy(name), errno)),
        }
    }
    Ok(Listing {
        files,
        marker: page.last().map(|name| lossy(name)).unwrap_or_default(),
        truncated: page.len() < behind.len(),
    })
}

fn names(directory: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = vec![];
    for entry in Dir::read_from(directory)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The names behind the marker; none when there is no such name.
fn behind<'n>(names: &'n [Vec<u8>], marker: &str) -> &'n [Vec<u8>] {
    if marker.is_empty() {
        return names;
    }
    match names.binary_search_by(|name| name.as_slice().cmp(marker.as_bytes())) {
        Ok(index) => &names[index + 1..],
        Err(_) => &[],
    }
}

fn info(directory: &OwnedFd, name: &[u8]) -> Result<Info, Errno> {
    let stat = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(Info {
        name: lossy(name),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified: text::modified(&stat),
        metadata: Metadata::new(),
    })
}

fn lossy(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
