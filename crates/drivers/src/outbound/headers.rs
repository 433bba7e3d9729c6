//! Which headers travel on, and how their names are written.

use base::{Error, Result, codes};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Headers that are about one connection, and not about the message.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

pub(crate) fn is_hop_by_hop(name: &str) -> bool {
    HOP_BY_HOP.contains(&name)
}

/// The headers of a message that are meant for its reader: neither hop-by-hop nor named by `Connection`.
pub(crate) fn end_to_end(headers: &HeaderMap) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
    let connection: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(named_by_connection)
        .collect();
    headers.iter().filter(move |(name, _)| {
        let name = name.as_str();
        !is_hop_by_hop(name) && !connection.iter().any(|named| named == name)
    })
}

/// The headers that one value of `Connection` names, in lower case.
fn named_by_connection(value: &str) -> impl Iterator<Item = String> {
    value.split(',').map(|name| name.trim().to_ascii_lowercase())
}

/// The headers of a call that are meant for the service: neither what belongs to the connection, nor what belongs to the
/// gRPC call that it came with. `InvalidArgument` for what can't be a header.
pub(crate) fn of_call(headers: &[(String, Bytes)]) -> Result<HeaderMap> {
    let refused = |message: String| Error::new(codes::INVALID_ARGUMENT, message);
    let of_connection: Vec<String> = headers
        .iter()
        .filter(|(name, _)| name == "connection")
        .filter_map(|(_, value)| std::str::from_utf8(value).ok())
        .flat_map(named_by_connection)
        .collect();
    let mut kept = HeaderMap::new();
    for (name, value) in headers {
        if stays_behind(name, value) || of_connection.contains(name) {
            continue;
        }
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| refused(format!("{name} is no name of a header")))?;
        let value = HeaderValue::from_bytes(value)
            .map_err(|_| refused(format!("the value of {name} can't be a header")))?;
        kept.append(header, value);
    }
    Ok(kept)
}

/// The id and the content type are replaced by the call's own: the type among the headers is gRPC's.
fn stays_behind(name: &str, value: &[u8]) -> bool {
    match name {
        "id" | "host" | "content-length" | "content-type" | "expect" => true,
        "user-agent" => value.starts_with(b"grpc-"),
        name => name.starts_with(':') || name.starts_with("grpc-") || is_hop_by_hop(name),
    }
}

/// A reply's content type, and its other headers that are meant for the caller.
pub(crate) fn of_reply(headers: &HeaderMap) -> (String, Vec<(String, Bytes)>) {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let content_type = headers.get(header::CONTENT_TYPE).map(text);
    let others = end_to_end(headers)
        .filter(|(name, _)| **name != header::CONTENT_LENGTH && **name != header::CONTENT_TYPE)
        .filter(|(name, _)| !name.as_str().starts_with("grpc-"))
        .map(|(name, value)| (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes())));
    (content_type.unwrap_or_default(), others.collect())
}

/// A header's name as Go writes it: `content-type` becomes `Content-Type`.
pub(crate) fn canonical(name: &HeaderName) -> String {
    let mut at_start = true;
    let letters = name.as_str().chars().map(|letter| {
        let upper = std::mem::replace(&mut at_start, letter == '-');
        if upper {
            letter.to_ascii_uppercase()
        } else {
            letter
        }
    });
    letters.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "X-One, close"),
            ("x-one", "1"),
            ("x-two", "2"),
            ("transfer-encoding", "chunked"),
            ("set-cookie", "a"),
            ("set-cookie", "b"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        let kept: Vec<_> = end_to_end(&headers).map(|(name, _)| name.as_str()).collect();
        assert_eq!(kept, ["x-two", "set-cookie", "set-cookie"]);
    }

    #[test]
    fn names_are_written_as_go_does() {
        let check = |name, expected: &str| assert_eq!(canonical(&HeaderName::from_static(name)), expected);
        check("content-type", "Content-Type");
        check("etag", "Etag");
        check("x-b3-traceid", "X-B3-Traceid");
    }
}
