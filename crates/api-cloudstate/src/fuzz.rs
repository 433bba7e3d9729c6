//! Entry points for fuzzers: what user functions and their clients send. `fuzz/` drives them with libFuzzer, the tests here with
//! damaged samples. None may panic, whatever the bytes are.

use std::sync::OnceLock;

use prost::Message;
use wire::cloudstate::action::ActionResponse;

use crate::transcode::answer;
use crate::transcode::descriptors::Descriptors;
use crate::transcode::keys::Keys;
use crate::transcode::request::{self, Request};
use crate::transcode::router::Routes;
use crate::transcode::template::Template;

/// What [`SOURCE`] compiles to: there is no compiler in a fuzzer.
const SAMPLE: &[u8] = include_bytes!("fuzz/sample.pb");

/// A set of files as a function sends it; what can be built of it also works.
pub fn descriptors(bytes: &[u8]) {
    let Ok(descriptors) = Descriptors::build(bytes) else {
        return;
    };
    let _ = descriptors.file_by_symbol("t.M.id");
    let _ = descriptors.extension_numbers("t.M");
    let Some(service) = descriptors.service("t.S") else {
        return;
    };
    let keys = service.methods.iter().map(|method| Keys::of(method));
    for keys in keys.flatten() {
        let _ = keys.entity_id(b"\x0a\x02id\x10\x07");
    }
    if let Ok(routes) = Routes::new(&[service]) {
        ask(&routes, "GET /a/1?n=1&list=B\napplication/json\n{}");
        ask(
            &routes,
            "POST /t.S/Post\napplication/json\n{\"id\":\"x\",\"map\":{\"a\":{}}}",
        );
    }
}

/// Payloads that name an entity.
pub fn ids(bytes: &[u8]) {
    let (_, keys) = sample();
    let first = keys.entity_id(bytes);
    assert_eq!(first, keys.entity_id(bytes));
}

/// A template, and a path on a line of its own.
pub fn templates(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (template, path) = text.split_once('\n').unwrap_or((&text, "/a/b:c"));
    if let Ok(template) = Template::parse(template)
        && let Some(values) = template.matched(path)
    {
        assert_eq!(values.len(), template.variables.len());
    }
}

/// A request of HTTP: method, path and query; the content type; the body.
pub fn requests(bytes: &[u8]) {
    ask(&sample().0, &String::from_utf8_lossy(bytes));
}

fn ask(routes: &Routes, text: &str) {
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (kind, body) = rest.split_once('\n').unwrap_or(("application/json", rest));
    let (verb, target) = line.split_once(' ').unwrap_or(("GET", line));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let Ok(verb) = verb.parse() else { return };
    let Some(found) = routes.find(&verb, path) else {
        let _ = routes.allowed(path);
        return;
    };
    let request = Request {
        query: Some(query),
        content_type: Some(kind).filter(|kind| !kind.is_empty()),
        body: body.as_bytes(),
    };
    if let Ok(message) = request::message(&found, &request) {
        // What was made of a request can be told as an answer.
        let _ = answer::answer(&found.route, &message);
    }
}

/// What a function says on any of its streams, and its payloads as answers to clients of HTTP.
pub fn replies(bytes: &[u8]) {
    crate::entity::heard(bytes);
    if let Ok(response) = ActionResponse::decode(bytes) {
        let _ = crate::action::outcome(response);
    }
    for path in ["/a/1", "/t.S/Post"] {
        let found = [http::Method::GET, http::Method::POST].map(|verb| sample().0.find(&verb, path));
        for found in found.into_iter().flatten() {
            let _ = answer::answer(&found.route, bytes);
        }
    }
}

fn sample() -> &'static (Routes, Keys) {
    static SAMPLE_OF: OnceLock<(Routes, Keys)> = OnceLock::new();
    SAMPLE_OF.get_or_init(|| {
        let descriptors = Descriptors::build(SAMPLE).expect("a sample that was compiled");
        let service = descriptors.service("t.S").expect("the sample's service");
        let method = service.methods.first().expect("the sample's method");
        let keys = Keys::of(method).expect("the sample's keys");
        (Routes::new(&[service]).expect("the sample's routes"), keys)
    })
}

#[cfg(test)]
mod tests {
    use prost_types::Any;
    use testkit::mutate::storm;
    use wire::cloudstate::action::action_response;
    use wire::cloudstate::eventsourced::{
        EventSourcedReply, EventSourcedStreamOut, event_sourced_stream_out,
    };
    use wire::cloudstate::{ClientAction, Failure, Reply, SideEffect, client_action};

