//! How invocations and objects are found: by name where the question has it, else one after the other over all partitions.
//!
//! Rows of a machine stand together, an invocation's or an object's first row first. So a walk jumps from one to the next, and
//! does not read what lies between: journals and state may be large.

use base::{Result, limits};
use bytes::{BufMut, Bytes, BytesMut};
use machines::engine::{Span, Survey};
use machines::invocation::Id;
use machines::invocation::rows::{self, Head, Object, Origin};
use machines::{Address, Key, Stored};
use ports::query::Filter;

use crate::id;

/// Larger than every part that there is.
const BEYOND: u8 = 0xff;
/// The length of the shortest object's address.
const OBJECT_BYTES_MIN: u16 = 17;

/// Where a walk is: a partition, and the name that comes next there.
pub(super) struct Cursor {
    pub(super) partition: u16,
    pub(super) from: Bytes,
}

impl Cursor {
    fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(2 + self.from.len());
        bytes.put_u16(self.partition);
        bytes.put_slice(&self.from);
        bytes.freeze()
    }

    fn decode(bytes: &Bytes) -> Option<Cursor> {
        let partition = bytes.first_chunk::<2>()?;
        Some(Cursor {
            partition: u16::from_be_bytes(*partition),
            from: bytes.slice(2..),
        })
    }
}

pub(super) fn encoded(cursor: &Cursor) -> Bytes {
    cursor.encode()
}

/// Behind all rows of that machine.
pub(super) fn beyond(address: &Address) -> Bytes {
    Key::part(address, BEYOND, &[]).bytes
}

/// Which rows a walk sees.
pub(super) struct Ground {
    /// The first and the one behind the last.
    partitions: (u16, u16),
    pub(super) prefix: Bytes,
}

impl Ground {
    /// `None`: no invocation can fit.
    pub(super) fn invocations(survey: &dyn Survey, filter: &Filter) -> Option<Ground> {
        if let Some(text) = &filter.id {
            let address = Address::invocation(&id::decode(text).ok()?);
            let prefix = Key::head(&address).bytes;
            let prefix = prefix.slice(..prefix.len() - 1);
            return Some(Ground::within(survey.partition(&address), prefix));
        }
        // All that work on one key have its partition key.
        if let Some(key) = &filter.key {
            let partition_key = id::partition_key(key);
            let prefix = Address::invocations(Some(partition_key));
            let address = Address::object(partition_key, "", key);
            return Some(Ground::within(survey.partition(&address), prefix));
        }
        Some(Ground {
            partitions: (0, survey.partitions()),
            prefix: Address::invocations(None),
        })
    }

    pub(super) fn objects(survey: &dyn Survey, filter: &Filter) -> Ground {
        let Some(key) = &filter.key else {
            return Ground {
                partitions: (0, survey.partitions()),
                prefix: Bytes::new(),
            };
        };
        let service = filter.service.as_deref().unwrap_or_default();
        let address = Address::object(id::partition_key(key), service, key);
        let prefix = match filter.service {
            Some(_) => {
                let head = Key::head(&address).bytes;
                head.slice(..head.len() - 1)
            }
            None => Bytes::new(),
        };
        Ground::within(survey.partition(&address), prefix)
    }

    fn within(partition: u16, prefix: Bytes) -> Ground {
        Ground {
            partitions: (partition, partition + 1),
            prefix,
        }
    }

    pub(super) fn start(&self, after: Option<&Bytes>) -> Option<Cursor> {
        let start = || Cursor {
            partition: self.partitions.0,
            from: self.prefix.clone(),
        };
        match after {
            Some(after) => Cursor::decode(after),
            None => Some(start()),
        }
    }

    /// What comes after that partition.
    pub(super) fn beyond(&self, cursor: &Cursor) -> Option<Cursor> {
        let partition = cursor.partition + 1;
        (partition < self.partitions.1).then(|| Cursor {
            partition,
            from: self.prefix.clone(),
        })
    }

    pub(super) fn span(&self, from: &Bytes, limit: usize) -> Span {
        Span {
            prefix: self.prefix.clone(),
            from: from.clone(),
            limit,
            bytes: limits::QUERY_PAGE_BYTES,
        }
    }
}

pub(super) struct Invocation {
    pub(super) id: Id,
    pub(super) head: Head,
    pub(super) origin: Origin,
}

pub(super) fn fits(filter: &Filter, service: &str, key: &str) -> bool {
    filter.service.as_ref().is_none_or(|wanted| wanted == service)
        && filter.key.as_ref().is_none_or(|wanted| wanted == key)
}

