//! Sets as SDKs send them, and sets that are wrong.

use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet, MessageOptions};

use super::*;
use crate::transcode::testing::{self, Set, compiled, file};

const CART: &str = r#"
    message Add { string product = 3; string user = 2 [(cloudstate.entity_key) = true]; }
    message Cart { Add last = 1; enum Size { SMALL = 0; } Size size = 2; oneof how { string by = 3; } }
    service S {
      rpc Put(Add) returns (Cart) {
        option (google.api.http) = { post: "/cart/{user}" body: "*" };
        option (cloudstate.eventing) = { in: "topic" };
      }
      rpc Watch(Add) returns (stream Cart);
      rpc Collect(stream Add) returns (Cart);
    }"#;

fn cart() -> Set {
    compiled(&[("t.proto", &file(CART))])
}

fn name(file: &[u8]) -> String {
    let file = FileDescriptorProto::decode(file).expect("a file");
    file.name().to_owned()
}

impl Set {
    fn build(&self) -> Result<Descriptors, String> {
        Descriptors::build(&self.encode_to_vec())
    }

    fn without(mut self, wanted: impl Fn(&str) -> bool) -> Self {
        self.files.retain(|file| !wanted(&name(file)));
        self
    }
}

/// It builds, and the notes are these.
#[track_caller]
fn check(set: &Set, notes: &[&str]) -> Descriptors {
    let built = set.build().expect("descriptors");
    assert_eq!(built.notes, notes);
    let service = built.service("t.S").expect("the service");
    assert_eq!(service.methods.len(), 3);
    let put = &service.methods[0];
    assert!(put.http_rule().is_some());
    assert_eq!(put.key_fields[0].name(), "user");
    built
}

#[track_caller]
fn refused(set: &Set, expected: &str) {
    assert_eq!(set.build().expect_err("a set that is refused"), expected);
}

/// Files without content, by name and imports.
fn bare(files: &[(&str, &[&str])]) -> Set {
    let files = files.iter().map(|(name, imports)| {
        let file = FileDescriptorProto {
            name: Some((*name).into()),
            dependency: imports.iter().map(|import| (*import).into()).collect(),
            ..Default::default()
        };
        file.encode_to_vec()
    });
    Set {
        files: files.collect(),
    }
}

#[test]
fn a_compilers_set_is_taken_as_it_is() {
    check(&cart(), &[]);
}

#[test]
fn dependents_may_come_first() {
    let mut set = cart();
    set.files.reverse();
    check(&set, &[]);
}

#[test]
fn repetitions_and_empty_files_are_left_out() {
    let mut set = cart();
    set.files.extend(set.files.clone());
    set.files.push(vec![]);
    check(&set, &[]);
    assert!(Descriptors::build(&[]).is_ok());
}

#[test]
fn a_repetition_may_differ_in_comments() {
    let mut set = cart();
    let last = set.files.len() - 1;
    let mut again = set.files[last].clone();
    // Source info, with one empty location.
    again.extend([0x4a, 2, 0x0a, 0]);
    set.files.push(again);
    check(&set, &[]);
}

#[test]
fn another_file_of_the_same_name_is_refused() {
    let set = bare(&[("a.proto", &[]), ("b.proto", &[]), ("a.proto", &["b.proto"])]);
    refused(
        &set,
        "a.proto is in the descriptor set twice, with different content",
    );
}

#[test]
fn well_known_files_are_ours() {
    let set = cart().without(|name| name.starts_with("google/protobuf/"));
    let built = check(&set, &[]);
    assert!(built.file_by_symbol("google.protobuf.Timestamp").is_some());
}

#[test]
fn files_that_only_define_options_may_be_missing() {
    let set = cart().without(|name| name == "cloudstate/eventing.proto");
    let built = check(
        &set,
        &["t.proto imports cloudstate/eventing.proto, which is not in the set"],
    );
    let service = built.service("t.S").expect("the service");
    assert_eq!(
        options::message(&service.methods[0].options, 1081).as_deref(),
        Some(b"\x0a\x05topic".as_slice())
    );
    // What reflection shows no longer imports it.
    let shown = built.file_by_name("t.proto").expect("the file");
    let shown = FileDescriptorProto::decode(shown).expect("a file");
    assert!(!shown.dependency.contains(&"cloudstate/eventing.proto".to_owned()));
}

#[test]
fn all_files_that_define_options_may_be_missing() {
    let gone = [
        "cloudstate/",
        "google/api/annotations.proto",
        "google/api/http.proto",
    ];
    let set = cart().without(|name| gone.iter().any(|gone| name.starts_with(gone)));
    assert_eq!(check(&set, &NOTES).notes.len(), 4);
}

