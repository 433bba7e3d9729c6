//! Rows in memory: what steps see. Every change is here at once, and in the store with its commit.
//!
//! Two generations: rows that are written or loaded are in `young`; when it is full it becomes `old`, and what was old is
//! forgotten. Rows of commits that are on their way are never among them: see [`Cache::settle`].

use std::collections::HashMap;

use bytes::Bytes;
use machines::engine::{PartPage, PartScan};
use machines::{Found, Key, Rows};

/// What one entry costs beyond its bytes.
const ENTRY_BYTES: usize = 96;

pub(super) struct Cache {
    young: HashMap<Key, Option<Bytes>>,
    old: HashMap<Key, Option<Bytes>>,
    young_bytes: usize,
    /// What the current step has asked for.
    range: Option<(PartScan, PartPage)>,
    bytes_max: usize,
}

impl Cache {
    pub(super) fn new(bytes_max: usize) -> Cache {
        Cache {
            young: HashMap::new(),
            old: HashMap::new(),
            young_bytes: 0,
            range: None,
            bytes_max,
        }
    }

    pub(super) fn put(&mut self, key: Key, row: Option<Bytes>) {
        let bytes = |key: &Key, row: &Option<Bytes>| {
            ENTRY_BYTES + key.bytes.len() + row.as_ref().map_or(0, Bytes::len)
        };
        self.young_bytes += bytes(&key, &row);
        let key_bytes = key.bytes.len();
        if let Some(before) = self.young.insert(key, row) {
            self.young_bytes -= ENTRY_BYTES + key_bytes + before.as_ref().map_or(0, Bytes::len);
        }
    }

    /// For the step that has asked for it; the next one may find other rows.
    pub(super) fn put_range(&mut self, scan: PartScan, page: PartPage) {
        self.range = Some((scan, page));
    }

    pub(super) fn drop_range(&mut self) {
        self.range = None;
    }

    /// Whether commits should be waited for, so that it can be settled.
    pub(super) fn is_full(&self) -> bool {
        self.young_bytes > self.bytes_max / 2
    }

    /// To be called when no commit is on its way: then everything here is in the store, and may be forgotten.
    pub(super) fn settle(&mut self) {
        if self.is_full() {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
    }

    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
        self.young_bytes = 0;
    }
}

impl Rows for Cache {
    fn get(&self, key: &Key) -> Found {
        match self.young.get(key).or_else(|| self.old.get(key)) {
            Some(Some(row)) => Found::Row(row.clone()),
            Some(None) => Found::Absent,
            None => Found::NotLoaded,
        }
    }

    fn range(&self, scan: &PartScan) -> Option<PartPage> {
        let (loaded, page) = self.range.as_ref()?;
        (loaded == scan).then(|| page.clone())
    }
}

#[cfg(test)]
mod tests {
    use machines::Address;

    use super::*;

    fn key(number: u8) -> Key {
        Key::part(&Address::primitive("s", "n"), 1, &[number])
    }

    #[test]
    fn what_is_not_used_is_forgotten_after_two_generations() {
        let mut cache = Cache::new(1_000);
        cache.put(key(1), Some(Bytes::from(vec![0; 600])));
        cache.settle();
        assert!(matches!(cache.get(&key(1)), Found::Row(_)));
        cache.put(key(2), Some(Bytes::from(vec![0; 600])));
        cache.settle();
        assert_eq!(cache.get(&key(1)), Found::NotLoaded);
        assert!(matches!(cache.get(&key(2)), Found::Row(_)));
    }

    #[test]
    fn overwriting_does_not_grow() {
        let mut cache = Cache::new(1_000);
        for _ in 0..100 {
            cache.put(key(1), Some(Bytes::from_static(b"some")));
        }
        assert!(!cache.is_full());
    }

    #[test]
    fn absence_is_known_too() {
        let mut cache = Cache::new(1_000);
        cache.put(key(1), None);
        assert_eq!(cache.get(&key(1)), Found::Absent);
    }
}
