//! Messages into what ports take, and back.

use std::collections::HashMap;
use std::time::Duration;

use base::limits;
use ports::Metadata;
use ports::config::Item;
use ports::file::{Info, Listing, Stat};
use ports::state::{Etag, Expect, Value};
use tonic::Status;
use wire::layotto as pb;
use wire::layotto::state_options::StateConcurrency;

use crate::error;

/// The time to live that an item asks for, in its metadata; and, in answers, what is left of it.
const TTL: &str = "ttlInSeconds";

pub(crate) fn metadata(texts: HashMap<String, String>) -> Metadata {
    texts.into_iter().collect()
}

/// What a write of this item expects to find.
///
/// | concurrency   | etag given           | no etag (absent, empty or `0`) |
/// |---------------|----------------------|--------------------------------|
/// | `LAST_WRITE`  | anything             | anything                       |
/// | `FIRST_WRITE` | that etag            | nothing: the first write wins  |
/// | unspecified   | that etag            | anything                       |
///
/// `0` is what the JavaScript SDK sends for want of an etag.
pub(crate) fn expect(etag: Option<pb::Etag>, options: Option<&pb::StateOptions>) -> Expect {
    let concurrency = options.map_or(StateConcurrency::ConcurrencyUnspecified, |options| {
        options.concurrency()
    });
    let etag = etag
        .map(|etag| etag.value)
        .filter(|etag| !etag.is_empty() && etag != "0");
    match (concurrency, etag) {
        (StateConcurrency::ConcurrencyLastWrite, _) => Expect::Anything,
        (_, Some(etag)) => Expect::Etag(Etag(etag)),
        (StateConcurrency::ConcurrencyFirstWrite, None) => Expect::Absent,
        (StateConcurrency::ConcurrencyUnspecified, None) => Expect::Anything,
    }
}

/// The same for a deletion: to delete only what is not there makes no sense, so without an etag it expects nothing.
pub(crate) fn expect_to_delete(etag: Option<pb::Etag>, options: Option<&pb::StateOptions>) -> Expect {
    match expect(etag, options) {
        Expect::Absent => Expect::Anything,
        other => other,
    }
}

/// How long a written key lives: as the item says, else as the component does. `-1` means for ever in so many words.
pub(crate) fn ttl(
    key: &str,
    metadata: &HashMap<String, String>,
    default: Option<Duration>,
) -> Result<Option<Duration>, Status> {
    let Some(setting) = metadata.get(TTL) else {
        return Ok(default);
    };
    if setting == "-1" {
        return Ok(None);
    }
    setting
        .parse()
        .map(Duration::from_secs)
        .ok()
        .filter(|ttl| !ttl.is_zero() && *ttl <= limits::TTL_MAX)
        .map(Some)
        .ok_or_else(|| error::state::ttl(key, setting))
}

/// What answers say beside a value. Seconds are rounded up: a key that is there has time left.
fn value_metadata(value: &Value) -> HashMap<String, String> {
    value
        .ttl
        .map(|ttl| (TTL.to_owned(), ttl.as_millis().div_ceil(1_000).to_string()))
        .into_iter()
        .collect()
}

pub(crate) fn get_state(value: Value) -> pb::GetStateResponse {
    pb::GetStateResponse {
        metadata: value_metadata(&value),
        data: value.data,
        etag: value.etag.0,
    }
}

pub(crate) fn bulk_item(key: String, found: base::Result<Option<Value>>) -> pb::BulkStateItem {
    let mut item = pb::BulkStateItem {
        key,
        ..pb::BulkStateItem::default()
    };
    match found {
        Ok(None) => (),
        Ok(Some(value)) => {
            item.metadata = value_metadata(&value);
            item.data = value.data;
            item.etag = value.etag.0;
        }
        Err(error) => item.error = error.message().to_owned(),
    }
    item
}

/// An item as a store keeps it. Group and label are its defaults when blank.
pub(crate) fn config_item(item: pb::ConfigurationItem, default_scope: (&str, &str)) -> Item {
    Item {
        group: or_default(item.group, default_scope.0),
        label: or_default(item.label, default_scope.1),
        key: item.key,
        content: item.content,
        tags: item.tags.into_iter().collect(),
        metadata: metadata(item.metadata),
    }
}

/// Spaces alone count as nothing; spaces in a name are part of it.
pub(crate) fn or_default(name: String, default: &str) -> String {
    if name.bytes().all(|byte| byte == b' ') {
        return default.to_owned();
    }
    name
}

pub(crate) fn config_items(items: Vec<Item>) -> Vec<pb::ConfigurationItem> {
    items
        .into_iter()
        .map(|item| pb::ConfigurationItem {
            key: item.key,
            content: item.content,
            group: item.group,
            label: item.label,
            tags: item.tags.into_iter().collect(),
            metadata: item.metadata.into_iter().collect(),
        })
        .collect()
}

pub(crate) fn list_file(listing: Listing) -> pb::ListFileResp {
    pb::ListFileResp {
        files: listing.files.into_iter().map(file_info).collect(),
        marker: listing.marker,
        is_truncated: listing.truncated,
    }
}

fn file_info(info: Info) -> pb::FileInfo {
    pb::FileInfo {
        file_name: info.name,
        size: size(info.size),
        last_modified: info.modified,
        metadata: info.metadata.into_iter().collect(),
    }
}

pub(crate) fn file_meta(stat: Stat) -> pb::GetFileMetaResponse {
    let metadata = stat
        .metadata
        .into_iter()
        .map(|(name, value)| (name, pb::FileMetaValue { value }))
        .collect();
    pb::GetFileMetaResponse {
        size: size(stat.size),
        last_modified: stat.modified,
        response: Some(pb::FileMeta { metadata }),
    }
}

/// The wire's sizes are signed.
fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
