//! Headers of a request become metadata of a command, metadata of a reply becomes headers of an answer.

use http::{HeaderMap, HeaderName, HeaderValue};
use wire::cloudstate::metadata_entry::Value;
use wire::cloudstate::{Metadata, MetadataEntry};

/// Those that hold text. What belongs to the connection stays out.
pub(super) fn of(headers: &HeaderMap) -> Metadata {
    let entries = headers.iter().filter(|(name, _)| !is_transport(name));
    let entries = entries.filter_map(|(name, value)| {
        Some(MetadataEntry {
            key: name.as_str().to_owned(),
            value: Some(Value::StringValue(value.to_str().ok()?.to_owned())),
        })
    });
    Metadata {
        entries: entries.collect(),
    }
}

/// What headers cannot say is left out.
pub(super) fn put(headers: &mut HeaderMap, metadata: &Metadata) {
    for entry in &metadata.entries {
        let Some(Value::StringValue(text)) = &entry.value else {
            continue;
        };
        let name = HeaderName::try_from(&entry.key)
            .ok()
            .filter(|name| !is_transport(name));
        if let (Some(name), Ok(value)) = (name, HeaderValue::from_str(text)) {
            headers.append(name, value);
        }
    }
}

fn is_transport(name: &HeaderName) -> bool {
    let name = name.as_str();
    let connection = [
        "connection",
        "content-length",
        "content-type",
        "host",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    connection.contains(&name) || name.starts_with("grpc-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_as_they_went() {
        let mut headers = HeaderMap::new();
        headers.append("x-user", HeaderValue::from_static("a"));
        headers.append("x-user", HeaderValue::from_static("b"));
        let mut back = HeaderMap::new();
        put(&mut back, &of(&headers));
        assert_eq!(back, headers);
    }

    #[test]
    fn what_belongs_to_the_connection_stays_out() {
        let mut headers = HeaderMap::new();
        for name in ["content-type", "te", "grpc-timeout"] {
            headers.append(name, HeaderValue::from_static("x"));
        }
        assert_eq!(of(&headers).entries, []);
    }

    #[test]
    fn what_headers_cannot_say_is_left_out() {
        let entry = |key: &str, value: &str| MetadataEntry {
            key: key.into(),
            value: Some(Value::StringValue(value.into())),
        };
        let entries = vec![entry("a b", "1"), entry("ok", "a\nb"), entry("fine", "1")];
        let mut headers = HeaderMap::new();
        put(&mut headers, &Metadata { entries });
        assert_eq!(headers.len(), 1);
        assert_eq!(headers.get("fine"), Some(&HeaderValue::from_static("1")));
    }
}
