//! How entities are found: by name where the question has it, else one after the other over all partitions.
//!
//! Names of rows begin with the length of their machine's address, then the address: `e`, persistence id, id. So entities of one
//! persistence id stand together once for each length of an id, and a walk leaps from one to the next: over an entity's rows,
//! which may be many, and over everything that fits not.

use std::ops::Range;

use base::{Result, limits};
use bytes::{BufMut, Bytes, BytesMut};
use machines::engine::{Span, SpanPage, Survey};
use machines::{Address, Key};
use ports::query::Filter;

/// Larger than every part that there is.
const BEYOND: u8 = 0xff;
/// The length of the shortest entity's address, but for its texts.
const ADDRESS_BYTES: u16 = 9;

/// Where a walk is: a partition, and the name that comes next there.
struct Place {
    partition: u16,
    from: Bytes,
}

/// One page of a scan.
pub(super) struct Walk<'m> {
    survey: &'m dyn Survey,
    filter: &'m Filter,
    partitions: Range<u16>,
    /// What the names begin with of all rows that are looked at.
    prefix: Bytes,
    /// `None`: behind the last.
    place: Option<Place>,
    /// How much more work this page is.
    steps: usize,
    rows: usize,
    bytes: usize,
}

/// One that fits.
pub(super) struct Entity {
    pub(super) address: Address,
    pub(super) persistence_id: String,
    pub(super) id: String,
    /// Its first rows, from where the walk has come to. At least one.
    pub(super) rows: Vec<(Key, Bytes)>,
}

