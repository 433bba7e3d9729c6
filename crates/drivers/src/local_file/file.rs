//! The port `file`. Every call is one hop to a thread that may wait for the disk; streams are in [`reading`] and
//! [`writing`].

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base::{Error, Result, codes};
use ports::Metadata;
use ports::file::{Content, FileStore, Listing, Stat};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::{listing, reading, text, writing};
use crate::blocking;
use crate::tree::Tree;

pub(super) struct Files {
    tree: Arc<Tree>,
}

impl Files {
    pub(super) fn in_tree(tree: Tree) -> Files {
        Files { tree: Arc::new(tree) }
    }
}

#[async_trait]
impl FileStore for Files {
    async fn put(&self, name: &str, metadata: &Metadata, content: Content) -> Result<()> {
        let opening = writing::Opening::of(metadata)?;
        writing::put(self.tree.clone(), name.to_owned(), opening, content).await
    }

    async fn get(&self, name: &str, _: &Metadata) -> Result<Content> {
        reading::open(self.tree.clone(), name.to_owned()).await
    }

    async fn list(&self, folder: &str, _: &Metadata, limit: usize, marker: &str) -> Result<Listing> {
        let (tree, marker) = (self.tree.clone(), marker.to_owned());
        let folder = match folder {
            "" if tree.is_rooted() => ".".to_owned(),
            _ => folder.to_owned(),
        };
        blocking::run(move || listing::page(&tree, &folder, limit, &marker)).await?
    }

    async fn delete(&self, name: &str, _: &Metadata) -> Result<()> {
        let (tree, name) = (self.tree.clone(), name.to_owned());
        let removed = move || {
            tree.remove(&name)
                .map_err(|errno| text::error("remove", &name, errno))
        };
        blocking::run(removed).await?
    }

    async fn stat(&self, name: &str, _: &Metadata) -> Result<Stat> {
        let (tree, name) = (self.tree.clone(), name.to_owned());
        blocking::run(move || stat(&tree, &name)).await?
    }
}

fn stat(tree: &Tree, name: &str) -> Result<Stat> {
    let opened = tree.open(name, OFlags::PATH, Mode::empty());
    let stat = match opened.and_then(rustix::fs::fstat) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => {
            return Err(Error::new(codes::FILE_NOT_FOUND, "file does not exist"));
        }
        Err(errno) => return Err(text::error("stat", name, errno)),
    };
    let metadata = [
        ("FileMode", text::mode_number(stat.st_mode).to_string()),
        ("IsDir", text::is_directory(&stat).to_string()),
    ];
    let metadata = metadata.map(|(name, value)| (name.to_owned(), vec![value]));
    Ok(Stat {
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified: text::modified(&stat),
        metadata: BTreeMap::from(metadata),
    })
}
