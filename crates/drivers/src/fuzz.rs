//! Entry points for fuzzers: one per kind of stored bytes. `fuzz/` drives them with libFuzzer, the tests here with damaged
//! samples. None may panic, whatever the bytes are.

use bytes::Bytes;

use crate::derived::{config, keys, pubsub};
use crate::kv::Row;

/// A row of the engine. What is read is written the same.
pub fn row(bytes: &[u8]) {
    if let Ok(row) = Row::decode(Bytes::copy_from_slice(bytes)) {
        assert_eq!(row.encode(), bytes);
    }
}

/// Values and keys of derived components.
pub fn records(bytes: &[u8]) {
    pubsub::decode_any(bytes);
    config::decode_any(&Bytes::copy_from_slice(bytes));
    let _ = keys::split(bytes, 1, 3);
    if let Some((text, rest)) = keys::closed(bytes) {
        let written = keys::Prefix::of(keys::STATE, &text);
        assert_eq!(keys::closed(&written.bytes()[2..]), Some((text, &b""[..])));
        assert!(rest.len() < bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use testkit::mutate::storm;

    #[test]
    fn rows_of_any_bytes_are_read_or_refused() {
        let samples: [&[u8]; 3] = [
            b"\x01\x07\0\0\0\0\0\0\0v",
            b"\x81\x07\0\0\0\0\0\0\0\xe8\x03\0\0\0\0\0\0v",
            b"",
        ];
        storm(&samples, 100_000, super::row);
    }

    #[test]
    fn records_of_any_bytes_are_read_or_refused() {
        let samples: [&[u8]; 7] = [
            b"\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\x01\x02\x01\x00\x00",
            b"\x01\x01\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0{\"id\":1}",
            b"\x01\x03\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x10\0\0\0",
            b"\x01{\"content\":\"c\",\"tags\":{\"a\":\"b\"}}",
            b"\x01\x01\0\0\0\0\0\0\0{\"app\":\"a\",\"items\":[{\"group\":\"g\",\"label\":\"l\",\"key\":\"k\",\"content\":\"c\"}]}",
            b"capp\0\x01gro\0\xffup\0\x01label\0\x01key",
            b"\x01\0\0\0\0\0\0\0\x01\0\x02\x03\0\0\0\0\0\0\0",
        ];
        storm(&samples, 100_000, super::records);
    }
}
