//! Descriptors that no compiler writes: nothing may panic, whatever they are. Damaged bytes are in `crate::fuzz`.

use prost::Message;
use prost_types::{FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet, MessageOptions};

use super::descriptors::Descriptors;
use super::keys::Keys;
use super::request::{self, Request};
use super::router::Routes;
use super::{answer, testing};

const PROTO: &str = r#"
    message M {
      string id = 1 [(cloudstate.entity_key) = true]; sint64 n = 2 [(old.entity_key) = true];
      map<string, M> map = 3; repeated E list = 4; oneof o { M inner = 5; bytes raw = 6; }
      google.protobuf.Any any = 7; google.protobuf.Struct struct = 8; google.protobuf.Timestamp at = 9;
      google.protobuf.DoubleValue wrapped = 10; optional float f = 11; google.protobuf.Value value = 12;
    }
    enum E { A = 0; B = 1; }
    service S { rpc Call(M) returns (M) { option (google.api.http) = { get: "/a/{id}" }; } rpc Post(M) returns (M); }"#;

struct Random(fastrand::Rng);

impl Random {
    /// Prints the seed, for a run that fails.
    fn new() -> Self {
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        Self(fastrand::Rng::with_seed(seed))
    }

    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        let length = self.0.usize(..=longest);
        (0..length).map(|_| self.0.u8(..)).collect()
    }
}

#[test]
fn descriptors_that_no_compiler_writes_never_panic() {
    let mut random = Random::new();
    let set = testing::compiled(&[("t.proto", &testing::file(PROTO))]);
    let set = FileDescriptorSet::decode(set.encode_to_vec().as_slice()).expect("a set");
    let own = set.file.len() - 1;
    let mut built = 0;
    for _ in 0..500 {
        let mut twisted = set.clone();
        for _ in 0..random.0.usize(1..4) {
            random.twist(&mut twisted.file[own]);
        }
        built += usize::from(use_all(&twisted.encode_to_vec(), &mut random));
    }
    assert!(built > 0);
}

impl Random {
    /// One thing of a message is another one.
    fn twist(&mut self, file: &mut FileDescriptorProto) {
        let nested = self.0.bool();
        let message = &mut file.message_type[0];
        let message = match nested && !message.nested_type.is_empty() {
            true => &mut message.nested_type[0],
            false => message,
        };
        let at = self.0.usize(..message.field.len());
        let field = &mut message.field[at];
        match self.0.u8(..10) {
            0 => field.number = Some(self.0.i32(-1..14)),
            1 => field.label = Some(self.0.i32(0..5)),
            2 => field.r#type = Some(self.0.i32(0..20)),
            3 => {
                field.type_name =
                    [None, Some(".t.E".into()), Some(".t.M.MapEntry".into())][self.0.usize(..3)].clone()
            }
            4 => field.oneof_index = Some(self.0.i32(-1..3)),
            5 => field.name = [None, Some("id".into()), Some("a.b".into())][self.0.usize(..3)].clone(),
            6 => field.default_value = Some("7".into()),
            7 => drop(message.field.remove(at)),
            8 => {
                message.options = Some(MessageOptions {
                    map_entry: Some(self.0.bool()),
                    ..Default::default()
                })
            }
            _ => file.syntax = Some("proto2".into()),
        }
        if message.field.is_empty() {
            message.field.push(FieldDescriptorProto::default());
        }
    }
}

/// Whatever could be built must also work. `false`: it could not.
fn use_all(set: &[u8], random: &mut Random) -> bool {
    let Ok(descriptors) = Descriptors::build(set) else {
        return false;
    };
    let _ = descriptors.file_by_symbol("t.M.id");
    let Some(service) = descriptors.service("t.S") else {
        return false;
    };
    let payload = random.bytes(40);
    for method in &service.methods {
        let _ = Keys::of(method).map(|keys| keys.entity_id(&payload));
    }
    if let Ok(routes) = Routes::new(&[service]) {
        call(
            &routes,
            &payload,
            br#"{"id":"x","map":{"a":{}},"list":["A"]}"#,
            "n=1&list=B&id=7",
        );
    }
    true
}

fn call(routes: &Routes, payload: &[u8], body: &[u8], query: &str) {
    let paths = [("GET", "/a/1"), ("POST", "/t.S/Post")];
    for (verb, path) in paths {
        let verb = verb.parse().expect("a verb");
        let Some(found) = routes.find(&verb, path) else {
            continue;
        };
        let request = Request {
            query: Some(query),
            content_type: Some("application/json"),
            body,
        };
        let _ = answer::answer(&found.route, payload);
        if let Ok(message) = request::message(&found, &request) {
            let _ = answer::answer(&found.route, &message);
        }
    }
}