const NOTES: [&str; 4] = [
    "t.proto imports cloudstate/entity_key.proto, which is not in the set",
    "t.proto imports cloudstate/old.proto, which is not in the set",
    "t.proto imports cloudstate/eventing.proto, which is not in the set",
    "t.proto imports google/api/annotations.proto, which is not in the set",
];

#[test]
fn a_missing_file_that_is_needed_is_told_with_its_chain() {
    let middle = "syntax = \"proto3\"; package m; import public \"x/deep.proto\";";
    let deep = "syntax = \"proto3\"; package d; message D {}";
    let top = file("message M { d.D d = 1; }").replace("package t;", "package t; import \"middle.proto\";");
    let sources = [
        ("top.proto", top.as_str()),
        ("middle.proto", middle),
        ("x/deep.proto", deep),
    ];
    assert!(compiled(&sources).build().is_ok());
    refused(
        &compiled(&sources).without(|name| name == "x/deep.proto"),
        "top.proto: name '.d.D' is not defined; missing imports: top.proto -> middle.proto -> x/deep.proto",
    );
}

#[test]
fn an_import_may_differ_in_its_folder() {
    let sources = [
        (
            "a/user.proto",
            "syntax = \"proto3\"; package u; import public \"a/b/domain.proto\"; message U { d.D d = 1; }",
        ),
        ("a/b/domain.proto", "syntax = \"proto3\"; package d; message D {}"),
    ];
    let mut set = compiled(&sources);
    for encoded in &mut set.files {
        let mut file = FileDescriptorProto::decode(encoded.as_slice()).expect("a file");
        file.name = file
            .name
            .map(|name| name.rsplit('/').next().unwrap_or_default().to_owned());
        *encoded = file.encode_to_vec();
    }
    let built = set.build().expect("descriptors");
    assert_eq!(
        built.notes,
        ["user.proto imports a/b/domain.proto: domain.proto is taken for it"]
    );
    let shown = built.file_by_name("user.proto").expect("the file");
    let shown = FileDescriptorProto::decode(shown).expect("a file");
    assert_eq!(shown.dependency, ["domain.proto"]);
    assert_eq!(shown.public_dependency, [0]);
}

#[test]
fn indexes_of_imports_follow_when_one_is_left_out() {
    let mut set = bare(&[("b.proto", &[])]);
    let file = FileDescriptorProto {
        name: Some("a.proto".into()),
        dependency: vec!["gone.proto".into(), "b.proto".into()],
        public_dependency: vec![0, 1],
        ..Default::default()
    };
    set.files.push(file.encode_to_vec());
    let built = set.build().expect("descriptors");
    let shown = built.file_by_name("a.proto").expect("the file");
    let shown = FileDescriptorProto::decode(shown).expect("a file");
    assert_eq!(
        (shown.dependency, shown.public_dependency),
        (vec!["b.proto".into()], vec![0])
    );
}

#[test]
fn circles_are_told_with_their_chain() {
    let circle = |chain| format!("files import each other in a circle: {chain}");
    refused(&bare(&[("a.proto", &["a.proto"])]), &circle("a.proto -> a.proto"));
    refused(
        &bare(&[
            ("a.proto", &["b.proto"]),
            ("b.proto", &["c.proto"]),
            ("c.proto", &["d.proto", "b.proto"]),
            ("d.proto", &[]),
        ]),
        &circle("b.proto -> c.proto -> b.proto"),
    );
}

#[test]
fn a_long_chain_of_imports_is_followed() {
    let names: Vec<_> = (0..2000).map(|index| format!("{index:04}.proto")).collect();
    let files = names.iter().enumerate().map(|(index, name)| {
        let next = names.get(index + 1);
        let file = FileDescriptorProto {
            name: Some(name.clone()),
            dependency: next.cloned().into_iter().collect(),
            public_dependency: next.map(|_| 0).into_iter().collect(),
            ..Default::default()
        };
        file.encode_to_vec()
    });
    let mut set = Set {
        files: files.collect(),
    };
    assert!(set.build().is_ok());
    set.files
        .extend((0..49).map(|index| bare(&[(&format!("x{index}"), &[])]).files.remove(0)));
    refused(&set, "the descriptor set has more than 2048 files");
}

#[test]
fn an_empty_syntax_is_that_of_proto2() {
    let old = FileDescriptorProto {
        name: Some("old.proto".into()),
        message_type: vec![DescriptorProto {
            name: Some("Old".into()),
            ..Default::default()
        }],
        syntax: Some(String::new()),
        ..Default::default()
    };
    let old = Set {
        files: vec![old.encode_to_vec()],
    };
    let built = old.build().expect("it is what older compilers mean");
    assert!(built.message("Old").is_some());
}

