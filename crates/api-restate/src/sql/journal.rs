//! Journals, line by line.

use std::collections::BTreeMap;
use std::hash::Hasher;

use base::{Result, limits};
use bytes::Bytes;
use machines::engine::Survey;
use machines::invocation::Id;
use machines::invocation::rows::{self, Came, Entry, Line, Name, Notification};
use machines::{Address, Stored};
use ports::query::{Filter, Kind, Page, Value};
use prost::Message;
use serde_json::{Value as Json, json};
use wire::restate::appended as pb;

use super::invocations::command_name;
use super::objects::partition_key;
use super::walk::{self, Ground};
use super::{Col, Identified, Moment, or_null, page, some_text, some_time};
use crate::{appended, id};

/// What commands of every protocol have in common.
#[derive(Clone, PartialEq, prost::Message)]
struct Common {
    #[prost(uint32, optional, tag = "10")]
    callee: Option<u32>,
    #[prost(uint32, optional, tag = "11")]
    result: Option<u32>,
    #[prost(string, tag = "12")]
    name: String,
}

pub(super) struct Written {
    id: Id,
    index: u32,
    at: u64,
    line: Option<Line>,
    common: Common,
    completed: bool,
    callee: Option<Id>,
}

pub(super) static COLUMNS: [Col<Written>; 16] = [
    Col("partition_key", Kind::Unsigned, |row| {
        partition_key(&row.id.partition_key())
    }),
    Col("id", Kind::Text, |row| Value::Text(id::encode(&row.id))),
    Col("index", Kind::Unsigned, |row| Value::Unsigned(row.index.into())),
    Col("entry_type", Kind::Text, |row| Value::Text(row.kind())),
    Col("name", Kind::Text, |row| some_text(&row.common.name)),
    Col("completed", Kind::Bool, |row| Value::Bool(row.completed)),
    Col("invoked_id", Kind::Text, |row| {
        or_null(row.callee.map(|id| Value::Text(id::encode(&id))))
    }),
    Col("invoked_target", Kind::Text, |row| {
        or_null(row.target().map(Value::Text))
    }),
    Col("sleep_wakeup_at", Kind::Time, |row| {
        some_time(row.wakes_at().unwrap_or_default())
    }),
    Col("promise_name", Kind::Text, |row| {
        or_null(row.promise().map(Value::Text))
    }),
    Col("raw", Kind::Bytes, |row| Value::Bytes(row.raw())),
    Col("raw_length", Kind::Unsigned, |row| {
        Value::Unsigned(row.raw().len() as u64)
    }),
    Col("version", Kind::Unsigned, |_| Value::Unsigned(2)),
    Col("entry_json", Kind::Text, |row| {
        Value::Text(row.json().to_string())
    }),
    Col("entry_lite_json", Kind::Text, |row| {
        Value::Text(row.json().to_string())
    }),
    Col("appended_at", Kind::Time, |row| some_time(row.at)),
];

impl Identified for Written {
    fn identify(&self, hash: &mut dyn Hasher) {
        hash.write(&self.id.0);
        hash.write(&self.index.to_be_bytes());
    }
}

impl Written {
    fn kind(&self) -> String {
        match &self.line {
            Some(Line::Input(_)) => "Command: Input".into(),
            Some(Line::Command(said)) => format!("Command: {}", command_name(said.kind).unwrap_or("Custom")),
            Some(Line::Notification(notification)) => format!("Notification: {:?}", notification.source()),
            None => "Unknown".into(),
        }
    }

    /// The command's message, if it is one of that kind.
    fn said<M: Message + Default>(&self, name: &str) -> Option<M> {
        match &self.line {
            Some(Line::Command(said)) if appended::command_name(said.kind) == Some(name) => {
                M::decode(said.body.clone()).ok()
            }
            _ => None,
        }
    }

    fn target(&self) -> Option<String> {
        let call = self
            .said("Call")
            .map(|call: pb::CallCommandMessage| (call.service_name, call.key, call.handler_name));
        let sent = || {
            let sent = self.said("OneWayCall");
            sent.map(|sent: pb::OneWayCallCommandMessage| (sent.service_name, sent.key, sent.handler_name))
        };
        let (service, key, handler) = call.or_else(sent)?;
        let target = rows::Target {
            service,
            key,
            handler,
            ..rows::Target::default()
        };
        Some(crate::target_text(&target))
    }

    fn wakes_at(&self) -> Option<u64> {
        self.said("Sleep")
            .map(|sleep: pb::SleepCommandMessage| sleep.wake_up_time)
    }

    fn promise(&self) -> Option<String> {
        let got = self
            .said("GetPromise")
            .map(|got: pb::GetPromiseCommandMessage| got.key);
        let peeked = || {
            self.said("PeekPromise")
                .map(|peeked: pb::PeekPromiseCommandMessage| peeked.key)
        };
        let completed = || {
            self.said("CompletePromise")
                .map(|completed: pb::CompletePromiseCommandMessage| completed.key)
        };
        got.or_else(peeked).or_else(completed)
    }

    fn raw(&self) -> Bytes {
        match &self.line {
            Some(Line::Input(input)) => input.body.clone(),
            Some(Line::Command(said)) => said.body.clone(),
            Some(Line::Notification(notification)) => notification.encode_to_vec().into(),
            None => Bytes::new(),
        }
    }

