//! A file as a stream: large blocks are read ahead on a blocking thread and cut into chunks without copying.
//!
//! Two blocks exist at a time: the one that is being sent and the one that is being read. A sent block's memory is used
//! again when nobody holds a chunk of it any more.

use std::sync::Arc;

use base::{Result, limits};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use ports::file::Content;
use rustix::buffer::spare_capacity;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use tokio::task::JoinHandle;

use super::text;
use crate::blocking;
use crate::tree::Tree;

/// Room for files whose size isn't known beforehand, such as those of `/proc`.
const BLOCK_BYTES_MIN: usize = 4 << 10;

struct Source {
    file: OwnedFd,
    name: String,
}

struct Block {
    bytes: Bytes,
    /// Where the next block comes from; `None` at the end of the file.
    rest: Option<Source>,
}

struct Reader {
    /// What is left to send of the current block.
    current: Bytes,
    /// The current block as a whole, to use its memory again.
    spent: Bytes,
    ahead: Option<JoinHandle<Result<Block>>>,
}

/// Opens a file and reads its first block, so that a small file costs one hop to another thread.
pub(super) async fn open(tree: Arc<Tree>, name: String) -> Result<Content> {
    let first = blocking::run(move || first_block(&tree, name)).await??;
    let mut reader = Reader {
        current: Bytes::new(),
        spent: Bytes::new(),
        ahead: None,
    };
    reader.take(first);
    Ok(stream::unfold(reader, next_chunk).boxed())
}

async fn next_chunk(mut reader: Reader) -> Option<(Result<Bytes>, Reader)> {
    while reader.current.is_empty() {
        match blocking::finished(reader.ahead.take()?).await.flatten() {
            Ok(block) => reader.take(block),
            Err(error) => return Some((Err(error), reader)),
        }
    }
    let size = reader.current.len().min(limits::FILE_CHUNK_BYTES);
    let chunk = reader.current.split_to(size);
    Some((Ok(chunk), reader))
}

impl Reader {
    /// Makes a block the current one and starts to read the one behind it.
    fn take(&mut self, block: Block) {
        self.current = block.bytes.clone();
        let spent = std::mem::replace(&mut self.spent, block.bytes);
        self.ahead = block.rest.map(|source| {
            let buffer = buffer(spent);
            blocking::start(move || read_block(source, buffer))
        });
    }
}

/// Memory for one block: what was sent, if its chunks are gone.
fn buffer(spent: Bytes) -> Vec<u8> {
    if spent.is_unique() {
        let mut buffer = Vec::from(spent);
        buffer.clear();
        if buffer.capacity() >= limits::FILE_BLOCK_BYTES {
            return buffer;
        }
    }
    Vec::with_capacity(limits::FILE_BLOCK_BYTES)
}

fn first_block(tree: &Tree, name: String) -> Result<Block> {
    let file = match tree.open(&name, OFlags::RDONLY, Mode::empty()) {
        Ok(file) => file,
        Err(errno) => return Err(text::error("open", &name, errno)),
    };
    let size = rustix::fs::fstat(&file).map_or(0, |stat| stat.st_size);
    // One byte more than the file has, so that its end shows without another block.
    let size = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(1);
    let buffer = Vec::with_capacity(size.clamp(BLOCK_BYTES_MIN, limits::FILE_BLOCK_BYTES));
    read_block(Source { file, name }, buffer)
}

/// Reads until the buffer is full or the file is at its end.
fn read_block(source: Source, mut buffer: Vec<u8>) -> Result<Block> {
    let mut at_end = false;
    while !at_end && buffer.len() < buffer.capacity() {
        match rustix::io::read(&source.file, spare_capacity(&mut buffer)) {
            Ok(size) => at_end = size == 0,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(text::error("read", &source.name, errno)),
        }
    }
    Ok(Block {
        bytes: Bytes::from(buffer),
        rest: (!at_end).then_some(source),
    })
}