    use super::*;
    use crate::transcode::testing;

    /// Remade with `BELAY_REMAKE_SAMPLE=1 cargo test -p api-cloudstate fuzz`.
    const SOURCE: &str = r#"
        message M {
          string id = 1 [(cloudstate.entity_key) = true]; sint64 n = 2 [(old.entity_key) = true];
          map<string, M> map = 3; repeated E list = 4; oneof o { M inner = 5; bytes raw = 6; }
          google.protobuf.Any any = 7; google.protobuf.Struct struct = 8; google.protobuf.Timestamp at = 9;
          google.protobuf.DoubleValue wrapped = 10; optional float f = 11; google.protobuf.Value value = 12;
        }
        enum E { A = 0; B = 1; }
        service S { rpc Call(M) returns (M) { option (google.api.http) = { get: "/a/{id}" }; } rpc Post(M) returns (M); }"#;

    const ROUNDS: usize = 20_000;
    const JSON: &str = r#"{"id":"x","n":"7","map":{"k":{"n":1.5e3}},"list":["B",1],"inner":{"f":"NaN"},"at":"2020-01-01T00:00:00Z","struct":{"a":[null,1]},"value":[{}]}"#;

    #[test]
    fn the_sample_is_what_its_source_compiles_to() {
        let compiled = testing::compiled(&[("t.proto", &testing::file(SOURCE))]).encode_to_vec();
        if std::env::var_os("BELAY_REMAKE_SAMPLE").is_some() {
            std::fs::write("src/fuzz/sample.pb", &compiled).expect("written");
        }
        assert!(compiled == SAMPLE, "remake it");
    }

    /// A sample of this size takes long to build: fewer rounds.
    #[test]
    fn any_descriptors_are_built_or_refused() {
        storm(&[SAMPLE], 300, descriptors);
    }

    #[test]
    fn any_payload_names_an_entity_or_none() {
        let sample = b"\x0a\x02id\x10\x07\x1a\x07\x0a\x01k\x12\x02\x10\x09\x22\x02\x00\x01\x2a\x02\x10\x05";
        storm(
            &[
                sample,
                b"\x0a\x00",
                b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            ],
            ROUNDS,
            ids,
        );
    }

    #[test]
    fn any_template_is_read_or_refused() {
        let samples: [&[u8]; 4] = [
            b"/a/{id}\n/a/b",
            b"/v1/{name=items/*}/parts/**:verb\n/v1/items/a/parts/b/c:verb",
            b"/{a}/{b=*}:x\n//b%2F:x",
            b"/**\n/",
        ];
        storm(&samples, ROUNDS, templates);
    }

    #[test]
    fn any_request_is_a_message_or_refused() {
        let post = format!("POST /t.S/Post\napplication/json; charset=utf-8\n{JSON}");
        let samples: [&[u8]; 3] = [
            b"GET /a/b%20c?n=1&map.a=2&inner.inner.n=3&list=B&list=A&wrapped=1.5&at=2020\n\n",
            post.as_bytes(),
            b"PUT /t.S/Post\n\n{}",
        ];
        storm(&samples, ROUNDS, requests);
    }

    #[test]
    fn any_reply_is_heard_or_refused() {
        let samples = samples();
        let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
        storm(&samples, ROUNDS, replies);
    }

    /// One of each kind.
    fn samples() -> [Vec<u8>; 4] {
        let any = Any {
            type_url: "type.googleapis.com/t.M".into(),
            value: b"\x0a\x02id".into(),
        };
        let reply = Reply {
            payload: Some(any.clone()),
            metadata: None,
        };
        let effect = SideEffect {
            service_name: "t.S".into(),
            payload: Some(any.clone()),
            ..SideEffect::default()
        };
        let events = event_sourced_stream_out::Message::Reply(EventSourcedReply {
            command_id: 1,
            client_action: Some(ClientAction {
                action: Some(client_action::Action::Reply(reply.clone())),
            }),
            side_effects: vec![effect.clone()],
            events: vec![any.clone(), any.clone()],
            snapshot: Some(any.clone()),
        });
        let failure = event_sourced_stream_out::Message::Failure(Failure {
            command_id: 1,
            description: "no".into(),
            restart: true,
        });
        let response = ActionResponse {
            response: Some(action_response::Response::Reply(reply)),
            side_effects: vec![effect],
        };
        let message = |message| EventSourcedStreamOut {
            message: Some(message),
        };
        [
            message(events).encode_to_vec(),
            message(failure).encode_to_vec(),
            response.encode_to_vec(),
            any.value,
        ]
    }
}
