//! What every [`FileStore`] must do. The files of a suite lie in one folder, which is empty before and after.

use std::sync::Arc;

use base::{Error, Kind, codes, limits};
use bytes::Bytes;
use futures::{StreamExt, stream};

use crate::Metadata;
use crate::file::{Content, FileStore, Listing};

pub struct Given<'s> {
    pub store: Arc<dyn FileStore>,
    /// What the names of files begin with: `folder/`, `bucket/`.
    pub prefix: &'s str,
    /// The folder of these files, as `list` wants it. It is empty.
    pub folder: &'s str,
    /// What `put` needs besides, so that it makes a file or replaces one whole.
    pub put: Metadata,
}

pub async fn all(given: Given<'_>) {
    content_comes_back_in_bounded_chunks(&given).await;
    a_put_replaces_the_file(&given).await;
    stat_knows_the_size_and_misses_with_not_found(&given).await;
    a_deleted_file_is_gone(&given).await;
    a_listing_pages_by_marker(&given).await;
    an_unknown_marker_gives_an_empty_page(&given).await;
    a_broken_upload_is_an_error(&given).await;
    many_streams_go_on_at_once(&given).await;
}

impl Given<'_> {
    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    async fn put(&self, name: &str, content: &Bytes, chunk_size: usize) {
        let (name, content) = (self.name(name), chunks(content, chunk_size));
        let put = self.store.put(&name, &self.put, content).await;
        put.expect("the store takes it");
    }

    /// The whole content, after a look at its chunks.
    async fn get(&self, name: &str) -> Bytes {
        let content = self.store.get(&self.name(name), &Metadata::new()).await;
        let mut content = content.expect("the file is there");
        let mut whole = vec![];
        while let Some(chunk) = content.next().await {
            let chunk = chunk.expect("the store reads on");
            assert!(!chunk.is_empty(), "a chunk holds something");
            assert!(chunk.len() <= limits::FILE_CHUNK_BYTES, "{}", chunk.len());
            whole.extend_from_slice(&chunk);
        }
        whole.into()
    }

    async fn list(&self, limit: usize, marker: &str) -> Listing {
        let listing = self
            .store
            .list(self.folder, &Metadata::new(), limit, marker)
            .await;
        listing.expect("the folder is there")
    }

    async fn delete(&self, name: &str) {
        let deleted = self.store.delete(&self.name(name), &Metadata::new()).await;
        deleted.expect("the file is there");
    }
}

fn chunks(content: &Bytes, size: usize) -> Content {
    let mut rest = content.clone();
    let next = move || {
        let chunk = rest.split_to(rest.len().min(size));
        (!chunk.is_empty()).then_some(Ok(chunk))
    };
    stream::iter(std::iter::from_fn(next)).boxed()
}

/// Bytes that show when a part of them is lost, doubled or moved.
fn pattern(size: usize) -> Bytes {
    (0..size)
        .map(|index| (index ^ (index >> 8) ^ (index >> 16)) as u8)
        .collect()
}

async fn content_comes_back_in_bounded_chunks(given: &Given<'_>) {
    let chunk = limits::FILE_CHUNK_BYTES;
    for size in [0, 1, chunk, chunk + 1, 11 * chunk, (3 << 20) + 7] {
        let content = pattern(size);
        for chunk_size in [4_096, 1 << 20] {
            given.put("content", &content, chunk_size).await;
            assert!(
                given.get("content").await == content,
                "{size} bytes in {chunk_size}"
            );
        }
    }
    given.delete("content").await;
}

async fn a_put_replaces_the_file(given: &Given<'_>) {
    given.put("replaced", &pattern(300_000), 4_096).await;
    given.put("replaced", &Bytes::from("short"), 4_096).await;
    assert_eq!(given.get("replaced").await, "short");
    given.delete("replaced").await;
}

async fn stat_knows_the_size_and_misses_with_not_found(given: &Given<'_>) {
    given.put("stat", &pattern(70_000), 4_096).await;
    let stat = given
        .store
        .stat(&given.name("stat"), &Metadata::new())
        .await
        .expect("it is there");
    assert_eq!(stat.size, 70_000);
    assert!(!stat.modified.is_empty());
    given.delete("stat").await;
    let missing = given.store.stat(&given.name("stat"), &Metadata::new()).await;
    assert_eq!(missing.expect_err("it is gone").kind(), Kind::NotFound);
}

async fn a_deleted_file_is_gone(given: &Given<'_>) {
    given.put("deleted", &Bytes::from("x"), 1).await;
    given.delete("deleted").await;
    let content = given.store.get(&given.name("deleted"), &Metadata::new()).await;
    let gone = match content {
        Err(_) => true,
        // Some stores open lazily: then the first read fails.
        Ok(mut content) => matches!(content.next().await, Some(Err(_))),
    };
    assert!(gone);
    assert_eq!(given.list(0, "").await.files, vec![]);
}

async fn a_listing_pages_by_marker(given: &Given<'_>) {
    let empty = given.list(10, "").await;
    assert_eq!(
        (empty.files.len(), empty.marker.as_str(), empty.truncated),
        (0, "", false)
    );
    let names = ["a", "b", "c", "d", "e"];
    for name in names.iter().rev() {
        given.put(name, &pattern(name.as_bytes()[0].into()), 4_096).await;
    }
    let (mut seen, mut marker) = (vec![], String::new());
    for expected in [2, 2, 1] {
        let page = given.list(2, &marker).await;
        assert_eq!(page.files.len(), expected);
        let last = page.files.last().expect("the page has files");
        assert_eq!(page.marker, last.name);
        assert_eq!(page.truncated, expected == 2);
        seen.extend(page.files);
        marker = page.marker;
    }
    for (info, name) in seen.iter().zip(names) {
        assert!(info.name.ends_with(name), "{} is not {name}", info.name);
        assert_eq!(info.size, u64::from(name.as_bytes()[0]));
        assert!(!info.modified.is_empty());
    }
    assert_eq!(given.list(0, "").await.files, seen, "no limit means all");
    assert!(given.list(2, &marker).await.files.is_empty());
    for name in names {
        given.delete(name).await;
    }
}

async fn an_unknown_marker_gives_an_empty_page(given: &Given<'_>) {
    given.put("known", &Bytes::from("x"), 1).await;
    let page = given.list(10, "conformance-no-such-marker").await;
    assert_eq!((page.files.len(), page.truncated), (0, false));
    given.delete("known").await;
}

/// What is left of it is the driver's to declare; a store may have nothing to delete.
async fn a_broken_upload_is_an_error(given: &Given<'_>) {
    let broken = Error::new(codes::INTERNAL, "the sender went away");
    let content = stream::iter([Ok(pattern(100)), Err(broken)]).boxed();
    let name = given.name("broken");
    let put = given.store.put(&name, &given.put, content).await;
    put.expect_err("the content was broken off");
    drop(given.store.delete(&name, &Metadata::new()).await);
    assert_eq!(given.list(0, "").await.files, vec![]);
}

async fn many_streams_go_on_at_once(given: &Given<'_>) {
    let content = pattern(2 << 20);
    let one = async |index: usize| {
        let name = format!("many-{index}");
        given.put(&name, &content, 65_536).await;
        assert!(given.get(&name).await == content, "{name}");
        given.delete(&name).await;
    };
    futures::future::join_all((0..8).map(one)).await;
}
