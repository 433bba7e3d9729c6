//! Where a list's items are: in chunks, so that no change writes the whole list.
//!
//! | row | holds |
//! |---|---|
//! | head | the list's version, the next chunk's number; of each chunk, in order: number, how many items, weight |
//! | part 1, number (8 bytes, big endian) | the items of a chunk |
//!
//! An item weighs its bytes and 16 more; a chunk weighs at most `LIST_CHUNK_BYTES`, unless it has one item only. One that would
//! weigh more is split in halves; but what is put at the edge of a full one begins a new one, so that a list that is appended to
//! has full chunks. Two neighbours that weigh half of it together become one. So two neighbours always weigh more than that,
//! and `LIST_CHUNKS_MAX` chunks are room for `LIST_ITEMS_MAX` items of up to 48 bytes, however they came in, or 64 MiB of larger
//! ones.
//!
//! That number of chunks is what one step can delete (`STEP_CHANGES_MAX`), so that clearing needs no generations of rows
//! and no later steps that remove old ones. It also bounds the head, which every change writes, to about 60 KiB.

use base::{Error, Result, codes, limits};
use bytes::Bytes;

use super::{Page, full, out_of_range};
use crate::key::{Address, Key};
use crate::row::Stored;
use crate::view::{Stop, View};

/// What an item costs beyond its bytes.
const ITEM_BYTES: u64 = 16;
/// Rows of chunks.
const CHUNK: u8 = 1;

const _: () = assert!(limits::LIST_CHUNKS_MAX < limits::STEP_CHANGES_MAX);

/// A list as its head row tells it.
pub(super) struct Chunks<'a> {
    address: &'a Address,
    version: u64,
    next: u64,
    chunks: Vec<Chunk>,
}

#[derive(Clone, Copy)]
struct Chunk {
    number: u64,
    count: u32,
    weight: u64,
}

/// Column by column, so that a chunk costs few bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Head {
    #[prost(uint64, tag = "1")]
    pub(super) version: u64,
    #[prost(uint64, tag = "2")]
    pub(super) next: u64,
    #[prost(uint64, repeated, tag = "3")]
    pub(super) numbers: Vec<u64>,
    #[prost(uint32, repeated, tag = "4")]
    pub(super) counts: Vec<u32>,
    #[prost(uint64, repeated, tag = "5")]
    pub(super) weights: Vec<u64>,
}

impl Stored for Head {}

#[derive(Clone, PartialEq, prost::Message)]
struct Items {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    values: Vec<Bytes>,
}

impl Stored for Items {}