#[test]
fn what_is_no_set_is_refused() {
    let text = Descriptors::build(b"no set").expect_err("refused");
    assert!(text.starts_with("the descriptor set cannot be read: "), "{text}");
    let nameless = Set {
        files: vec![vec![0x12, 1, b'p']],
    };
    refused(&nameless, "a file of the descriptor set has no name");
    let edition = FileDescriptorProto {
        name: Some("e.proto".into()),
        syntax: Some("editions".into()),
        ..Default::default()
    };
    let edition = Set {
        files: vec![edition.encode_to_vec()],
    };
    refused(
        &edition,
        "e.proto has syntax \"editions\": only proto2 and proto3 are known",
    );
}

#[test]
fn an_entry_of_a_map_needs_a_key_and_a_value() {
    let entry = DescriptorProto {
        name: Some("E".into()),
        options: Some(MessageOptions {
            map_entry: Some(true),
            ..Default::default()
        }),
        ..Default::default()
    };
    let file = FileDescriptorProto {
        name: Some("e.proto".into()),
        message_type: vec![entry],
        ..Default::default()
    };
    let set = FileDescriptorSet { file: vec![file] };
    let error = Descriptors::build(&set.encode_to_vec()).expect_err("refused");
    assert_eq!(error, "E is no entry of a map: it needs a key and a value");
}

#[test]
fn methods_are_told_as_they_are_declared() {
    let service = testing::service(CART);
    let told: Vec<_> = service
        .methods
        .iter()
        .map(|method| {
            (
                method.name.as_str(),
                method.client_streaming,
                method.server_streaming,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("Put", false, false),
            ("Watch", false, true),
            ("Collect", true, false)
        ]
    );
    let put = &service.methods[0];
    assert_eq!(
        (put.input.full_name(), put.output.full_name()),
        ("t.Add", "t.Cart")
    );
    assert!(service.methods[1].http_rule().is_none());
}

#[test]
fn services_are_found_by_package_and_name() {
    let built = testing::descriptors(CART);
    for wrong in ["S", "t.Cart", "x.S", "t", ""] {
        assert!(built.service(wrong).is_none(), "{wrong}");
    }
}

#[test]
fn keys_come_in_the_order_of_their_declaration() {
    let method = testing::method(
        r#"message M {
          string c = 9 [(cloudstate.entity_key) = true]; string d = 1 [(old.entity_key) = true];
          string e = 2 [(cloudstate.entity_key) = false]; string a = 3 [(cloudstate.entity_key) = true]; string b = 4;
        }
        service S { rpc Call(M) returns (M); }"#,
    );
    let names: Vec<_> = method.key_fields.iter().map(|field| field.name()).collect();
    assert_eq!(names, ["c", "d", "a"]);
}

#[test]
fn symbols_lead_to_their_file() {
    let built = testing::descriptors(CART);
    let known = [
        "t.S",
        "t.S.Put",
        "t.Cart",
        "t.Cart.last",
        "t.Cart.how",
        "t.Cart.Size",
        "t.Cart.SMALL",
    ];
    for symbol in known {
        let file = built.file_by_symbol(symbol).expect(symbol);
        assert_eq!(name(&file), "t.proto", "{symbol}");
    }
    for unknown in [
        "",
        ".",
        "t",
        "t.S.",
        "t.S.Other",
        "t.Cart.other",
        "t.X.last",
        "SMALL",
    ] {
        assert_eq!(built.file_by_symbol(unknown), None, "{unknown}");
    }
    let option = built
        .file_by_symbol("cloudstate.entity_key")
        .expect("the extension");
    assert_eq!(name(&option), "cloudstate/entity_key.proto");
}

#[test]
fn extensions_are_found_by_number() {
    let built = testing::descriptors(CART);
    let options = "google.protobuf.FieldOptions";
    let file = built.file_by_extension(options, 50002).expect("the extension");
    assert_eq!(name(&file), "cloudstate/old.proto");
    assert_eq!(built.file_by_extension(options, 7), None);
    let mut numbers = built.extension_numbers(options).expect("the message");
    numbers.sort_unstable();
    assert_eq!(numbers, [1080, 50002]);
    assert_eq!(built.extension_numbers("t.X"), None);
}

#[test]
fn files_keep_their_options_for_reflection() {
    let set = cart();
    let built = set.build().expect("descriptors");
    let shown = built.file_by_name("t.proto").expect("the file");
    let key = [0xc0, 0x43, 0x01];
    assert!(shown.windows(key.len()).any(|bytes| bytes == key));
    assert_eq!(built.file_by_name("x.proto"), None);
}
