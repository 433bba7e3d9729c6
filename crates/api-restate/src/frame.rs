//! Frames: a header of 8 bytes, big endian (type, flags, length), then a protobuf message.

use base::limits;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

/// Of one that wants to be acknowledged.
pub(crate) const WANTS_ACK: u16 = 0x8000;

const HEADER_BYTES: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u16,
    /// Those that nobody knows are passed over.
    pub(crate) flags: u16,
    pub(crate) body: Bytes,
}

/// A message is larger than it may be: its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge(pub(crate) usize);

/// Pieces come in as they are read, frames go out whole.
#[derive(Default)]
pub(crate) struct Decoder(BytesMut);

impl Decoder {
    pub(crate) fn push(&mut self, piece: &Bytes) {
        self.0.extend_from_slice(piece);
    }

    /// `None`: more is needed.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, TooLarge> {
        let Some(header) = self.0.first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let mut header = header.as_slice();
        let (kind, flags) = (header.get_u16(), header.get_u16());
        let length = header.get_u32() as usize;
        if length > limits::RESTATE_MESSAGE_BYTES_MAX {
            return Err(TooLarge(length));
        }
        if self.0.len() < HEADER_BYTES + length {
            return Ok(None);
        }
        self.0.advance(HEADER_BYTES);
        let body = self.0.split_to(length).freeze();
        Ok(Some(Frame { kind, flags, body }))
    }
}

pub(crate) fn put(to: &mut BytesMut, kind: u16, flags: u16, message: &impl Message) {
    put_header(to, kind, flags, message.encoded_len());
    message.encode_raw(to);
}

/// A body that is encoded already.
pub(crate) fn put_raw(to: &mut BytesMut, kind: u16, flags: u16, body: &Bytes) {
    put_header(to, kind, flags, body.len());
    to.put_slice(body);
}

fn put_header(to: &mut BytesMut, kind: u16, flags: u16, length: usize) {
    to.reserve(HEADER_BYTES + length);
    to.put_u16(kind);
    to.put_u16(flags);
    to.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let mut bytes = BytesMut::new();
        put_raw(&mut bytes, 3, 0, &Bytes::new());
        put_raw(&mut bytes, 0x0401, WANTS_ACK, &Bytes::from_static(b"abc"));
        let bytes = bytes.freeze();
        for cut in 0..bytes.len() {
            let mut decoder = Decoder::default();
            let mut frames = vec![];
            for piece in [bytes.slice(..cut), bytes.slice(cut..)] {
                decoder.push(&piece);
                while let Some(frame) = decoder.next().expect("small frames") {
                    frames.push((frame.kind, frame.flags, frame.body));
                }
            }
            let expected = [
                (3, 0, Bytes::new()),
                (0x0401, WANTS_ACK, Bytes::from_static(b"abc")),
            ];
            assert_eq!(frames, expected, "cut at {cut}");
        }
    }

    #[test]
    fn a_message_that_is_too_large_is_known_by_its_header() {
        let mut decoder = Decoder::default();
        decoder.push(&Bytes::from_static(&[0, 3, 0, 0, 0xff, 0, 0, 0]));
        assert_eq!(decoder.next(), Err(TooLarge(0xff00_0000)));
    }
}
