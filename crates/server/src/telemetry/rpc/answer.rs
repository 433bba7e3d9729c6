//! gRPC statuses as HTTP headers, and tonic's words for an oversized message in the reference's.

use base::codes;
use http::{HeaderMap, HeaderValue, Response};
use tonic::body::Body;

pub(super) const STATUS: &str = "grpc-status";
pub(super) const MESSAGE: &str = "grpc-message";

const UNKNOWN: i32 = 2;
const OUT_OF_RANGE: i32 = 11;

/// How tonic begins to say that a request's message is too large.
const TOO_LARGE: &str = "Error, decoded message length too large";

/// A status that this layer gives.
pub(super) struct Answer {
    pub(super) code: i32,
    message: String,
}

impl Answer {
    pub(super) fn panicked() -> Answer {
        Answer {
            code: codes::INTERNAL.kind.grpc(),
            message: format!(
                "{} ({}), the log says where",
                codes::INTERNAL.title,
                codes::INTERNAL.id
            ),
        }
    }

    pub(super) fn too_late() -> Answer {
        Answer {
            code: codes::DEADLINE_EXCEEDED.kind.grpc(),
            message: format!(
                "{} ({})",
                codes::DEADLINE_EXCEEDED.title,
                codes::DEADLINE_EXCEEDED.id
            ),
        }
    }

    pub(super) fn draining() -> Answer {
        Answer {
            code: base::Kind::Unavailable.grpc(),
            message: "belay is stopping, call again".to_owned(),
        }
    }

    pub(super) fn unimplemented(complaint: String) -> Answer {
        Answer {
            code: base::Kind::Unimplemented.grpc(),
            message: complaint,
        }
    }

    /// Layotto's words and its code.
    pub(super) fn limited() -> Answer {
        Answer {
            code: UNKNOWN,
            message: "current request is limited".to_owned(),
        }
    }

    /// A whole response that is nothing but the status.
    pub(super) fn response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let content_type = HeaderValue::from_static("application/grpc");
        response
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, content_type);
        self.write(response.headers_mut());
        response
    }

    /// The trailers that end a stream which has begun.
    pub(super) fn trailers(self) -> HeaderMap {
        let mut trailers = HeaderMap::with_capacity(2);
        self.write(&mut trailers);
        trailers
    }

    fn write(self, headers: &mut HeaderMap) {
        headers.insert(STATUS, HeaderValue::from(self.code));
        let message = HeaderValue::from_str(&encoded(&self.message)).expect("only printable ASCII is left");
        headers.insert(MESSAGE, message);
    }
}

/// gRPC's percent encoding: everything but printable ASCII, and the sign itself.
fn encoded(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => text.push(char::from(byte)),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// The status that these headers or trailers hold. No number at all is UNKNOWN, as clients see it.
pub(super) fn code(headers: &HeaderMap) -> Option<i32> {
    let status = headers.get(STATUS)?;
    Some(
        status
            .to_str()
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or(UNKNOWN),
    )
}

/// Replaces tonic's answer to an oversized message by the reference's, whose code clients test for.
pub(super) fn speak_as_reference(headers: &mut HeaderMap) {
    if code(headers) != Some(OUT_OF_RANGE) {
        return;
    }
    let message = headers.get(MESSAGE).and_then(|message| message.to_str().ok());
    let Some(message) = message.map(|message| message.replace("%20", " ")) else {
        return;
    };
    if !message.starts_with(TOO_LARGE) {
        return;
    }
    let sizes: Vec<&str> = message
        .split(|letter: char| !letter.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .collect();
    let [size, limit] = sizes[..] else { return };
    let answer = Answer {
        code: base::Kind::ResourceExhausted.grpc(),
        message: format!("grpc: received message larger than max ({size} vs. {limit})"),
    };
    answer.write(headers);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(encoded("100 % of ü\n"), "100 %25 of %C3%BC%0A");
    }

    #[test]
    fn another_out_of_range_keeps_its_words() {
        let mut headers = tonic::Status::out_of_range("index 5")
            .into_http::<()>()
            .into_parts()
            .0
            .headers;
        speak_as_reference(&mut headers);
        assert_eq!(code(&headers), Some(OUT_OF_RANGE));
    }

    #[test]
    fn a_status_that_is_no_number_is_unknown() {
        let mut headers = HeaderMap::new();
        assert_eq!(code(&headers), None);
        headers.insert(STATUS, HeaderValue::from_static("fine"));
        assert_eq!(code(&headers), Some(UNKNOWN));
    }
}