impl<'a> Chunks<'a> {
    pub(super) fn load(view: &View<'_>, address: &'a Address) -> Result<Chunks<'a>, Stop> {
        let head: Head = view.load(&Key::head(address))?.unwrap_or_default();
        let columns = (head.numbers.len(), head.counts.len());
        let count: u64 = head.counts.iter().map(|count| u64::from(*count)).sum();
        let is_sound = columns == (head.weights.len(), head.weights.len())
            && u32::try_from(count).is_ok()
            && head.weights.iter().all(|weight| u32::try_from(*weight).is_ok());
        if !is_sound {
            return Err(damaged().into());
        }
        let rest = head.counts.into_iter().zip(head.weights);
        let chunk = |(number, (count, weight))| Chunk {
            number,
            count,
            weight,
        };
        Ok(Chunks {
            address,
            version: head.version,
            next: head.next,
            chunks: head.numbers.into_iter().zip(rest).map(chunk).collect(),
        })
    }

    pub(super) fn store(&self, view: &mut View<'_>, version: u64) {
        let head = Head {
            version,
            next: self.next,
            numbers: self.chunks.iter().map(|chunk| chunk.number).collect(),
            counts: self.chunks.iter().map(|chunk| chunk.count).collect(),
            weights: self.chunks.iter().map(|chunk| chunk.weight).collect(),
        };
        view.store(Key::head(self.address), &head);
    }

    pub(super) fn size(&self) -> u32 {
        self.chunks.iter().map(|chunk| chunk.count).sum()
    }

    pub(super) fn weight(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.weight).sum()
    }

    pub(super) fn get(&self, view: &View<'_>, index: u32) -> Result<Bytes, Stop> {
        let (place, offset) = self.find(index)?;
        let items = self.items(view, place)?;
        Ok(items.get(offset).cloned().ok_or_else(damaged)?)
    }

    /// As many items as are worth one answer, from an index on.
    pub(super) fn page(&self, view: &View<'_>, from: u32) -> Result<Page, Stop> {
        let mut page = Page {
            version: self.version,
            ..Page::default()
        };
        let Ok((first, offset)) = self.find(from) else {
            return Ok(page);
        };
        let mut weight = 0;
        let within = self.chunks[first..].iter().take_while(|chunk| {
            let goes_on = weight < limits::LIST_PAGE_BYTES;
            weight += chunk.weight;
            goes_on
        });
        let last = first + within.count();
        page.values = self.range(view, first..last)?.split_off(offset);
        page.more = last < self.chunks.len();
        Ok(page)
    }

    pub(super) fn all(&self, view: &View<'_>) -> Result<Vec<Bytes>, Stop> {
        self.range(view, 0..self.chunks.len())
    }

    /// `index` is the size at most.
    pub(super) fn insert(&mut self, view: &mut View<'_>, index: u32, value: &Bytes) -> Result<(), Stop> {
        if self.size() >= limits::LIST_ITEMS_MAX {
            return Err(full("as many items as a list may have").into());
        }
        let Some((place, offset)) = self.gap(index) else {
            return self.begin(view, 0, value);
        };
        let chunk = self.chunks[place];
        if chunk.weight + weight(value) > limits::LIST_CHUNK_BYTES {
            if offset == 0 {
                return self.begin(view, place, value);
            }
            if offset == chunk.count as usize {
                return self.begin(view, place + 1, value);
            }
        }
        let mut items = self.items(view, place)?;
        items.insert(offset, value.clone());
        self.replace(view, place, items)
    }

    /// What was there.
    pub(super) fn set(&mut self, view: &mut View<'_>, index: u32, value: &Bytes) -> Result<Bytes, Stop> {
        let (place, offset) = self.find(index)?;
        let mut items = self.items(view, place)?;
        let before = std::mem::replace(&mut items[offset], value.clone());
        self.replace(view, place, items)?;
        Ok(before)
    }

    /// What was there.
    pub(super) fn remove(&mut self, view: &mut View<'_>, index: u32) -> Result<Bytes, Stop> {
        let (place, offset) = self.find(index)?;
        let mut items = self.items(view, place)?;
        let was = items.remove(offset);
        self.replace(view, place, items)?;
        Ok(was)
    }

    pub(super) fn clear(&mut self, view: &mut View<'_>) {
        for chunk in std::mem::take(&mut self.chunks) {
            view.delete(self.key(chunk.number));
        }
    }

    /// Which chunk has the item, and where in it.
    fn find(&self, index: u32) -> Result<(usize, usize)> {
        let mut left = index;
        for (place, chunk) in self.chunks.iter().enumerate() {
            if left < chunk.count {
                return Ok((place, left as usize));
            }
            left -= chunk.count;
        }
        Err(out_of_range(index, self.size()))
    }

    /// Where an item can be put in: between two chunks it is the lighter one. `None`: there are no chunks.
    fn gap(&self, index: u32) -> Option<(usize, usize)> {
        let mut left = index;
        for (place, chunk) in self.chunks.iter().enumerate() {
            if left <= chunk.count {
                let next = self.chunks.get(place + 1).filter(|_| left == chunk.count);
                return match next {
                    Some(next) if next.weight < chunk.weight => Some((place + 1, 0)),
                    _ => Some((place, left as usize)),
                };
            }
            left -= chunk.count;
        }
        None
    }

    /// A new chunk with one item.
    fn begin(&mut self, view: &mut View<'_>, place: usize, value: &Bytes) -> Result<(), Stop> {
        let chunk = self.write(view, None, vec![value.clone()]);
        self.chunks.insert(place, chunk);
        self.check_room()
    }

    /// Items of a chunk have changed: it becomes several when it is too large, and none when it is empty, and may become one
    /// with its neighbours.
    fn replace(&mut self, view: &mut View<'_>, place: usize, items: Vec<Bytes>) -> Result<(), Stop> {
        let number = self.chunks[place].number;
        let mut parts = vec![];
        split(items, &mut parts);
        if parts.is_empty() {
            view.delete(self.key(number));
        }
        let end = place + parts.len();
        let mut own = Some(number);
        let chunks: Vec<Chunk> = parts
            .into_iter()
            .map(|items| self.write(view, own.take(), items))
            .collect();
        self.chunks.splice(place..=place, chunks);
        self.check_room()?;
        // The later pair first: joining moves what is behind it only.
        if end > place {
            self.join(view, end - 1)?;
        }
        match place.checked_sub(1) {
            Some(before) => self.join(view, before),
            None => Ok(()),
        }
    }

    /// Makes one chunk of two that are light.
    fn join(&mut self, view: &mut View<'_>, place: usize) -> Result<(), Stop> {
        let [one, other] = match self.chunks.get(place..place + 2) {
            Some([one, other]) => [*one, *other],
            _ => return Ok(()),
        };
        if one.weight + other.weight > limits::LIST_CHUNK_BYTES / 2 {
            return Ok(());
        }
        let items = self.range(view, place..place + 2)?;
        view.delete(self.key(other.number));
        self.chunks[place] = self.write(view, Some(one.number), items);
        self.chunks.remove(place + 1);
        Ok(())
    }

    /// Writes a chunk's row, under the number it has or a new one.
    fn write(&mut self, view: &mut View<'_>, number: Option<u64>, values: Vec<Bytes>) -> Chunk {
        let number = number.unwrap_or_else(|| {
            self.next = self.next.saturating_add(1);
            self.next
        });
        let chunk = Chunk {
            number,
            count: u32::try_from(values.len()).expect("a chunk has fewer items than a list"),
            weight: values.iter().map(weight).sum(),
        };
        view.store(self.key(number), &Items { values });
        chunk
    }

    fn check_room(&self) -> Result<(), Stop> {
        if self.chunks.len() > limits::LIST_CHUNKS_MAX {
            return Err(full("as many bytes as a list may have").into());
        }
        Ok(())
    }

    fn items(&self, view: &View<'_>, place: usize) -> Result<Vec<Bytes>, Stop> {
        self.range(view, place..place + 1)
    }

    /// All items of some chunks, with one load.
    fn range(&self, view: &View<'_>, places: std::ops::Range<usize>) -> Result<Vec<Bytes>, Stop> {
        let chunks = &self.chunks[places];
        let keys: Vec<Key> = chunks.iter().map(|chunk| self.key(chunk.number)).collect();
        view.want(&keys)?;
        let mut values = vec![];
        for (key, chunk) in keys.iter().zip(chunks) {
            let items: Items = view.load(key)?.unwrap_or_default();
            if items.values.len() != chunk.count as usize {
                return Err(damaged().into());
            }
            values.extend(items.values);
        }
        Ok(values)
    }

    fn key(&self, number: u64) -> Key {
        Key::part(self.address, CHUNK, &number.to_be_bytes())
    }
}

fn weight(value: &Bytes) -> u64 {
    value.len() as u64 + ITEM_BYTES
}

/// Halves what is too large, until it is not.
fn split(mut items: Vec<Bytes>, parts: &mut Vec<Vec<Bytes>>) {
    let total: u64 = items.iter().map(weight).sum();
    if items.len() > 1 && total > limits::LIST_CHUNK_BYTES {
        let mut before = 0;
        let first = items.iter().take_while(|item| {
            before += weight(item);
            before <= total / 2
        });
        let rest = items.split_off(first.count().max(1));
        split(items, parts);
        split(rest, parts);
    } else if !items.is_empty() {
        parts.push(items);
    }
}

fn damaged() -> Error {
    let message = "a list's chunks are not as its head says";
    Error::new(codes::STORED_ROW_UNREADABLE, message)
}
