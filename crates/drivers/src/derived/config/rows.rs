//! What a stored item and a row of the log look like.
//!
//! | row | bytes |
//! |---|---|
//! | item | format 1, then JSON: `content`, `tags`, `metadata` |
//! | log | format 1, time of the change (8 bytes, little endian, ms), then JSON: `app`, `items` |
//! | mark | format 1, position of the last trimmed row (10 bytes), rows trimmed so far (8 bytes, little endian) |
//!
//! Group, label and key of an item are in its row's key. JSON, because whoever looks into a store at night should be able to
//! read it, and because fields can be added.

use std::collections::BTreeMap;

use base::{Result, Timestamp};
use bytes::{Buf, Bytes};
use ports::Metadata;
use ports::config::{Filter, Item, Scope};
use ports::kv::Position;
use serde::{Deserialize, Serialize};

use crate::derived::{keys, unreadable};

const FORMAT: u8 = 1;

#[derive(Serialize, Deserialize)]
struct StoredItem {
    content: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    metadata: Metadata,
}

#[derive(Serialize, Deserialize)]
struct StoredChanges {
    app: String,
    items: Vec<ChangedItem>,
}

#[derive(Serialize, Deserialize)]
struct ChangedItem {
    group: String,
    label: String,
    key: String,
    #[serde(flatten)]
    item: StoredItem,
}

/// One row of the log.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) app: String,
    pub(super) items: Vec<Item>,
}

/// How far the log is trimmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) through: Position,
    pub(super) rows: u64,
}

impl Mark {
    pub(super) const NONE: Mark = Mark {
        through: Position::START,
        rows: 0,
    };

    pub(super) fn encode(self) -> Bytes {
        let rows = self.rows.to_le_bytes();
        [&[FORMAT][..], &self.through.encode(), &rows].concat().into()
    }

    pub(super) fn decode(value: &Bytes) -> Result<Mark> {
        let mut rest = opened("configuration mark", value)?;
        let cut_short = || unreadable("configuration mark", "it is cut short");
        if rest.len() < Position::BYTES + 8 {
            return Err(cut_short());
        }
        let through = Position::decode(&rest.split_to(Position::BYTES)).ok_or_else(cut_short)?;
        let rows = rest.get_u64_le();
        Ok(Mark { through, rows })
    }
}

pub(super) fn encode_item(item: &Item) -> Bytes {
    let mut value = vec![FORMAT];
    write_json(&mut value, &stored(item));
    value.into()
}

pub(super) fn decode_item(group: &str, label: &str, key: &str, value: &Bytes) -> Result<Item> {
    let stored: StoredItem = read_json("configuration item", &opened("configuration item", value)?)?;
    Ok(item(group.to_owned(), label.to_owned(), key.to_owned(), stored))
}

/// The item of a row behind `component` bytes of prefix, if the filter takes it.
pub(super) fn decode_taken(
    filter: &Filter,
    component: usize,
    row: &[u8],
    value: &Bytes,
) -> Result<Option<Item>> {
    let Some([_app, group, label, key]) =
        keys::split(row, component, 3).and_then(|texts| <[String; 4]>::try_from(texts).ok())
    else {
        return Err(unreadable("configuration item", "its key has another shape"));
    };
    if !filter.takes(&group, &label, &key) {
        return Ok(None);
    }
    decode_item(&group, &label, &key, value).map(Some)
}

/// What watches see of an item that is gone.
pub(super) fn deleted(scope: &Scope, key: &str) -> Item {
    Item {
        group: scope.group.clone(),
        label: scope.label.clone(),
        key: key.to_owned(),
        content: String::new(),
        tags: BTreeMap::new(),
        metadata: Metadata::new(),
    }
}

pub(super) fn encode_record(at: Timestamp, app: &str, items: &[Item]) -> Bytes {
    let changed = |item: &Item| ChangedItem {
        group: item.group.clone(),
        label: item.label.clone(),
        key: item.key.clone(),
        item: stored(item),
    };
    let changes = StoredChanges {
        app: app.to_owned(),
        items: items.iter().map(changed).collect(),
    };
    let mut value = vec![FORMAT];
    value.extend_from_slice(&at.0.to_le_bytes());
    write_json(&mut value, &changes);
    value.into()
}

pub(super) fn decode_record(value: &Bytes) -> Result<Record> {
    let (_, json) = opened_record(value)?;
    let changes: StoredChanges = read_json("configuration change", &json)?;
    let items = changes
        .items
        .into_iter()
        .map(|changed| item(changed.group, changed.label, changed.key, changed.item));
    Ok(Record {
        app: changes.app,
        items: items.collect(),
    })
}

/// When the change was made, without reading what it was.
pub(super) fn record_time(value: &Bytes) -> Result<Timestamp> {
    opened_record(value).map(|(at, _)| at)
}

fn opened_record(value: &Bytes) -> Result<(Timestamp, Bytes)> {
    let mut rest = opened("configuration change", value)?;
    if rest.len() < 8 {
        return Err(unreadable("configuration change", "it is cut short"));
    }
    let at = Timestamp(rest.get_u64_le());
    Ok((at, rest))
}

/// Reads bytes as each kind of row: none may panic, and what is read is written the same.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn decode_any(bytes: &Bytes) {
    if let Ok(mark) = Mark::decode(bytes) {
        assert_eq!(Mark::decode(&mark.encode()).expect("it was just written"), mark);
    }
    if let Ok(item) = decode_item("group", "label", "key", bytes) {
        let written = decode_item("group", "label", "key", &encode_item(&item));
        assert_eq!(written.expect("it was just written"), item);
    }
    if let Ok(record) = decode_record(bytes) {
        let at = record_time(bytes).expect("it has been read");
        let written = encode_record(at, &record.app, &record.items);
        assert_eq!(record_time(&written).expect("it was just written"), at);
        assert_eq!(decode_record(&written).expect("it was just written"), record);
    }
}

/// What is behind the format byte.
fn opened(what: &str, value: &Bytes) -> Result<Bytes> {
    match value.first() {
        Some(&FORMAT) => Ok(value.slice(1..)),
        Some(format) => Err(unreadable(what, &format!("its format is {format}"))),
        None => Err(unreadable(what, "it is empty")),
    }
}

fn stored(item: &Item) -> StoredItem {
    StoredItem {
        content: item.content.clone(),
        tags: item.tags.clone(),
        metadata: item.metadata.clone(),
    }
}

fn item(group: String, label: String, key: String, stored: StoredItem) -> Item {
    let StoredItem {
        content,
        tags,
        metadata,
    } = stored;
    Item {
        group,
        label,
        key,
        content,
        tags,
        metadata,
    }
}

fn write_json(value: &mut Vec<u8>, stored: &impl Serialize) {
    serde_json::to_writer(value, stored).expect("texts and maps of texts are always JSON");
}

fn read_json<'v, T: Deserialize<'v>>(what: &str, json: &'v [u8]) -> Result<T> {
    serde_json::from_slice(json)
        .map_err(|cause| unreadable(what, "it is not the JSON it should be").because(cause))
}