/// Some invocations that fit, and where to go on.
pub(super) async fn invocations(
    survey: &dyn Survey,
    filter: &Filter,
    after: Option<&Bytes>,
) -> Result<(Vec<Invocation>, Option<Bytes>)> {
    let (mut found, mut bytes) = (vec![], 0);
    let Some(ground) = Ground::invocations(survey, filter) else {
        return Ok((found, None));
    };
    let mut cursor = ground.start(after);
    for _ in 0..limits::QUERY_PAGE_ROWS {
        // Results are in the heads, and may be large.
        let Some(at) = cursor.as_mut().filter(|_| bytes < limits::QUERY_PAGE_BYTES) else {
            break;
        };
        // Head and origin: rows 0 and 1.
        let page = survey.scan(at.partition, ground.span(&at.from, 2)).await?;
        let Some((first, row)) = page.rows.first() else {
            cursor = ground.beyond(at);
            continue;
        };
        let Some((address, part, _)) = first.decode_part() else {
            cursor = ground.beyond(at);
            continue;
        };
        at.from = beyond(&address);
        let Some(id) = address.invocation_id().filter(|_| part == 0) else {
            continue;
        };
        bytes += row.len();
        let head = Head::from_row(row)?;
        let second = page.rows.get(1).filter(|(key, _)| *key == rows::origin(&address));
        let origin = second
            .map(|(_, row)| Origin::from_row(row))
            .transpose()?
            .unwrap_or_default();
        if fits(filter, &origin.target.service, &origin.target.key) {
            found.push(Invocation { id, head, origin });
        }
    }
    Ok((found, cursor.map(|cursor| cursor.encode())))
}

/// An object, or a row of it.
pub(super) struct OfObject {
    pub(super) partition_key: [u8; 8],
    pub(super) service: String,
    pub(super) key: String,
    pub(super) object: Object,
    pub(super) suffix: Bytes,
    pub(super) row: Bytes,
}

/// Which of an object's rows: all of a part whose suffixes begin so.
pub(super) struct Rows {
    pub(super) part: u8,
    pub(super) prefix: fn(&Object) -> Bytes,
}

/// Some objects that fit (`of`: rows of them), and where to go on.
pub(super) async fn objects(
    survey: &dyn Survey,
    filter: &Filter,
    of: Option<&Rows>,
    after: Option<&Bytes>,
) -> Result<(Vec<OfObject>, Option<Bytes>)> {
    let ground = Ground::objects(survey, filter);
    let mut cursor = ground.start(after);
    let (mut found, mut bytes): (Vec<OfObject>, usize) = (vec![], 0);
    for _ in 0..limits::QUERY_PAGE_ROWS {
        // One object's rows may be all that a page holds.
        let is_full = found.len() >= limits::QUERY_PAGE_ROWS || bytes >= limits::QUERY_PAGE_BYTES;
        let Some(at) = cursor.as_mut().filter(|_| !is_full) else {
            break;
        };
        let first = Address::objects(OBJECT_BYTES_MIN).max(ground.prefix.clone());
        at.from = at.from.clone().max(first);
        let page = survey.scan(at.partition, ground.span(&at.from, 1)).await?;
        let Some((address, ..)) = page.rows.first().and_then(|(key, _)| key.decode_part()) else {
            cursor = ground.beyond(at);
            continue;
        };
        let Some((partition_key, service, key)) = address.object_name() else {
            at.from = next_object(&address);
            continue;
        };
        if !fits(filter, service, key) {
            at.from = beyond(&address);
            continue;
        }
        let object = object_of(survey, &address).await?;
        let one = |suffix, row| OfObject {
            partition_key,
            service: service.to_owned(),
            key: key.to_owned(),
            object: object.clone(),
            suffix,
            row,
        };
        let Some(of) = of else {
            found.push(one(Bytes::new(), Bytes::new()));
            at.from = beyond(&address);
            continue;
        };
        let prefix = Key::part(&address, of.part, &(of.prefix)(&object)).bytes;
        let part = Ground::within(at.partition, prefix);
        let from = at.from.clone().max(part.prefix.clone());
        let page = survey
            .scan(at.partition, part.span(&from, limits::QUERY_PAGE_ROWS))
            .await?;
        at.from = match page.rows.last() {
            Some((last, _)) if page.more => [&last.bytes[..], &[0]].concat().into(),
            _ => beyond(&address),
        };
        bytes += page.rows.iter().map(|(_, row)| row.len()).sum::<usize>();
        let rows = page
            .rows
            .into_iter()
            .filter_map(|(key, row)| Some((key.decode_part()?.2, row)));
        found.extend(rows.map(|(suffix, row)| one(suffix, row)));
    }
    Ok((found, cursor.map(|cursor| cursor.encode())))
}

/// Who has it, and how far its generations are.
async fn object_of(survey: &dyn Survey, address: &Address) -> Result<Object> {
    let head = survey.get(&[(address.clone(), Key::head(address))]).await?;
    let head = head.into_iter().flatten().next();
    Ok(head
        .map(|row| Object::from_row(&row))
        .transpose()?
        .unwrap_or_default())
}

/// Where objects may be that come after a machine that is none.
fn next_object(address: &Address) -> Bytes {
    let length = u16::try_from(address.bytes().len()).unwrap_or(u16::MAX);
    match address.bytes().first() {
        Some(kind) if *kind < b'o' => Address::objects(length),
        // One that only looks like an object.
        Some(b'o') => beyond(address),
        _ => Address::objects(length.saturating_add(1)),
    }
}
