//! Which invocation, and which object: names that put an invocation and what it works on into one partition.

use bytes::{BufMut, Bytes, BytesMut};

use crate::key::{Address, put_text};

/// 24 bytes: 8 of the partition key, which are the first, and 16 of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 24]);

impl Id {
    /// Of a row or a letter; `None` if these are not 24 bytes.
    pub fn of(bytes: &[u8]) -> Option<Id> {
        bytes.try_into().ok().map(Id)
    }

    pub fn partition_key(&self) -> [u8; 8] {
        self.0.first_chunk().copied().unwrap_or_default()
    }

    pub fn bytes(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

impl Address {
    pub fn invocation(id: &Id) -> Address {
        let mut bytes = BytesMut::with_capacity(25);
        bytes.put_u8(b'i');
        bytes.put_slice(&id.0);
        Address::of(bytes.freeze())
    }

    /// The invocation that this address is of.
    pub fn invocation_id(&self) -> Option<Id> {
        match self.bytes().split_first() {
            Some((b'i', id)) => Id::of(id),
            _ => None,
        }
    }

    /// A virtual object or a workflow: where its state, its queue and its promises are.
    pub fn object(partition_key: [u8; 8], service: &str, key: &str) -> Address {
        let mut bytes = BytesMut::with_capacity(17 + service.len() + key.len());
        bytes.put_u8(b'o');
        bytes.put_slice(&partition_key);
        put_text(&mut bytes, service);
        put_text(&mut bytes, key);
        Address::of(bytes.freeze())
    }
}
