//! The port `secret`, from memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;

use async_trait::async_trait;
use base::{Error, Result, codes, limits};
use ports::Metadata;
use ports::secret::{Secret, SecretStore};
use serde_json::{Map, Value};

use super::settings::SecretFile;

pub(super) struct Secrets {
    secrets: BTreeMap<String, Secret>,
}

impl Secrets {
    /// Reads the whole file. It blocks. No error quotes what the file holds.
    pub(super) fn read(settings: &SecretFile) -> Result<Secrets> {
        let path = &settings.secrets_file;
        let failed = |text: String| Error::new(codes::COMPONENT_NOT_OPENED, format!("{path}: {text}"));
        let mut content = vec![];
        // One byte more than there may be shows that there is more.
        let size_max = limits::SECRETS_FILE_BYTES_MAX as u64 + 1;
        let read = File::open(path).and_then(|file| file.take(size_max).read_to_end(&mut content));
        read.map_err(|cause| failed(format!("the file of secrets can't be read: {cause}")))?;
        if content.len() > limits::SECRETS_FILE_BYTES_MAX {
            let size_max = limits::SECRETS_FILE_BYTES_MAX;
            return Err(failed(format!("a file of secrets has at most {size_max} bytes")));
        }
        match serde_json::from_slice(&content) {
            Ok(Value::Object(object)) => Ok(Secrets::of(object, settings)),
            Ok(_) => Err(failed("a file of secrets must hold one JSON object".to_owned())),
            Err(cause) => Err(failed(format!("the file of secrets is no JSON: {cause}"))),
        }
    }

    fn of(object: Map<String, Value>, settings: &SecretFile) -> Secrets {
        let separator = match settings.nested_separator.as_str() {
            "" => ":",
            separator => separator,
        };
        let secrets = match settings.multi_valued {
            true => several_values(object, separator),
            false => one_value(object, separator),
        };
        Secrets { secrets }
    }
}

/// Every value is a secret of its own.
fn one_value(object: Map<String, Value>, separator: &str) -> BTreeMap<String, Secret> {
    let mut values = Secret::new();
    flatten("", Value::Object(object), separator, &mut values);
    let single = |(name, value): (String, String)| (name.clone(), Secret::from([(name, value)]));
    values.into_iter().map(single).collect()
}

/// A name of the first level is a secret; a value without parts is named like its secret.
fn several_values(object: Map<String, Value>, separator: &str) -> BTreeMap<String, Secret> {
    let several = |(name, value): (String, Value)| {
        let mut values = Secret::new();
        match value {
            Value::Object(_) | Value::Array(_) => flatten("", value, separator, &mut values),
            single => flatten(&name, single, separator, &mut values),
        }
        (name, values)
    };
    object.into_iter().map(several).collect()
}

/// How deep it goes is bounded by the JSON parser.
fn flatten(path: &str, value: Value, separator: &str, values: &mut Secret) {
    let below = |part: &str| match path {
        "" => part.to_owned(),
        path => format!("{path}{separator}{part}"),
    };
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                flatten(&below(&name), value, separator, values);
            }
        }
        Value::Array(list) => {
            for (index, value) in list.into_iter().enumerate() {
                flatten(&below(&index.to_string()), value, separator, values);
            }
        }
        Value::String(text) => drop(values.insert(path.to_owned(), text)),
        plain => drop(values.insert(path.to_owned(), plain.to_string())),
    }
}

#[async_trait]
impl SecretStore for Secrets {
    async fn get(&self, name: &str, _: &Metadata) -> Result<Secret> {
        let secret = self.secrets.get(name).cloned();
        secret.ok_or_else(|| Error::new(codes::SECRET_NOT_FOUND, format!("secret {name} not found")))
    }

    async fn bulk(&self, _: &Metadata) -> Result<BTreeMap<String, Secret>> {
        Ok(self.secrets.clone())
    }
}
