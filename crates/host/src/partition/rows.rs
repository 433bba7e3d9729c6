//! Rows in memory: what steps see. Every change is here at once, and in the store with its commit.
//!
//! Two generations: rows that are written or loaded are in `young`; when it is full it becomes `old`, and what was old is
//! forgotten. Rows of commits that are on their way are never among them: see [`Cache::settle`].

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use machines::engine::{PartPage, PartScan};
use machines::{Address, Found, Key, Rows};

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

impl Cache {
    /// A page of what is stored, with what is newer. It looks at all rows.
    pub(super) fn cover(&self, page: PartPage, scan: &PartScan, address: &Address) -> PartPage {
        let last = page.rows.last().filter(|_| page.more);
        let last = last.map(|(suffix, _)| suffix.clone());
        let is_in = |suffix: &Bytes| {
            let (after, last) = (scan.after.as_ref(), last.as_ref());
            if scan.descending {
                after.is_none_or(|after| suffix < after) && last.is_none_or(|last| suffix >= last)
            } else {
                after.is_none_or(|after| suffix > after) && last.is_none_or(|last| suffix <= last)
            }
        };
        let stored = page.rows.into_iter().map(|(suffix, row)| (suffix, Some(row)));
        let mut rows: BTreeMap<_, _> = stored.collect();
        rows.extend(
            self.part(scan, address)
                .into_iter()
                .filter(|(suffix, _)| is_in(suffix)),
        );
        let mut rows: Vec<_> = rows
            .into_iter()
            .filter_map(|(suffix, row)| Some((suffix, row?)))
            .collect();
        if scan.descending {
            rows.reverse();
        }
        let more = page.more || rows.len() > scan.limit;
        rows.truncate(scan.limit);
        PartPage { rows, more }
    }

    /// What is known here of a machine's part: suffixes, and rows or (`None`) that there is none.
    fn part(&self, scan: &PartScan, address: &Address) -> BTreeMap<Bytes, Option<Bytes>> {
        let first = Key::part(address, scan.part, &scan.prefix);
        let skip = first.bytes.len() - scan.prefix.len();
        let all = self.old.iter().chain(&self.young);
        let own = all.filter(|(key, _)| key.table == first.table && key.bytes.starts_with(&first.bytes));
        own.map(|(key, row)| (key.bytes.slice(skip..), row.clone()))
            .collect()
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
    fn a_page_is_covered_by_what_is_newer_within_it() {
        let address = Address::primitive("s", "n");
        let mut cache = Cache::new(1_000);
        let row = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        for (number, text) in [(1, row("new")), (2, None), (4, row("later")), (9, row("far"))] {
            cache.put(key(number), text);
        }
        cache.put(Key::part(&address, 2, &[3]), row("another part"));
        cache.put(
            Key::part(&Address::primitive("s", "nn"), 1, &[3]),
            row("another machine"),
        );
        let scan = |after: Option<u8>, limit, descending| PartScan {
            part: 1,
            prefix: Bytes::new(),
            after: after.map(|after| Bytes::copy_from_slice(&[after])),
            limit,
            descending,
        };
        let covered = |stored: &[u8], more, scan: PartScan| {
            let rows = stored
                .iter()
                .map(|number| (Bytes::copy_from_slice(&[*number]), Bytes::from_static(b"old")));
            let page = PartPage {
                rows: rows.collect(),
                more,
            };
            let page = cache.cover(page, &scan, &address);
            let rows = page
                .rows
                .iter()
                .map(|(suffix, row)| format!("{}{}", suffix[0], String::from_utf8_lossy(row)));
            (rows.collect::<Vec<_>>().join(" "), page.more)
        };
        assert_eq!(
            covered(&[1, 2, 3], false, scan(None, 9, false)),
            ("1new 3old 4later 9far".into(), false)
        );
        assert_eq!(
            covered(&[1, 2, 3], true, scan(None, 3, false)),
            ("1new 3old".into(), true)
        );
        assert_eq!(
            covered(&[3], false, scan(Some(2), 2, false)),
            ("3old 4later".into(), true)
        );
        assert_eq!(
            covered(&[8, 3], true, scan(Some(9), 2, true)),
            ("8old 4later".into(), true)
        );
        assert_eq!(
            covered(&[], false, scan(None, 9, true)),
            ("9far 4later 1new".into(), false)
        );
    }

    #[test]
    fn absence_is_known_too() {
        let mut cache = Cache::new(1_000);
        cache.put(key(1), None);
        assert_eq!(cache.get(&key(1)), Found::Absent);
    }
}
