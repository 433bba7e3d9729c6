use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};

use super::*;

fn descriptors() -> Vec<FileDescriptorProto> {
    FileDescriptorSet::decode(FILE_DESCRIPTOR_SET)
        .expect("codegen wrote a descriptor set")
        .file
}

#[test]
fn every_service_has_all_its_methods() {
    let mut services: Vec<(String, usize)> = descriptors()
        .iter()
        .flat_map(|file| file.service.iter().map(move |service| (file, service)))
        .map(|(file, service)| {
            let package = file.package().trim_start_matches("atomix.");
            (format!("{package}.{}", service.name()), service.method.len())
        })
        .collect();
    services.sort();
    let expected = [
        ("proxy.v1.Proxy", 3),
        ("runtime.counter.v1.Counter", 7),
        ("runtime.counter.v1.Counters", 2),
        ("runtime.countermap.v1.CounterMap", 15),
        ("runtime.countermap.v1.CounterMaps", 2),
        ("runtime.election.v1.LeaderElection", 10),
        ("runtime.election.v1.LeaderElections", 2),
        ("runtime.indexedmap.v1.IndexedMap", 14),
        ("runtime.indexedmap.v1.IndexedMaps", 2),
        ("runtime.list.v1.List", 11),
        ("runtime.list.v1.Lists", 2),
        ("runtime.lock.v1.Lock", 5),
        ("runtime.lock.v1.Locks", 2),
        ("runtime.map.v1.Map", 14),
        ("runtime.map.v1.Maps", 2),
        ("runtime.multimap.v1.MultiMap", 15),
        ("runtime.multimap.v1.MultiMaps", 2),
        ("runtime.set.v1.Set", 9),
        ("runtime.set.v1.Sets", 2),
        ("runtime.topic.v1.Topic", 4),
        ("runtime.topic.v1.Topics", 2),
        ("runtime.v1.Runtime", 4),
        ("runtime.value.v1.Value", 9),
        ("runtime.value.v1.Values", 2),
    ];
    assert_eq!(services, expected.map(|(name, count)| (name.to_owned(), count)));
}

#[test]
fn reflection_finds_every_import() {
    let files = descriptors();
    for import in files.iter().flat_map(|file| &file.dependency) {
        assert!(files.iter().any(|file| file.name() == import), "{import}");
    }
}

#[test]
fn first_field_of_every_use_of_a_primitive_is_its_id() {
    for file in descriptors() {
        let uses = |name: &str| {
            let services = file.service.iter();
            let mut inputs = services
                .flat_map(|service| &service.method)
                .map(|method| method.input_type());
            inputs.any(|input| input == format!(".{}.{name}", file.package()))
        };
        let requests = file.message_type.iter().filter(|message| uses(message.name()));
        for request in requests.filter(|_| file.package() != "atomix.runtime.v1") {
            let id = &request.field[0];
            assert_eq!(
                (id.name(), id.number()),
                ("id", 1),
                "{} {}",
                file.name(),
                request.name()
            );
            assert_eq!(id.type_name(), ".atomix.runtime.v1.PrimitiveID");
        }
    }
}

/// Fields whose numbers differ from those of their kin.
#[test]
fn odd_field_numbers_are_those_of_the_wire() {
    let check = |encoded: Vec<u8>, expected: &[u8]| assert_eq!(encoded, expected);
    check(set::AddResponse { added: true }.encode_to_vec(), b"\x10\x01");
    check(set::RemoveResponse { removed: true }.encode_to_vec(), b"\x10\x01");
    check(
        multimap::RemoveAllResponse { updated: true }.encode_to_vec(),
        b"\x10\x01",
    );
    let entry = multimap::Entry {
        key: "k".to_owned(),
        values: vec!["v".to_owned()],
    };
    check(entry.encode_to_vec(), b"\x0a\x01k\x1a\x01v");
    let update = value::UpdateRequest {
        prev_version: 1,
        ttl: Some(prost_types::Duration::default()),
        ..value::UpdateRequest::default()
    };
    check(update.encode_to_vec(), b"\x18\x01\x22\x00");
    let update = indexedmap::UpdateRequest {
        prev_version: 1,
        ttl: Some(prost_types::Duration::default()),
        ..indexedmap::UpdateRequest::default()
    };
    check(update.encode_to_vec(), b"\x2a\x00\x30\x01");
}

#[test]
fn events_are_in_the_fields_of_the_wire() {
    let second = [
        map::EventsResponse {
            event: Some(map::Event::default()),
        }
        .encode_to_vec(),
        multimap::EventsResponse {
            event: Some(multimap::Event::default()),
        }
        .encode_to_vec(),
        countermap::EventsResponse {
            event: Some(countermap::Event::default()),
        }
        .encode_to_vec(),
    ];
    assert_eq!(second, [b"\x12\x00"; 3]);
    let first = [
        set::EventsResponse {
            event: Some(set::Event::default()),
        }
        .encode_to_vec(),
        list::EventsResponse {
            event: Some(list::Event::default()),
        }
        .encode_to_vec(),
        indexedmap::EventsResponse {
            event: Some(indexedmap::Event::default()),
        }
        .encode_to_vec(),
        value::EventsResponse {
            event: Some(value::Event::default()),
        }
        .encode_to_vec(),
    ];
    assert_eq!(first, [b"\x0a\x00"; 4]);
}

#[test]
fn settings_of_both_forms_arrive_as_bytes() {
    let request = runtime::ConnectRequest {
        config: bytes::Bytes::from_static(b"{}"),
        ..runtime::ConnectRequest::default()
    };
    assert_eq!(request.encode_to_vec(), b"\x1a\x02{}");
    let wrapped = b"\x1a\x04\x12\x02{}".as_slice();
    let request = runtime::ConnectRequest::decode(wrapped).expect("a released client sends this");
    assert_eq!(settings(&request.config), "{}");
}

/// Trap 20: the SDK reads a list's positions with 32 bits, an indexed map's indexes with 64.
#[test]
fn indexes_are_as_wide_as_clients_read_them() {
    use prost_types::field_descriptor_proto::Type;

    for (package, expected, count) in [
        ("atomix.runtime.list.v1", Type::Uint32, 6),
        ("atomix.runtime.indexedmap.v1", Type::Uint64, 7),
    ] {
        let files = descriptors();
        let files = files.iter().filter(|file| file.package() == package);
        let messages = files.flat_map(|file| &file.message_type);
        let fields = messages.flat_map(|message| &message.field);
        let widths: Vec<Type> = fields
            .filter(|field| field.name() == "index")
            .map(|field| field.r#type())
            .collect();
        assert_eq!(widths, vec![expected; count], "{package}");
    }
}
