//! What entities keep: events, snapshots, values. One row for each, whose payload is as the user function gave it.

use std::hash::Hasher;
use std::sync::Arc;

use base::Result;
use bytes::Bytes;
use machines::entity::rows::{self, Event, Head, Payload, Snapshot};
use machines::{Key, Stored};
use ports::query::listed::{Col, Identified, page};
use ports::query::{Filter, Kind, Page, Value};

use super::walk::{Entity, Walk};
use super::{Moment, json};
use crate::catalog::Now;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Events,
    Snapshot,
    Value,
}

pub(super) struct Written {
    entity: Arc<Entity>,
    sequence: u64,
    at: u64,
    payload: Payload,
    served: Arc<Now>,
}

pub(super) static COLUMNS: [Col<Written>; 9] = [
    Col("persistence_id", Kind::Text, |row| {
        Value::Text(row.entity.persistence_id.clone())
    }),
    Col("entity_id", Kind::Text, |row| Value::Text(row.entity.id.clone())),
    Col("sequence", Kind::Unsigned, |row| Value::Unsigned(row.sequence)),
    Col("created_at", Kind::Time, |row| Value::Time(row.at)),
    Col("type_url", Kind::Text, |row| {
        Value::Text(row.payload.type_url.clone())
    }),
    Col("payload_length", Kind::Unsigned, |row| {
        Value::Unsigned(row.payload.value.len() as u64)
    }),
    Col("payload_json", Kind::Text, |row| {
        let json = json::of(&row.payload, &row.entity.persistence_id, &row.served);
        json.map_or(Value::Null, Value::Text)
    }),
    Col("payload_utf8", Kind::Text, |row| {
        let text = std::str::from_utf8(&row.payload.value);
        text.map_or(Value::Null, |text| Value::Text(text.to_owned()))
    }),
    Col("payload", Kind::Bytes, |row| {
        Value::Bytes(row.payload.value.clone())
    }),
];

impl Identified for Written {
    fn identify(&self, hash: &mut dyn Hasher) {
        hash.write(self.entity.address.bytes());
        hash.write(&self.sequence.to_be_bytes());
    }
}

pub(super) async fn scan(
    moment: &Moment,
    part: Part,
    filter: &Filter,
    after: Option<&Bytes>,
) -> Result<Page> {
    let mut walk = Walk::new(&*moment.survey, filter, after);
    let mut found = vec![];
    while let Some(entity) = walk.next(1).await? {
        let rows = walk.rows(&entity, part.number()).await?;
        let entity = Arc::new(entity);
        for (key, row) in rows {
            let (sequence, at, payload) = part.read(&entity, &key, &row)?;
            found.push(Written {
                entity: entity.clone(),
                sequence,
                at,
                payload,
                served: moment.served.clone(),
            });
        }
    }
    Ok(page(found, &COLUMNS, walk.place()))
}

impl Part {
    fn number(self) -> u8 {
        match self {
            Part::Events => rows::EVENT,
            Part::Snapshot => rows::SNAPSHOT,
            Part::Value => rows::VALUE,
        }
    }

    /// Sequence, time, payload.
    fn read(self, entity: &Entity, key: &Key, row: &Bytes) -> Result<(u64, u64, Payload)> {
        match self {
            Part::Events => {
                let event = Event::from_row(row)?;
                let sequence = rows::sequence(Key::suffix(&entity.address, &key.bytes));
                Ok((sequence.unwrap_or_default(), event.at, event.payload))
            }
            Part::Snapshot => {
                let snapshot = Snapshot::from_row(row)?;
                Ok((snapshot.sequence, snapshot.at, snapshot.payload))
            }
            Part::Value => {
                let head = entity
                    .rows
                    .first()
                    .filter(|(key, _)| *key == Key::head(&entity.address));
                let head = head.map(|(_, head)| Head::from_row(head)).transpose()?;
                let head = head.unwrap_or_default();
                Ok((
                    head.sequence,
                    head.changed_at,
                    rows::Value::from_row(row)?.payload,
                ))
            }
        }
    }
}