    /// Bodies are left out: they are in `raw`.
    fn json(&self) -> Json {
        let kind = self.kind();
        let (side, kind) = kind.split_once(": ").unwrap_or(("Unknown", &kind));
        let mut facts = json!({ "name": self.common.name });
        if let Some(result) = self.common.result {
            facts["completion_id"] = result.into();
        }
        if let Some(time) = self.wakes_at() {
            facts["wake_up_time"] = time.into();
        }
        if let Some(target) = self.target() {
            facts["target"] = target.into();
        }
        if let Some(callee) = self.callee {
            facts["invocation_id"] = id::encode(&callee).into();
        }
        if let Some(promise) = self.promise() {
            facts["key"] = promise.into();
        }
        if let Some(Line::Notification(notification)) = &self.line {
            facts = notification_json(notification);
        }
        json!({ side: { kind: facts } })
    }
}

fn notification_json(notification: &Notification) -> Json {
    let name = match &notification.name {
        Some(Name::Completion(id)) => json!({ "completion_id": id }),
        Some(Name::Signal(number)) => json!({ "signal_id": number }),
        Some(Name::NamedSignal(text)) => json!({ "signal_name": text }),
        None => json!({}),
    };
    let result = match &notification.came {
        Some(Came::Failure(failure)) => {
            json!({ "Failure": { "code": failure.code, "message": failure.message } })
        }
        Some(Came::Value(_)) => json!("Success"),
        Some(Came::Invocation(raw)) => json!({ "invocation_id": Id::of(raw).map(|id| id::encode(&id)) }),
        Some(Came::Keys(keys)) => json!({ "state_keys": keys.keys.len() }),
        Some(Came::Void(_)) | None => json!("Void"),
    };
    let mut json = name;
    json["result"] = result;
    json
}

/// One invocation's lines, as many as fit.
pub(super) async fn scan(moment: &Moment, filter: &Filter, after: Option<&Bytes>) -> Result<Page> {
    let survey = &*moment.survey;
    let Some(ground) = Ground::invocations(survey, filter) else {
        return Ok(Page::default());
    };
    let Some(mut at) = ground.start(after) else {
        return Ok(Page::default());
    };
    let read = survey
        .scan(at.partition, ground.span(&at.from, limits::QUERY_PAGE_ROWS))
        .await?;
    let next = match read.rows.last() {
        Some((last, _)) if read.more => {
            at.from = [&last.bytes[..], &[0]].concat().into();
            Some(walk::encoded(&at))
        }
        _ => ground.beyond(&at).map(|next| walk::encoded(&next)),
    };
    let mut by_invocation: BTreeMap<Id, Vec<(u32, Entry)>> = BTreeMap::new();
    for (key, row) in &read.rows {
        let Some((address, rows::JOURNAL, suffix)) = key.decode_part() else {
            continue;
        };
        if let (Some(id), Ok(index)) = (address.invocation_id(), suffix.as_ref().try_into()) {
            let line = (u32::from_be_bytes(index), Entry::from_row(row)?);
            by_invocation.entry(id).or_default().push(line);
        }
    }
    let mut written = vec![];
    for (id, entries) in by_invocation {
        written.extend(lines(survey, id, entries).await?);
    }
    Ok(page(written, &COLUMNS, next))
}

/// With what is told of each by the others.
async fn lines(survey: &dyn Survey, id: Id, entries: Vec<(u32, Entry)>) -> Result<Vec<Written>> {
    let pending = pending(survey, &id).await?;
    let mut came: BTreeMap<u32, Option<Id>> = BTreeMap::new();
    for (_, entry) in &entries {
        if let Some(Line::Notification(notification)) = &entry.line
            && let Some(Name::Completion(completion)) = notification.name
        {
            let callee = match &notification.came {
                Some(Came::Invocation(raw)) => Id::of(raw),
                _ => None,
            };
            came.insert(completion, callee);
        }
    }
    let line = |(index, entry): (u32, Entry)| {
        let common = match &entry.line {
            Some(Line::Command(said)) => Common::decode(said.body.clone()).unwrap_or_default(),
            _ => Common::default(),
        };
        // What is waited for stands among the pending ones, but for results of user code's own.
        let is_run =
            matches!(&entry.line, Some(Line::Command(said)) if command_name(said.kind) == Some("Run"));
        let has_come = |result: u32| came.contains_key(&result) || (!is_run && !pending.contains(&result));
        Written {
            id,
            index,
            at: entry.at,
            completed: common.result.is_none_or(has_come),
            callee: common
                .callee
                .and_then(|callee| came.get(&callee).copied().flatten()),
            line: entry.line,
            common,
        }
    };
    Ok(entries.into_iter().map(line).collect())
}

/// Ids of what an invocation waits for.
async fn pending(survey: &dyn Survey, id: &Id) -> Result<Vec<u32>> {
    let address = Address::invocation(id);
    let prefix = machines::Key::part(&address, rows::PENDING, &[]).bytes;
    let skipped = prefix.len();
    let span = machines::engine::Span {
        from: prefix.clone(),
        prefix,
        limit: limits::SCAN_ROWS_MAX,
        bytes: limits::QUERY_PAGE_BYTES,
    };
    let page = survey.scan(survey.partition(&address), span).await?;
    let id = |key: &machines::Key| Some(u32::from_be_bytes(key.bytes.get(skipped..)?.try_into().ok()?));
    Ok(page.rows.iter().filter_map(|(key, _)| id(key)).collect())
}
