//! A binding's request as HTTP requests.

use std::collections::BTreeSet;

use base::{Error, Result, codes};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::Full;
use ports::{Metadata, binding};

use super::settings::HttpBinding;
use crate::outbound::{headers, uri};

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// What `operations` names, in that order.
pub(super) const OPERATIONS: [&str; 9] = [
    "create", "get", "head", "post", "put", "patch", "delete", "options", "trace",
];

/// One request that may be sent several times: on another attempt, or to another place.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub method: Method,
    pub url: Uri,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Which headers of the metadata are sent. Names are in lower case.
pub(super) struct Rules {
    /// Empty: all.
    allow: BTreeSet<String>,
    deny: BTreeSet<String>,
}

impl Rules {
    pub(super) fn of(settings: &HttpBinding) -> Rules {
        let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect();
        Rules {
            allow: lower(&settings.headers_allow),
            deny: lower(&settings.headers_deny),
        }
    }

    fn pass(&self, name: &str) -> bool {
        let own = matches!(name, "host" | "content-length") || headers::is_hop_by_hop(name);
        let allowed = self.allow.is_empty() || self.allow.contains(name);
        !own && allowed && !self.deny.contains(name)
    }
}

impl Outgoing {
    /// `Unimplemented` for an operation that isn't offered.
    pub(super) fn of(request: binding::Request, url: &str, rules: &Rules) -> Result<Outgoing> {
        let method = method(&request.operation)?;
        let has_body = matches!(method, Method::POST | Method::PUT | Method::PATCH);
        let mut headers = headers_of(&request.metadata, rules)?;
        headers.entry(header::ACCEPT).or_insert(JSON);
        if has_body {
            headers.entry(header::CONTENT_TYPE).or_insert(JSON);
        }
        Ok(Outgoing {
            method,
            url: joined(url, request.metadata.get("path"))?,
            headers,
            body: if has_body { request.data } else { Bytes::new() },
        })
    }

    /// Whether sending it twice does no more than sending it once (RFC 9110, section 9.2.2).
    pub(super) fn may_be_repeated(&self) -> bool {
        self.method.is_idempotent()
    }

    /// The request for the connection: its URI is a path, and the host is a header.
    pub(super) fn request(&self) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = match self.url.path_and_query() {
            Some(path) => path.clone().into(),
            None => Uri::from_static("/"),
        };
        let authority = self.url.authority().map_or("", |authority| authority.as_str());
        let host = HeaderValue::from_str(authority).map_err(|_| failed(format!("{authority} is no host")))?;
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(header::HOST, host);
        Ok(request)
    }
}

pub(super) fn failed(message: String) -> Error {
    Error::new(codes::BINDING_FAILED, message)
}

fn method(operation: &str) -> Result<Method> {
    match operation {
        "create" | "post" => Ok(Method::POST),
        "get" => Ok(Method::GET),
        "head" => Ok(Method::HEAD),
        "put" => Ok(Method::PUT),
        "patch" => Ok(Method::PATCH),
        "delete" => Ok(Method::DELETE),
        "options" => Ok(Method::OPTIONS),
        "trace" => Ok(Method::TRACE),
        other => Err(Error::new(
            codes::UNIMPLEMENTED,
            format!("operation {other} is not supported"),
        )),
    }
}

/// One slash joins them. Dots are looked for in the escapes too: servers read those as dots.
fn joined(url: &str, path: Option<&String>) -> Result<Uri> {
    let joined = match path {
        None => url.to_owned(),
        Some(path) => {
            let joined = format!("{}/{}", url.trim_end_matches('/'), path.trim_start_matches('/'));
            if joined.to_lowercase().replace("%2e", ".").contains("..") {
                return Err(failed(format!("invalid path: {path}")));
            }
            joined
        }
    };
    // The part behind `#` is for readers, not for servers.
    let joined = joined.split('#').next().unwrap_or_default();
    let (scheme, rest) = joined.split_once("://").unwrap_or(("http", joined));
    let made = format!("{scheme}://{}", uri::escape(rest)).parse();
    made.map_err(|_| failed(format!("invalid path: {}", path.map_or("", |path| path))))
}