impl<'m> Walk<'m> {
    pub(super) fn new(survey: &'m dyn Survey, filter: &'m Filter, after: Option<&Bytes>) -> Walk<'m> {
        let mut walk = Walk {
            survey,
            filter,
            partitions: 0..survey.partitions(),
            prefix: Bytes::new(),
            place: None,
            steps: limits::QUERY_PAGE_ROWS,
            rows: limits::QUERY_PAGE_ROWS,
            bytes: limits::QUERY_PAGE_BYTES,
        };
        if let (Some(persistence_id), Some(id)) = (&filter.service, &filter.key) {
            let address = Address::entity(persistence_id, id);
            let partition = survey.partition(&address);
            walk.partitions = partition..partition + 1;
            let head = Key::head(&address).bytes;
            walk.prefix = head.slice(..head.len() - 1);
        }
        walk.place = match after {
            Some(after) => Place::decode(after),
            None => walk.start(walk.partitions.start),
        };
        walk
    }

    /// Where the next page begins.
    pub(super) fn place(&self) -> Option<Bytes> {
        self.place.as_ref().map(Place::encode)
    }

    /// The next one, with so many of its rows. `None`: there is none, or the page is full.
    pub(super) async fn next(&mut self, rows: usize) -> Result<Option<Entity>> {
        while self.steps > 0 && self.rows > 0 && self.bytes > 0 {
            let Some(place) = &self.place else {
                break;
            };
            self.steps -= 1;
            let (partition, from) = (place.partition, place.from.clone());
            let page = self.scan(partition, self.prefix.clone(), from, rows).await?;
            let Some((first, _)) = page.rows.first() else {
                self.place = self.start(partition + 1);
                continue;
            };
            let Some(address) = self.address(first) else {
                let from = self.leap(&first.bytes);
                self.place = Some(Place { partition, from });
                continue;
            };
            match address.entity_name().filter(|name| self.fits(*name)) {
                Some((persistence_id, id)) => {
                    let (persistence_id, id) = (persistence_id.to_owned(), id.to_owned());
                    let rows = page.rows.into_iter();
                    let rows =
                        rows.filter(|(key, _)| key.decode_part().is_some_and(|(of, ..)| of == address));
                    return Ok(Some(Entity {
                        rows: rows.collect(),
                        address,
                        persistence_id,
                        id,
                    }));
                }
                None => self.leave(&address),
            }
        }
        Ok(None)
    }

    /// Goes on behind all rows of it.
    pub(super) fn leave(&mut self, address: &Address) {
        if let Some(place) = &mut self.place {
            place.from = Key::part(address, BEYOND, &[]).bytes;
        }
    }

    /// Its rows of a part, as many as the page has room for; the walk goes on behind them.
    pub(super) async fn rows(&mut self, entity: &Entity, part: u8) -> Result<Vec<(Key, Bytes)>> {
        let Some(place) = &self.place else {
            return Ok(vec![]);
        };
        let prefix = Key::part(&entity.address, part, &[]).bytes;
        let (partition, from) = (place.partition, place.from.clone().max(prefix.clone()));
        let page = self.scan(partition, prefix, from, self.rows).await?;
        match page.rows.last() {
            Some((last, _)) if page.more => {
                let from = [&last.bytes[..], &[0]].concat().into();
                self.place = Some(Place { partition, from });
            }
            _ => self.leave(&entity.address),
        }
        for (_, row) in &page.rows {
            self.count(row.len());
        }
        Ok(page.rows)
    }

    /// The page has a row more.
    pub(super) fn count(&mut self, bytes: usize) {
        self.rows = self.rows.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    async fn scan(&self, partition: u16, prefix: Bytes, from: Bytes, limit: usize) -> Result<SpanPage> {
        let span = Span {
            prefix,
            from,
            limit,
            bytes: limits::QUERY_PAGE_BYTES,
        };
        self.survey.scan(partition, span).await
    }

    fn fits(&self, (persistence_id, id): (&str, &str)) -> bool {
        let fits = |wanted: &Option<String>, found| wanted.as_ref().is_none_or(|wanted| wanted == found);
        fits(&self.filter.service, persistence_id) && fits(&self.filter.key, id)
    }

    fn start(&self, partition: u16) -> Option<Place> {
        let texts = [&self.filter.service, &self.filter.key].into_iter().flatten();
        let bytes: usize = texts.map(String::len).sum();
        let length = u16::try_from(bytes).unwrap_or(u16::MAX);
        let from = self
            .prefix
            .clone()
            .max(self.entities(length.saturating_add(ADDRESS_BYTES)));
        self.partitions
            .contains(&partition)
            .then_some(Place { partition, from })
    }

    /// What names of rows of entities begin with that may fit and whose addresses have that length.
    fn entities(&self, length: u16) -> Bytes {
        match &self.filter.service {
            Some(persistence_id) => Address::entities_of(length, persistence_id),
            None => Address::entities(length),
        }
    }

    /// `None`: that row is of no entity that may fit.
    fn address(&self, key: &Key) -> Option<Address> {
        let length = u16::from_be_bytes(*key.bytes.first_chunk()?);
        let may_fit = key.bytes.starts_with(&self.entities(length));
        key.decode_part().map(|(address, ..)| address).filter(|_| may_fit)
    }

    /// Where the next entity may be behind a name that is of none.
    fn leap(&self, name: &Bytes) -> Bytes {
        let length = name.first_chunk().map_or(0, |length| u16::from_be_bytes(*length));
        let further = [Some(length), length.checked_add(1)].into_iter().flatten();
        let further = further
            .map(|length| self.entities(length))
            .find(|place| place > name);
        // Behind the longest addresses there are no others.
        further.unwrap_or_else(|| Bytes::from_static(&[BEYOND; 4]).max([&name[..], &[0]].concat().into()))
    }
}

impl Place {
    fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(2 + self.from.len());
        bytes.put_u16(self.partition);
        bytes.put_slice(&self.from);
        bytes.freeze()
    }

    fn decode(bytes: &Bytes) -> Option<Place> {
        let partition = bytes.first_chunk::<2>()?;
        Some(Place {
            partition: u16::from_be_bytes(*partition),
            from: bytes.slice(2..),
        })
    }
}
