//! `google.api.HttpBody`: a message that is an HTTP body of any content type, not JSON.

use bytes::Bytes;
use prost_reflect::MessageDescriptor;

/// Without its extensions.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HttpBody {
    #[prost(string, tag = "1")]
    pub(crate) content_type: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: Bytes,
}

pub(crate) fn is_http_body(message: &MessageDescriptor) -> bool {
    message.full_name() == "google.api.HttpBody"
}
