//! How rows are stored: a format number, then a protobuf message, so that a later Belay can add fields and read old rows.

use base::{Error, Result, codes};
use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

/// What a row holds. Fields are never renumbered; a change that protobuf cannot bear takes a new [`Stored::FORMAT`].
pub trait Stored: Message + Default {
    const FORMAT: u8 = 1;

    fn to_row(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(1 + self.encoded_len());
        bytes.put_u8(Self::FORMAT);
        self.encode_raw(&mut bytes);
        bytes.freeze()
    }

    /// Errors: `STORED_ROW_UNREADABLE` when the bytes are not such a row.
    fn from_row(row: &Bytes) -> Result<Self> {
        let damaged = |why: String| {
            let message = format!("a stored {} cannot be read: {why}", std::any::type_name::<Self>());
            Error::new(codes::STORED_ROW_UNREADABLE, message)
        };
        match row.first() {
            Some(format) if *format == Self::FORMAT => {
                Self::decode(row.slice(1..)).map_err(|cause| damaged(cause.to_string()))
            }
            Some(format) => Err(damaged(format!("format {format} is unknown"))),
            None => Err(damaged("it is empty".into())),
        }
    }
}
