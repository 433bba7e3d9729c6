//! What is known of a user's services: the descriptor set of discovery, repaired and built.

use std::sync::Arc;

use bytes::Bytes;
use prost_reflect::{DescriptorPool, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor};

use super::files::Files;
use super::options::{self, Options};

/// All files of a user function.
#[derive(Debug)]
pub(crate) struct Descriptors {
    pool: DescriptorPool,
    options: Options,
    /// What was repaired in a way people should know, a sentence each.
    pub(crate) notes: Vec<String>,
}

/// A service and its methods in the order of the file.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) full_name: String,
    pub(crate) methods: Vec<Arc<Method>>,
}

#[derive(Debug)]
pub(crate) struct Method {
    /// The full name of the service.
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) input: MessageDescriptor,
    pub(crate) output: MessageDescriptor,
    pub(crate) client_streaming: bool,
    pub(crate) server_streaming: bool,
    /// Encoded `MethodOptions`; `option` reads one of them.
    options: Bytes,
    /// Fields of the input that make the entity id, in the order they are declared in.
    pub(crate) key_fields: Vec<FieldDescriptor>,
}

impl Method {
    /// The encoded `google.api.HttpRule`.
    pub(crate) fn http_rule(&self) -> Option<Bytes> {
        options::http_rule(&self.options)
    }
}

impl Descriptors {
    /// From an encoded `FileDescriptorSet`. The error is what people are told.
    pub(crate) fn build(set: &[u8]) -> Result<Self, String> {
        // Well-known files are always ours: prost-reflect reads options and JSON by them.
        let mut pool = DescriptorPool::global();
        let files = Files::repair(set, &pool)?;
        let mut options = Options::default();
        for file in &files.sorted {
            options
                .add_file(&file.encoded)
                .map_err(|error| format!("{} cannot be read: {error}", file.name))?;
            pool.decode_file_descriptor_proto(file.encoded.clone())
                .map_err(|error| unbuilt(&file.name, &error.to_string(), &files))?;
        }
        check_maps(&pool)?;
        Ok(Self {
            pool,
            options,
            notes: files.notes,
        })
    }

    /// By its full name, which is its package and its name.
    pub(crate) fn service(&self, full_name: &str) -> Option<Service> {
        let service = self.pool.get_service_by_name(full_name)?;
        let methods = service.methods().map(|method| {
            let input = method.input();
            Arc::new(Method {
                service: full_name.to_owned(),
                name: method.name().to_owned(),
                output: method.output(),
                client_streaming: method.is_client_streaming(),
                server_streaming: method.is_server_streaming(),
                options: self.options.of(method.full_name()),
                key_fields: self.key_fields(&input),
                input,
            })
        });
        Some(Service {
            full_name: full_name.to_owned(),
            methods: methods.collect(),
        })
    }

    pub(crate) fn message(&self, full_name: &str) -> Option<MessageDescriptor> {
        self.pool.get_message_by_name(full_name)
    }

    fn key_fields(&self, input: &MessageDescriptor) -> Vec<FieldDescriptor> {
        let fields = input.fields();
        let is_key = |field: &FieldDescriptor| options::is_entity_key(&self.options.of(field.full_name()));
        let mut keys: Vec<_> = fields.filter(is_key).collect();
        // The last step of a path is the index of the declaration.
        keys.sort_by_key(|field| field.path().last().copied());
        keys
    }

    /// An encoded `FileDescriptorProto`, by the file's name.
    pub(crate) fn file_by_name(&self, name: &str) -> Option<Bytes> {
        self.pool.get_file_by_name(name).as_ref().map(encoded)
    }

    /// The file that defines a symbol: a message, enum, service or extension, or a part of one, by its full name.
    pub(crate) fn file_by_symbol(&self, symbol: &str) -> Option<Bytes> {
        let file = self.definition(symbol).or_else(|| {
            let (scope, name) = symbol.rsplit_once('.').unwrap_or(("", symbol));
            self.part(scope, name).or_else(|| self.enum_value(scope, symbol))
        });
        file.as_ref().map(encoded)
    }

    /// The file that extends a message by a field number.
    pub(crate) fn file_by_extension(&self, message: &str, number: u32) -> Option<Bytes> {
        let message = self.pool.get_message_by_name(message)?;
        let extension = message.get_extension(number)?;
        Some(encoded(&extension.parent_file()))
    }

    /// The numbers a message is extended by. `None`: there is no such message.
    pub(crate) fn extension_numbers(&self, message: &str) -> Option<Vec<u32>> {
        let message = self.pool.get_message_by_name(message)?;
        Some(message.extensions().map(|extension| extension.number()).collect())
    }

    fn definition(&self, symbol: &str) -> Option<FileDescriptor> {
        let pool = &self.pool;
        let message = || Some(pool.get_message_by_name(symbol)?.parent_file());
        let service = || Some(pool.get_service_by_name(symbol)?.parent_file());
        let values = || Some(pool.get_enum_by_name(symbol)?.parent_file());
        let extension = || Some(pool.get_extension_by_name(symbol)?.parent_file());
        message().or_else(service).or_else(values).or_else(extension)
    }

    /// A method, field or oneof.
    fn part(&self, scope: &str, name: &str) -> Option<FileDescriptor> {
        if let Some(service) = self.pool.get_service_by_name(scope) {
            let known = service.methods().any(|method| method.name() == name);
            return known.then(|| service.parent_file());
        }
        let message = self.pool.get_message_by_name(scope)?;
        let known =
            message.get_field_by_name(name).is_some() || message.oneofs().any(|oneof| oneof.name() == name);
        known.then(|| message.parent_file())
    }

    /// Values stand in the scope of their enum, not below it.
    fn enum_value(&self, scope: &str, symbol: &str) -> Option<FileDescriptor> {
        let mut enums = self.pool.all_enums();
        let of = enums.find(|values| {
            values.full_name().starts_with(scope) && values.values().any(|value| value.full_name() == symbol)
        })?;
        Some(of.parent_file())
    }
}

fn encoded(file: &FileDescriptor) -> Bytes {
    file.encode_to_vec().into()
}

fn unbuilt(file: &str, error: &str, files: &Files) -> String {
    let missing = files.missing_below(file);
    match missing.is_empty() {
        true => format!("{file}: {error}"),
        false => format!("{file}: {error}; missing imports: {}", missing.join(", ")),
    }
}

/// prost-reflect trusts that an entry of a map has a key and a value, as compilers write it.
fn check_maps(pool: &DescriptorPool) -> Result<(), String> {
    let entries = pool.all_messages().filter(MessageDescriptor::is_map_entry);
    let broken = entries.filter(|entry| {
        let key = entry.get_field(1).filter(|key| is_map_key(&key.kind()));
        let value = entry.get_field(2);
        let single = |field: FieldDescriptor| !field.is_list() && !field.is_map();
        !(key.is_some_and(single) && value.is_some_and(single))
    });
    match broken.map(|entry| entry.full_name().to_owned()).next() {
        Some(entry) => Err(format!(
            "{entry} is no entry of a map: it needs a key and a value"
        )),
        None => Ok(()),
    }
}

fn is_map_key(kind: &Kind) -> bool {
    !matches!(
        kind,
        Kind::Double | Kind::Float | Kind::Bytes | Kind::Message(_) | Kind::Enum(_)
    )
}

#[cfg(test)]
mod tests;