/// Keys that begin with an upper-case letter, if the rules let them pass.
fn headers_of(metadata: &Metadata, rules: &Rules) -> Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (key, value) in metadata {
        let is_header = key.starts_with(|first: char| first.is_ascii_uppercase());
        if !is_header || !rules.pass(&key.to_lowercase()) {
            continue;
        }
        let name: HeaderName = key
            .parse()
            .map_err(|_| failed(format!("{key} is no name of a header")))?;
        let value = HeaderValue::from_str(value)
            .map_err(|_| failed(format!("the value of {key} can't be a header")))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(allow: &[&str], deny: &[&str]) -> Rules {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Rules {
            allow: set(allow),
            deny: set(deny),
        }
    }

    fn made(operation: &str, metadata: &[(&str, &str)], rules: &Rules) -> Result<Outgoing> {
        let metadata = metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let request = binding::Request {
            operation: operation.to_owned(),
            data: Bytes::from_static(b"data"),
            metadata: metadata.collect(),
        };
        Outgoing::of(request, "http://host:1/base/", rules)
    }

    #[track_caller]
    fn check_url(path: &str, expected: &str) {
        let made = made("get", &[("path", path)], &rules(&[], &[]));
        let url = made.map(|outgoing| outgoing.url.to_string());
        assert_eq!(url.unwrap_or_else(|error| error.message().to_owned()), expected);
    }

    #[track_caller]
    fn check_headers(operation: &str, metadata: &[(&str, &str)], rules: &Rules, expected: &[(&str, &str)]) {
        let outgoing = made(operation, metadata, rules).expect("it makes a request");
        let mut headers: Vec<_> = outgoing
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().expect("a text")))
            .collect();
        headers.sort_unstable();
        assert_eq!(headers, expected);
    }

    #[test]
    fn a_path_is_joined_with_one_slash() {
        check_url("a", "http://host:1/base/a");
        check_url("//a/b?c=1", "http://host:1/base/a/b?c=1");
        check_url("", "http://host:1/base/");
        check_url("a b#c", "http://host:1/base/a%20b");
    }

    #[test]
    fn dots_are_refused_in_any_form() {
        check_url("../a", "invalid path: ../a");
        check_url("a/..", "invalid path: a/..");
        check_url("a..b", "invalid path: a..b");
        check_url("%2e%2E/a", "invalid path: %2e%2E/a");
        check_url(".%2e/a", "invalid path: .%2e/a");
    }

    #[test]
    fn upper_case_keys_are_headers() {
        let json = "application/json; charset=utf-8";
        let metadata = [
            ("X-One", "1"),
            ("x-two", "2"),
            ("Host", "h"),
            ("Connection", "c"),
            ("path", "a"),
        ];
        check_headers(
            "get",
            &metadata,
            &rules(&[], &[]),
            &[("accept", json), ("x-one", "1")],
        );
        let all: &[(&str, &str)] = &[("accept", json), ("content-type", json)];
        check_headers("create", &[], &rules(&[], &[]), all);
        let own: &[(&str, &str)] = &[("accept", "a/b"), ("content-type", "c/d")];
        check_headers(
            "put",
            &[("Accept", "a/b"), ("Content-Type", "c/d")],
            &rules(&[], &[]),
            own,
        );
    }

    #[test]
    fn rules_let_headers_pass_or_not() {
        let json = "application/json; charset=utf-8";
        let metadata = [("X-One", "1"), ("X-Two", "2")];
        let check = |rules: Rules, kept: &[(&str, &str)]| {
            check_headers("get", &metadata, &rules, &[&[("accept", json)], kept].concat());
        };
        check(rules(&["x-one"], &[]), &[("x-one", "1")]);
        check(rules(&[], &["x-one"]), &[("x-two", "2")]);
        check(rules(&["x-one"], &["x-one"]), &[]);
    }

    #[test]
    fn only_some_operations_have_a_body() {
        for operation in OPERATIONS {
            let outgoing = made(operation, &[], &rules(&[], &[])).expect("it is offered");
            let expected = matches!(operation, "create" | "post" | "put" | "patch");
            assert_eq!(!outgoing.body.is_empty(), expected, "{operation}");
        }
    }

    #[test]
    fn only_some_operations_may_be_repeated() {
        for operation in OPERATIONS {
            let outgoing = made(operation, &[], &rules(&[], &[])).expect("it is offered");
            let expected = !matches!(operation, "create" | "post" | "patch");
            assert_eq!(outgoing.may_be_repeated(), expected, "{operation}");
        }
    }
}
