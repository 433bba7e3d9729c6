//! Entry points for fuzzers: what deployments and callers send. `fuzz/` drives them with libFuzzer, the tests here with damaged
//! samples. None may panic, whatever the bytes are.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use base::{Error, Result, Timestamp, codes};
use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use machines::engine::{Snapshot, Survey, Watch};
use machines::invocation::Id;
use machines::invocation::rows::{
    Came, Entry, Input, Kind, Line, Name, Notification, Origin, Said, Target, TargetKind,
};
use machines::{Address, Command, Engine, Query, Reply};

use crate::frame::{Decoder, Frame};
use crate::generation::{Generation, Start};
use crate::manifest::Manifest;
use crate::registry::{Book, Registry};
use crate::speaker::Speaker;
use crate::version::Version;
use crate::{id, ingress};

/// What the user code that is fuzzed can call: a service, an object and a workflow.
const MANIFEST: &str = r#"{"protocolMode":"BIDI_STREAM","minProtocolVersion":1,"maxProtocolVersion":7,"services":[
    {"name":"S","ty":"SERVICE","handlers":[{"name":"h"}]},
    {"name":"O","ty":"VIRTUAL_OBJECT","handlers":[{"name":"h","ty":"EXCLUSIVE"}]},
    {"name":"W","ty":"WORKFLOW","handlers":[{"name":"h","ty":"WORKFLOW"},{"name":"s","ty":"SHARED"}]}]}"#;

const ID: Id = Id([7; 24]);

/// Frames, however they are cut.
pub fn frames(bytes: &[u8]) {
    let whole = decode(&[bytes]);
    let cut = bytes
        .first()
        .map_or(0, |first| usize::from(*first).min(bytes.len()));
    let (head, tail) = bytes.split_at(cut);
    assert_eq!(whole, decode(&[head, tail]));
}

/// Frames as user code says them, in every version and as every kind of handler.
pub fn messages(bytes: &[u8]) {
    let registry = registry();
    for (version, kind) in versions().flat_map(|version| KINDS.map(|kind| (version, kind))) {
        let origin = origin(kind);
        let speaker = Speaker {
            id: &ID,
            origin: &origin,
            version,
            registry: &registry,
            now: 1_000,
            commands: 1,
        };
        for frame in decode(&[bytes]) {
            let _ = Generation::of(version).meant(&speaker, &frame);
        }
    }
}

/// A journal of such frames, each with something that has come for it, as it is told again: whole, and nothing beside it.
pub fn journal(bytes: &[u8]) {
    let mut entries = vec![Entry {
        at: 0,
        line: Some(Line::Input(Input::default())),
    }];
    for (index, frame) in (1..).zip(decode(&[bytes])) {
        let came = match frame.flags % 4 {
            0 => Came::Void(true),
            1 => Came::Value(frame.body.clone()),
            2 => Came::Invocation(frame.body.clone()),
            _ => Came::Keys(machines::invocation::rows::Keys {
                keys: vec![frame.body.clone()],
            }),
        };
        let source = Kind::try_from(i32::from(frame.flags >> 2)).unwrap_or(Kind::Call);
        let said = Said {
            kind: frame.kind.into(),
            body: frame.body,
        };
        let notification = Notification {
            source: source.into(),
            name: Some(Name::Completion(index)),
            came: Some(came),
        };
        let lines = [Line::Command(said), Line::Notification(notification)];
        entries.extend(lines.map(|line| Entry {
            at: 0,
            line: Some(line),
        }));
    }
    for version in versions() {
        let generation = Generation::of(version);
        let mut told = BytesMut::new();
        let start = Start {
            id: &ID,
            origin: &origin(TargetKind::Exclusive),
            version,
            entries: &entries,
            state: vec![],
            partial_state: true,
            failures: 0,
            since_entry_ms: 0,
        };
        generation.put_start(&mut told, start);
        let expected = match generation {
            Generation::Filled => entries.len() / 2 + 1,
            Generation::Appended => entries.len(),
        };
        assert_eq!(decode(&[&told]).len(), 1 + expected);
    }
}

/// What a deployment says it has.
pub fn manifest(bytes: &[u8]) {
    for number in 1..=4 {
        let content_type = format!("application/vnd.restate.endpointmanifest.v{number}+json");
        let Ok(mut manifest) = Manifest::read(&content_type, bytes) else {
            continue;
        };
        let range = (manifest.min_version, manifest.max_version);
        let _ = Version::highest(range, Version::V7).map(|version| version.below(range));
        manifest.correct(Some("restate-sdk-typescript/1.0.1"));
        assert!(serde_json::to_vec(&manifest).is_ok());
    }
}

/// Names, paths and queries as callers write them.
pub fn texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(id) = id::decode(&text) {
        assert_eq!(id::encode(&id), text);
    }
    let _ = id::awakeable(&text);
    let _ = ingress::route::route(&text);
    let _ = ingress::delay::of_query(&text);
}

const KINDS: [TargetKind; 4] = [
    TargetKind::Service,
    TargetKind::Exclusive,
    TargetKind::Shared,
    TargetKind::Workflow,
];

fn versions() -> impl Iterator<Item = Version> {
    Version::ALL.into_iter()
}

fn origin(kind: TargetKind) -> Origin {
    let target = Target {
        service: "W".into(),
        handler: "h".into(),
        key: "k".into(),
        kind: kind.into(),
    };
    Origin {
        target,
        ..Origin::default()
    }
}

