//! Protos for the tests, compiled as users compile theirs.

use prost::Message;
use protox::Compiler;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::descriptors::{Descriptors, Method, Service};
use super::router::Routes;

const CLOUDSTATE: &str = r#"syntax = "proto3"; package cloudstate; import "google/protobuf/descriptor.proto";
    extend google.protobuf.FieldOptions { bool entity_key = 1080; }"#;
const OLD: &str = r#"syntax = "proto3"; package old; import "google/protobuf/descriptor.proto";
    extend google.protobuf.FieldOptions { bool entity_key = 50002; }"#;
const EVENTING: &str = r#"syntax = "proto3"; package cloudstate; import "google/protobuf/descriptor.proto";
    extend google.protobuf.MethodOptions { Eventing eventing = 1081; }
    message Eventing { string in = 1; string out = 2; }"#;
const ANNOTATIONS: &str = r#"syntax = "proto3"; package google.api; import "google/protobuf/descriptor.proto";
    import "google/api/http.proto"; extend google.protobuf.MethodOptions { HttpRule http = 72295728; }"#;
const HTTP: &str = r#"syntax = "proto3"; package google.api;
    message HttpRule {
      string selector = 1;
      oneof pattern { string get = 2; string put = 3; string post = 4; string delete = 5; string patch = 6; Custom custom = 8; }
      string body = 7; repeated HttpRule additional_bindings = 11; string response_body = 12;
    }
    message Custom { string kind = 1; string path = 2; }"#;
const HTTP_BODY: &str = r#"syntax = "proto3"; package google.api; import "google/protobuf/any.proto";
    message HttpBody { string content_type = 1; bytes data = 2; repeated google.protobuf.Any extensions = 3; }"#;

/// What every test file imports.
const IMPORTS: &str = r#"import "cloudstate/entity_key.proto"; import "cloudstate/old.proto"; import "cloudstate/eventing.proto";
    import "google/api/annotations.proto"; import "google/api/httpbody.proto"; import "google/protobuf/any.proto";
    import "google/protobuf/duration.proto"; import "google/protobuf/empty.proto"; import "google/protobuf/field_mask.proto";
    import "google/protobuf/struct.proto"; import "google/protobuf/timestamp.proto"; import "google/protobuf/wrappers.proto";"#;

struct Sources(Vec<(&'static str, String)>);

impl FileResolver for Sources {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        let source = self.0.iter().find(|(known, _)| *known == name);
        match source {
            Some((_, source)) => Ok(File::from_source(name, source)?),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Set {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(crate) files: Vec<Vec<u8>>,
}

/// The encoded files of `sources` and of all they import, dependencies first.
pub(crate) fn compiled(sources: &[(&'static str, &str)]) -> Set {
    let mut all: Vec<_> = sources
        .iter()
        .map(|(name, source)| (*name, (*source).to_owned()))
        .collect();
    let known = [
        ("cloudstate/entity_key.proto", CLOUDSTATE),
        ("cloudstate/old.proto", OLD),
        ("cloudstate/eventing.proto", EVENTING),
        ("google/api/annotations.proto", ANNOTATIONS),
        ("google/api/http.proto", HTTP),
        ("google/api/httpbody.proto", HTTP_BODY),
    ];
    all.extend(known.map(|(name, source)| (name, source.to_owned())));
    let mut resolver = ChainFileResolver::new();
    resolver.add(Sources(all));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler
        .open_files(sources.iter().map(|(name, _)| *name))
        .expect("sources that compile");
    Set::decode(compiler.encode_file_descriptor_set().as_slice()).expect("an encoded set")
}

/// One proto3 file of package `t` with all imports.
pub(crate) fn file(body: &str) -> String {
    format!("syntax = \"proto3\"; package t; {IMPORTS} {body}")
}

pub(crate) fn descriptors(body: &str) -> Descriptors {
    let set = compiled(&[("t.proto", &file(body))]);
    Descriptors::build(&set.encode_to_vec()).expect("descriptors")
}

/// The service `t.S`.
pub(crate) fn service(body: &str) -> Service {
    descriptors(body).service("t.S").expect("service t.S")
}

/// The first method of `t.S`.
pub(crate) fn method(body: &str) -> std::sync::Arc<Method> {
    let service = service(body);
    std::sync::Arc::clone(service.methods.first().expect("a method"))
}

pub(crate) fn routes(body: &str) -> Routes {
    Routes::new(&[service(body)]).expect("routes")
}
