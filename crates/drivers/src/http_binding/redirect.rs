//! Where an answer sends the request on to.

use http::header::{self, HeaderMap};
use http::{Method, StatusCode};

use super::request::Outgoing;
use crate::outbound::uri;

/// The request to make instead, if the answer is a redirect. 301, 302 and 303 become a `GET` without a body, 307 and 308
/// repeat the request as it was; credentials are not told to another host.
pub(super) fn follow(sent: &Outgoing, status: StatusCode, headers: &HeaderMap) -> Option<Outgoing> {
    let becomes_get = match status.as_u16() {
        301..=303 => true,
        307 | 308 => false,
        _ => return None,
    };
    let location = headers.get(header::LOCATION)?.to_str().ok()?;
    let mut next = sent.clone();
    next.url = uri::resolve(&sent.url, location)?;
    if becomes_get {
        if next.method != Method::HEAD {
            next.method = Method::GET;
        }
        next.body.clear();
        next.headers.remove(header::CONTENT_TYPE);
    }
    if next.url.authority() != sent.url.authority() {
        for name in [header::AUTHORIZATION, header::COOKIE, header::WWW_AUTHENTICATE] {
            next.headers.remove(name);
        }
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderValue, Uri};

    use super::*;

    fn followed(status: u16, location: &str) -> Option<Outgoing> {
        let mut own = HeaderMap::new();
        for name in ["authorization", "content-type", "x-one"] {
            own.insert(name, HeaderValue::from_static("v"));
        }
        let sent = Outgoing {
            method: Method::PUT,
            url: Uri::from_static("http://host:1/a"),
            headers: own,
            body: Bytes::from_static(b"data"),
        };
        let mut headers = HeaderMap::new();
        headers.insert("location", HeaderValue::from_str(location).expect("a header"));
        follow(&sent, StatusCode::from_u16(status).expect("a status"), &headers)
    }

    #[test]
    fn some_redirects_become_a_get() {
        for status in [301, 302, 303] {
            let next = followed(status, "/b").expect("it is a redirect");
            assert_eq!((next.method, next.body.len()), (Method::GET, 0), "{status}");
            assert!(!next.headers.contains_key("content-type") && next.headers.contains_key("authorization"));
        }
    }

    #[test]
    fn others_repeat_the_request() {
        for status in [307, 308] {
            let next = followed(status, "/b").expect("it is a redirect");
            assert_eq!((next.method, next.body.len()), (Method::PUT, 4), "{status}");
            assert_eq!(next.url.to_string(), "http://host:1/b");
        }
    }

    #[test]
    fn credentials_do_not_follow_to_another_host() {
        let next = followed(307, "http://other:1/b").expect("it is a redirect");
        assert!(!next.headers.contains_key("authorization") && next.headers.contains_key("x-one"));
    }

    #[test]
    fn other_statuses_are_no_redirects() {
        for status in [200, 300, 304, 404] {
            assert!(followed(status, "/b").is_none(), "{status}");
        }
    }
}
