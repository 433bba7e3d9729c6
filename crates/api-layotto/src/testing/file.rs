//! A fake file store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use base::{Error, Result, codes, limits};
use bytes::Bytes;
use futures::{StreamExt, stream};
use parking_lot::Mutex;
use ports::Metadata;
use ports::file::{Content, FileStore, Info, Listing, Stat};

use super::Fault;

/// Files in memory; what a put was given is kept, complete or not.
#[derive(Default)]
pub(crate) struct Files {
    pub fault: Fault,
    /// Fails a transfer behind this many bytes.
    pub broken_at: Mutex<Option<usize>>,
    pub files: Mutex<BTreeMap<String, (Bytes, Metadata)>>,
    /// Chunks that readers have taken.
    pub chunks_read: std::sync::Arc<AtomicUsize>,
    pub last_limit: AtomicUsize,
}

impl Files {
    fn find(&self, name: &str) -> Result<(Bytes, Metadata)> {
        let file = self.files.lock().get(name).cloned();
        file.ok_or_else(|| Error::new(codes::FILE_NOT_FOUND, format!("open {name}: no such file")))
    }
}

#[async_trait]
impl FileStore for Files {
    async fn put(&self, name: &str, metadata: &Metadata, mut content: Content) -> Result<()> {
        self.fault.check()?;
        let broken_at = *self.broken_at.lock();
        let mut data = Vec::new();
        while let Some(chunk) = content.next().await {
            data.extend_from_slice(&chunk?);
            if broken_at.is_some_and(|at| data.len() > at) {
                return Err(Error::new(codes::FILE_FAILED, "the disk is 100% full"));
            }
        }
        let file = (data.into(), metadata.clone());
        self.files.lock().insert(name.to_owned(), file);
        Ok(())
    }

    async fn get(&self, name: &str, _metadata: &Metadata) -> Result<Content> {
        self.fault.check()?;
        let (data, _) = self.find(name)?;
        let broken_at = *self.broken_at.lock();
        let read = self.chunks_read.clone();
        let chunks: Vec<Bytes> = data
            .chunks(limits::FILE_CHUNK_BYTES)
            .map(Bytes::copy_from_slice)
            .collect();
        let content = stream::iter(chunks).enumerate().map(move |(index, chunk)| {
            read.fetch_add(1, Ordering::SeqCst);
            if broken_at.is_some_and(|at| index * limits::FILE_CHUNK_BYTES >= at) {
                return Err(Error::new(codes::FILE_FAILED, "the disk is gone"));
            }
            Ok(chunk)
        });
        Ok(content.boxed())
    }

    async fn list(&self, folder: &str, _metadata: &Metadata, limit: usize, marker: &str) -> Result<Listing> {
        self.fault.check()?;
        self.last_limit.store(limit, Ordering::SeqCst);
        let all = self.files.lock();
        let names: Vec<&String> = all
            .keys()
            .filter(|name| name.starts_with(folder) && name.as_str() > marker)
            .collect();
        let page = &names[..limit.min(names.len())];
        Ok(Listing {
            truncated: page.len() < names.len(),
            marker: page.last().map(|name| (*name).clone()).unwrap_or_default(),
            files: page
                .iter()
                .map(|name| Info {
                    name: (*name).clone(),
                    size: all[*name].0.len() as u64,
                    modified: "today".into(),
                    metadata: all[*name].1.clone(),
                })
                .collect(),
        })
    }

    async fn delete(&self, name: &str, _metadata: &Metadata) -> Result<()> {
        self.fault.check()?;
        self.find(name)?;
        self.files.lock().remove(name);
        Ok(())
    }

    async fn stat(&self, name: &str, _metadata: &Metadata) -> Result<Stat> {
        self.fault.check()?;
        let (data, metadata) = self.find(name)?;
        let metadata = metadata.into_iter().map(|(name, text)| (name, vec![text]));
        Ok(Stat {
            size: data.len() as u64,
            modified: "today".into(),
            metadata: metadata.collect(),
        })
    }
}
