//! The Layotto family: `spec.proto.runtime.v1`.

#[allow(
    clippy::all,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "generated code follows its generator's style"
)]
mod generated {
    include!("gen/layotto/mod.rs");
}

pub use generated::spec::proto::runtime::v1::*;

/// Every file of the family and what they import, for gRPC reflection; an encoded `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/layotto/descriptors.bin");

#[cfg(test)]
mod tests {
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
            .flat_map(|file| &file.service)
            .map(|service| (service.name().to_owned(), service.method.len()))
            .collect();
        services.sort();
        let expected = [("AppCallback", 2), ("Lifecycle", 1), ("Runtime", 26)];
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
    fn camel_case_fields_keep_their_names() {
        let files = descriptors();
        let names: Vec<&str> = files
            .iter()
            .flat_map(|file| &file.message_type)
            .flat_map(|message| &message.field)
            .map(|field| field.name())
            .filter(|name| name.contains(char::is_uppercase))
            .collect();
        assert_eq!(names, ["operationType", "storeName"]);
    }

    #[test]
    fn ids_are_strings_in_javascript() {
        use prost_types::field_options::JsType;
        let files = descriptors();
        let is_string = |field: &&prost_types::FieldDescriptorProto| {
            let options = field.options.as_ref();
            options.is_some_and(|options| options.jstype() == JsType::JsString)
        };
        let fields = files
            .iter()
            .flat_map(|file| &file.message_type)
            .flat_map(|message| &message.field);
        let names: Vec<&str> = fields.filter(is_string).map(|field| field.name()).collect();
        assert_eq!(names, ["next_id"]);
    }

    #[test]
    fn topic_and_data_have_the_numbers_of_the_wire() {
        let event = TopicEventRequest {
            topic: "t".to_owned(),
            data: bytes::Bytes::from_static(b"d"),
            ..TopicEventRequest::default()
        };
        assert_eq!(event.encode_to_vec(), b"\x32\x01t\x3a\x01d");
    }
}