/// All that are whole before the first one that is too large.
fn decode(pieces: &[&[u8]]) -> Vec<Frame> {
    let mut decoder = Decoder::default();
    let mut frames = vec![];
    for piece in pieces {
        decoder.push(&Bytes::copy_from_slice(piece));
        while let Ok(Some(frame)) = decoder.next() {
            frames.push(frame);
        }
    }
    frames
}

pub(crate) fn registry() -> Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    let registry = REGISTRY.get_or_init(|| {
        let content_type = "application/vnd.restate.endpointmanifest.v1+json";
        let manifest = Manifest::read(content_type, MANIFEST.as_bytes()).expect("a manifest");
        Registry::of(Arc::new(Nobody), Book::with(manifest))
    });
    registry.clone()
}

/// An engine that nobody asks.
struct Nobody;

#[async_trait]
impl Engine for Nobody {
    fn submit(&self, _: &Address, _: Command) -> BoxFuture<'static, Result<Reply>> {
        ready(Err(nobody())).boxed()
    }

    async fn read(&self, _: &Address, _: Query) -> Result<Reply> {
        Err(nobody())
    }

    fn snapshot(&self, _: &Address) -> Result<Box<dyn Snapshot>> {
        Err(nobody())
    }

    fn survey(&self) -> Result<Box<dyn Survey>> {
        Err(nobody())
    }

    fn watch(&self, _: &Address) -> Result<Watch> {
        Err(nobody())
    }

    fn now(&self) -> Timestamp {
        Timestamp(0)
    }
}

fn nobody() -> Error {
    Error::new(codes::INTERNAL, "nobody is asked here")
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use testkit::mutate::storm;
    use wire::restate::{appended, filled};

    use super::*;
    use crate::frame;

    const ROUNDS: usize = 20_000;

    fn framed(kind: u16, flags: u16, message: &impl Message) -> Bytes {
        let mut bytes = BytesMut::new();
        frame::put(&mut bytes, kind, flags, message);
        bytes.freeze()
    }

    /// Of both generations.
    fn samples() -> Vec<Bytes> {
        let call = filled::CallEntryMessage {
            service_name: "O".into(),
            handler_name: "h".into(),
            key: "k".into(),
            parameter: "p".into(),
            ..filled::CallEntryMessage::default()
        };
        let suspension = filled::SuspensionMessage {
            entry_indexes: vec![1, 2],
        };
        let complete = filled::CompleteAwakeableEntryMessage {
            id: "prom_1BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHAAAAAg".into(),
            result: Some(filled::complete_awakeable_entry_message::Result::Value(
                "v".into(),
            )),
            name: "n".into(),
        };
        let future = appended::Future {
            waiting_completions: vec![1],
            nested_futures: vec![appended::Future::default(); 2],
            ..appended::Future::default()
        };
        let suspended = appended::SuspensionMessage {
            awaiting_on: Some(future),
        };
        let one_way = appended::OneWayCallCommandMessage {
            service_name: "W".into(),
            handler_name: "h".into(),
            key: "k".into(),
            idempotency_key: Some("i".into()),
            ..appended::OneWayCallCommandMessage::default()
        };
        let get = filled::GetStateEntryMessage {
            key: "k".into(),
            result: Some(filled::get_state_entry_message::Result::Empty(filled::Empty {})),
            ..filled::GetStateEntryMessage::default()
        };
        vec![
            framed(0x0c01, 0x8000, &call),
            framed(0x0002, 1, &suspension),
            framed(0x0c04, 2, &complete),
            framed(0x0800, 3, &get),
            framed(0x0804, 0, &filled::GetStateKeysEntryMessage::default()),
            framed(0x0001, 0, &suspended),
            framed(0x040e, 4, &one_way),
            framed(0x0005, 0, &filled::EndMessage {}),
            framed(0xfc02, 5, &filled::EndMessage {}),
        ]
    }

    fn storm_frames(target: impl Fn(&[u8])) {
        let samples = samples();
        let all: Bytes = samples.concat().into();
        let samples: Vec<&[u8]> = samples.iter().chain([&all]).map(|bytes| &bytes[..]).collect();
        storm(&samples, ROUNDS, target);
    }

    #[test]
    fn frames_of_any_bytes_are_found_or_wait_for_more() {
        storm_frames(frames);
    }

    #[test]
    fn messages_of_any_bytes_mean_something_or_are_refused() {
        storm_frames(messages);
    }

    #[test]
    fn journals_of_any_bytes_are_told_whole() {
        storm_frames(journal);
    }

    #[test]
    fn manifests_of_any_bytes_are_read_or_refused() {
        storm(&[MANIFEST.as_bytes(), b"{}", b"null"], ROUNDS, manifest);
    }

    #[test]
    fn texts_of_any_bytes_are_read_or_refused() {
        let samples: [&[u8]; 6] = [
            b"inv_1a1mlWikgvPI7LEEaFf73AaPyC5x2TxAna",
            b"sign_1wA7G4uuEn2eAf014b1iE9Eq4JldumgimAAAAEQ",
            b"prom_1wA7G4uuEn2eAf014b1iE9Eq4JldumgimAAAAEQ",
            b"/restate/invocation/Counter/k%2F1/add/key/attach",
            b"/Counter/k/add/send",
            b"x=1&delay=PT2S",
        ];
        storm(&samples, ROUNDS, texts);
    }
}
