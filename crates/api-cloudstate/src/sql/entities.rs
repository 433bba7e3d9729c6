//! Entities: how they stand.

use std::hash::Hasher;

use base::Result;
use bytes::Bytes;
use machines::entity::rows::{self, Head, Kind as Kept};
use machines::{Key, Stored};
use ports::query::listed::{Col, Identified, page};
use ports::query::{Filter, Kind, Page, Value};

use super::Moment;
use super::walk::{Entity, Walk};

pub(super) struct One {
    entity: Entity,
    head: Head,
    /// The type and the size of the value, if it has one.
    value: Option<(String, usize)>,
    services: Vec<String>,
    active: bool,
}

pub(super) static COLUMNS: [Col<One>; 11] = [
    Col("persistence_id", Kind::Text, |one| {
        Value::Text(one.entity.persistence_id.clone())
    }),
    Col("id", Kind::Text, |one| Value::Text(one.entity.id.clone())),
    Col("kind", Kind::Text, |one| match one.head.kind() {
        Kept::EventSourced => Value::Text("event_sourced".into()),
        Kept::Value => Value::Text("value".into()),
        Kept::Unknown => Value::Null,
    }),
    Col("sequence", Kind::Unsigned, |one| {
        Value::Unsigned(one.head.sequence)
    }),
    Col("snapshot_sequence", Kind::Unsigned, |one| {
        match one.head.snapshot_sequence {
            0 => Value::Null,
            sequence => Value::Unsigned(sequence),
        }
    }),
    Col("created_at", Kind::Time, |one| Value::Time(one.head.created_at)),
    Col("modified_at", Kind::Time, |one| Value::Time(one.head.changed_at)),
    Col("value_type_url", Kind::Text, |one| match &one.value {
        Some((type_url, _)) => Value::Text(type_url.clone()),
        None => Value::Null,
    }),
    Col("value_length", Kind::Unsigned, |one| match &one.value {
        Some((_, size)) => Value::Unsigned(*size as u64),
        None => Value::Null,
    }),
    Col("services", Kind::Texts, |one| Value::Texts(one.services.clone())),
    Col("active", Kind::Bool, |one| Value::Bool(one.active)),
];

impl Identified for One {
    fn identify(&self, hash: &mut dyn Hasher) {
        hash.write(self.entity.address.bytes());
    }
}

pub(super) async fn scan(moment: &Moment, filter: &Filter, after: Option<&Bytes>) -> Result<Page> {
    let mut walk = Walk::new(&*moment.survey, filter, after);
    let mut found = vec![];
    // Of a value entity all that there is: head and value.
    while let Some(mut entity) = walk.next(2).await? {
        walk.leave(&entity.address);
        let first = entity
            .rows
            .first()
            .filter(|(key, _)| *key == Key::head(&entity.address));
        let Some((_, head)) = first else {
            continue;
        };
        let head = Head::from_row(head)?;
        let value = match head.kind() {
            Kept::Value => value(moment, &entity).await?,
            _ => None,
        };
        let bytes = entity.rows.drain(..).map(|(_, row)| row.len()).sum();
        walk.count(bytes);
        found.push(One {
            services: services(moment, &entity.persistence_id),
            active: moment.entities.is_active(&entity.address),
            entity,
            head,
            value,
        });
    }
    Ok(page(found, &COLUMNS, walk.place()))
}

/// Its type and size.
async fn value(moment: &Moment, entity: &Entity) -> Result<Option<(String, usize)>> {
    let key = rows::value(&entity.address);
    let row = match entity.rows.iter().find(|(other, _)| *other == key) {
        Some((_, row)) => Some(row.clone()),
        // One that is larger than what is read at once.
        None => {
            let found = moment.survey.get(&[(entity.address.clone(), key)]).await?;
            found.into_iter().flatten().next()
        }
    };
    let value = row.map(|row| rows::Value::from_row(&row)).transpose()?;
    Ok(value.map(|value| (value.payload.type_url, value.payload.value.len())))
}

/// Which services keep their entities there, of those that are served now.
fn services(moment: &Moment, persistence_id: &str) -> Vec<String> {
    let services = moment.served.services();
    let services = services.filter(|service| service.keeps(persistence_id));
    services.map(|service| service.name.clone()).collect()
}
