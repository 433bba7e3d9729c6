//! An invocation as an HTTP request.

use base::{Error, Result, codes};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Uri};
use http_body_util::Full;
use ports::invoke::Invocation;

use crate::outbound::{headers, uri};

/// `InvalidArgument` when it makes no request.
pub(super) fn request(invocation: Invocation, host: &HeaderValue) -> Result<Request<Full<Bytes>>> {
    let mut request = Request::new(Full::new(invocation.body));
    *request.method_mut() = verb(&invocation.verb)?;
    *request.uri_mut() = path(&invocation.method, &invocation.query)?;
    *request.headers_mut() = headers::of_call(&invocation.headers)?;
    let headers = request.headers_mut();
    headers.insert(header::HOST, host.clone());
    headers.insert("id", value("id", invocation.id.as_bytes())?);
    if !invocation.content_type.is_empty() {
        let content_type = value("content-type", invocation.content_type.as_bytes())?;
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    Ok(request)
}

fn refused(message: String) -> Error {
    Error::new(codes::INVALID_ARGUMENT, message)
}

/// `CONNECT` would turn the connection into a tunnel, which a call is not.
fn verb(verb: &str) -> Result<Method> {
    match verb {
        "" | "NONE" => Ok(Method::GET),
        "CONNECT" => Err(refused("verb CONNECT can't be forwarded".to_owned())),
        verb => Method::from_bytes(verb.as_bytes()).map_err(|_| refused(format!("{verb} is no HTTP verb"))),
    }
}

fn path(method: &str, query: &str) -> Result<Uri> {
    let slash = if method.starts_with('/') { "" } else { "/" };
    let joint = match query {
        "" => "",
        _ if method.contains('?') => "&",
        _ => "?",
    };
    let path = format!("{slash}{}{joint}{}", uri::escape(method), uri::escape(query));
    path.parse()
        .map_err(|_| refused(format!("method {method} makes no path")))
}

fn value(name: &str, bytes: &[u8]) -> Result<HeaderValue> {
    HeaderValue::from_bytes(bytes).map_err(|_| refused(format!("the value of {name} can't be a header")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn invocation(method: &str, query: &str, verb: &str, headers: &[(&str, &[u8])]) -> Invocation {
        Invocation {
            id: "service".to_owned(),
            method: method.to_owned(),
            verb: verb.to_owned(),
            query: query.to_owned(),
            content_type: String::new(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value)))
                .collect(),
            body: Bytes::new(),
            timeout: Duration::from_secs(1),
        }
    }

    fn made(invocation: Invocation) -> Result<Request<Full<Bytes>>> {
        request(invocation, &HeaderValue::from_static("localhost"))
    }

    #[track_caller]
    fn check_line(method: &str, query: &str, verb: &str, expected: &str) {
        let request = made(invocation(method, query, verb, &[])).expect("it makes a request");
        assert_eq!(format!("{} {}", request.method(), request.uri()), expected);
    }

    #[track_caller]
    fn check_headers(headers: &[(&str, &[u8])], expected: &[(&str, &[u8])]) {
        let request = made(invocation("/", "", "", headers)).expect("it makes a request");
        let made: Vec<(&str, &[u8])> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let own: [(&str, &[u8]); 2] = [("host", b"localhost"), ("id", b"service")];
        assert_eq!(made, [expected, &own].concat());
    }

    #[track_caller]
    fn check_refused(invocation: Invocation, expected: &str) {
        let error = made(invocation).map(drop).expect_err("it makes no request");
        assert_eq!(error.message(), expected);
        assert_eq!(error.kind(), base::Kind::InvalidArgument);
    }

    #[test]
    fn the_method_is_the_path() {
        check_line("/hello", "", "POST", "POST /hello");
        check_line("hello/you", "a=1&b=2", "PUT", "PUT /hello/you?a=1&b=2");
        check_line("/hello?x=1", "a=1", "GET", "GET /hello?x=1&a=1");
        check_line("", "", "DELETE", "DELETE /");
        check_line("/a b#c", "", "PATCH", "PATCH /a%20b%23c");
    }

    #[test]
    fn no_verb_means_get() {
        check_line("/", "", "NONE", "GET /");
        check_line("/", "", "", "GET /");
    }

    #[test]
    fn headers_of_the_connection_and_of_the_grpc_call_stay_behind() {
        check_headers(
            &[
                (":authority", b"127.0.0.1:34904"),
                ("content-type", b"application/grpc"),
                ("user-agent", b"grpc-go/1.48"),
                ("te", b"trailers"),
                ("grpc-timeout", b"1S"),
                ("grpc-accept-encoding", b"gzip"),
                ("connection", b"x-hop"),
                ("x-hop", b"1"),
                ("host", b"elsewhere"),
                ("content-length", b"5"),
                ("transfer-encoding", b"chunked"),
                ("id", b"another"),
            ],
            &[],
        );
    }

    #[test]
    fn other_headers_travel_on_with_all_their_values() {
        let headers: &[(&str, &[u8])] = &[
            ("user-agent", b"curl/8"),
            ("x-many", b"1"),
            ("x-many", b"2"),
            ("x-latin", b"\xe9"),
            ("traceparent", b"00-1-2-01"),
        ];
        check_headers(headers, headers);
    }

    #[test]
    fn the_content_type_is_the_invocation_s() {
        let mut invocation = invocation("/", "", "", &[("content-type", b"application/grpc")]);
        invocation.content_type = "text/plain".to_owned();
        let request = made(invocation).expect("it makes a request");
        assert_eq!(request.headers()["content-type"], "text/plain");
    }

    #[test]
    fn what_makes_no_request_is_named() {
        check_refused(
            invocation("/", "", "CONNECT", &[]),
            "verb CONNECT can't be forwarded",
        );
        check_refused(invocation("/", "", "A B", &[]), "A B is no HTTP verb");
        check_refused(
            invocation("/", "", "", &[("a b", b"")]),
            "a b is no name of a header",
        );
        check_refused(
            invocation("/", "", "", &[("x", b"a\r\nb")]),
            "the value of x can't be a header",
        );
    }
}
