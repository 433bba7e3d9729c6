//! A stored row: header, then the value.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format 1, plus [`EXPIRES`] when an expiry follows |
//! | 8 | version, little endian |
//! | 0 or 8 | expiry, milliseconds since the epoch, little endian |
//! | rest | value |

use base::{Error, Result, Timestamp, codes};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use ports::kv::{Entry, Version};

const FORMAT: u8 = 1;
const EXPIRES: u8 = 0x80;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) value: Bytes,
    pub(crate) version: Version,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Row {
    pub(crate) fn expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    pub(crate) fn into_entry(self) -> Entry {
        Entry {
            value: self.value,
            version: self.version,
            expires_at: self.expires_at,
        }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(17 + self.value.len());
        bytes.put_u8(FORMAT | if self.expires_at.is_some() { EXPIRES } else { 0 });
        bytes.put_u64_le(self.version.0);
        if let Some(at) = self.expires_at {
            bytes.put_u64_le(at.0);
        }
        bytes.put_slice(&self.value);
        bytes.freeze()
    }

    /// Shares the bytes, copies nothing.
    pub(crate) fn decode(mut bytes: Bytes) -> Result<Row> {
        let head = *bytes.first().ok_or_else(|| unreadable("it is empty"))?;
        if head & !EXPIRES != FORMAT {
            return Err(unreadable(&format!("its format is {}", head & !EXPIRES)));
        }
        let header = if head & EXPIRES == 0 { 9 } else { 17 };
        if bytes.len() < header {
            return Err(unreadable("its header is cut short"));
        }
        bytes.advance(1);
        let version = Version(bytes.get_u64_le());
        let expires_at = (head & EXPIRES != 0).then(|| Timestamp(bytes.get_u64_le()));
        Ok(Row {
            value: bytes,
            version,
            expires_at,
        })
    }
}

fn unreadable(why: &str) -> Error {
    Error::new(
        codes::STORED_ROW_UNREADABLE,
        format!("a stored row cannot be decoded: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes as written by the first version: they must stay readable.
    const FIXTURE: &[u8] = &[0x81, 7, 0, 0, 0, 0, 0, 0, 0, 0xe8, 3, 0, 0, 0, 0, 0, 0, b'v'];

    #[test]
    fn rows_of_the_first_format_are_read() {
        let row = Row::decode(Bytes::from_static(FIXTURE)).expect("a good row");
        let expected = Row {
            value: "v".into(),
            version: Version(7),
            expires_at: Some(Timestamp(1000)),
        };
        assert_eq!(row, expected);
        assert_eq!(row.encode(), FIXTURE);
    }

    #[test]
    fn damaged_rows_are_refused() {
        for bytes in [&[][..], &[9][..], &FIXTURE[..10]] {
            let error = Row::decode(Bytes::copy_from_slice(bytes)).expect_err("a damaged row");
            assert_eq!(error.code(), codes::STORED_ROW_UNREADABLE);
        }
    }
}
