//! Which invocation, and which object: names that put an invocation and what it works on into one partition.

use bytes::{BufMut, Bytes, BytesMut};

use crate::key::{Address, put_text, split_text};

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

    /// What the names of the rows of all invocations begin with: of those that have that partition key, if one is given. They
    /// come in the order of their ids.
    pub fn invocations(partition_key: Option<[u8; 8]>) -> Bytes {
        let mut bytes = BytesMut::with_capacity(11);
        bytes.put_u16(25);
        bytes.put_u8(b'i');
        bytes.put_slice(partition_key.as_ref().map_or(&[], |key| &key[..]));
        bytes.freeze()
    }

    /// What the names of the rows of all objects begin with whose addresses have that length: rows are in the order of the
    /// lengths first.
    pub fn objects(length: u16) -> Bytes {
        let mut bytes = BytesMut::with_capacity(3);
        bytes.put_u16(length);
        bytes.put_u8(b'o');
        bytes.freeze()
    }

    /// The object that this address is of: its partition key, its service and its key.
    pub fn object_name(&self) -> Option<([u8; 8], &str, &str)> {
        let rest = self.bytes().strip_prefix(b"o")?;
        let (partition_key, rest) = rest.split_first_chunk::<8>()?;
        let (service, rest) = split_text(rest)?;
        let (key, rest) = split_text(rest)?;
        rest.is_empty().then_some((*partition_key, service, key))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    #[test]
    fn objects_are_read_back_from_their_addresses() {
        let address = Address::object([7; 8], "Counter", "a");
        assert_eq!(address.object_name(), Some(([7; 8], "Counter", "a")));
        assert_eq!(Address::invocation(&Id([7; 24])).object_name(), None);
        assert_eq!(
            Address::of(Bytes::from_static(b"o1234567\0\0\0\x09abc")).object_name(),
            None
        );
    }

    #[test]
    fn names_of_rows_begin_as_they_are_said_to() {
        let invocation = Key::head(&Address::invocation(&Id([7; 24])));
        assert!(invocation.bytes.starts_with(&Address::invocations(None)));
        assert!(invocation.bytes.starts_with(&Address::invocations(Some([7; 8]))));
        let address = Address::object([7; 8], "Counter", "a");
        let length = u16::try_from(address.bytes().len()).expect("it is short");
        assert!(Key::head(&address).bytes.starts_with(&Address::objects(length)));
    }
}
