//! Which web pages may call: those of this machine, and those that were named.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};

/// The page's origin, if it may call.
pub(super) fn allowed(headers: &HeaderMap, named: &[String]) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let text = origin.to_str().ok()?;
    let is_named = named.iter().any(|name| name == "*" || name == text);
    (is_named || is_local(text)).then(|| origin.clone())
}

fn is_local(origin: &str) -> bool {
    let uri = origin.parse::<Uri>().unwrap_or_default();
    let host = uri.host().unwrap_or_default();
    matches!(host, "localhost" | "127.0.0.1" | "[::1]") || host.ends_with(".localhost")
}

/// Whether a browser asks if it may ask.
pub(super) fn preflight(request: &Request<Body>) -> bool {
    let headers = request.headers();
    request.method() == Method::OPTIONS
        && headers.contains_key(header::ORIGIN)
        && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// For an origin that may call; others get it without their origin, which browsers take for a no.
pub(super) fn permission(asked: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    for (from, to) in [
        (
            header::ACCESS_CONTROL_REQUEST_METHOD,
            header::ACCESS_CONTROL_ALLOW_METHODS,
        ),
        (
            header::ACCESS_CONTROL_REQUEST_HEADERS,
            header::ACCESS_CONTROL_ALLOW_HEADERS,
        ),
    ] {
        if let Some(value) = asked.get(from) {
            headers.insert(to, value.clone());
        }
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

pub(super) fn expose(response: &mut Response<Body>, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let exposed = HeaderValue::from_static("grpc-status, grpc-message, grpc-status-details-bin");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(origin: &str, named: &[&str], expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ORIGIN, HeaderValue::from_str(origin).expect("a header"));
        let named: Vec<String> = named.iter().map(ToString::to_string).collect();
        assert_eq!(
            allowed(&headers, &named).is_some(),
            expected,
            "{origin} {named:?}"
        );
    }

    #[test]
    fn pages_of_this_machine_and_named_ones_may_call() {
        check("http://localhost:3000", &[], true);
        check("https://127.0.0.1", &[], true);
        check("http://[::1]:8080", &[], true);
        check("https://example.com", &[], false);
        check("https://localhost.example.com", &[], false);
        check("null", &[], false);
        check("https://example.com", &["https://example.com"], true);
        check("https://example.org", &["https://example.com"], false);
        check("https://example.org", &["*"], true);
    }
}
