//! Which entity.

use bytes::{BufMut, Bytes, BytesMut};

use crate::key::{Address, put_text, split_text};

impl Address {
    /// What a user function calls the state (its persistence id), and the entity's own id.
    pub fn entity(persistence_id: &str, id: &str) -> Address {
        let mut bytes = BytesMut::with_capacity(9 + persistence_id.len() + id.len());
        bytes.put_u8(b'e');
        put_text(&mut bytes, persistence_id);
        put_text(&mut bytes, id);
        Address::of(bytes.freeze())
    }

    /// What the names of the rows of all entities begin with whose addresses have that length: rows are in the order of the
    /// lengths first.
    pub fn entities(length: u16) -> Bytes {
        let mut bytes = BytesMut::with_capacity(3);
        bytes.put_u16(length);
        bytes.put_u8(b'e');
        bytes.freeze()
    }

    /// The same, of entities of one persistence id.
    pub fn entities_of(length: u16, persistence_id: &str) -> Bytes {
        let mut bytes = BytesMut::from(&Address::entities(length)[..]);
        put_text(&mut bytes, persistence_id);
        bytes.freeze()
    }

    /// The entity that this address is of: persistence id and id.
    pub fn entity_name(&self) -> Option<(&str, &str)> {
        let rest = self.bytes().strip_prefix(b"e")?;
        let (persistence_id, rest) = split_text(rest)?;
        let (id, rest) = split_text(rest)?;
        rest.is_empty().then_some((persistence_id, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    #[test]
    fn entities_are_read_back_from_their_addresses() {
        let address = Address::entity("carts", "");
        assert_eq!(address.entity_name(), Some(("carts", "")));
        assert_eq!(Address::primitive("carts", "a").entity_name(), None);
        assert_eq!(
            Address::of(Bytes::from_static(b"e\0\0\0\x09abc")).entity_name(),
            None
        );
    }

    #[test]
    fn names_of_rows_begin_as_they_are_said_to() {
        let address = Address::entity("carts", "a");
        let length = u16::try_from(address.bytes().len()).expect("it is short");
        let name = Key::head(&address).bytes;
        assert!(name.starts_with(&Address::entities(length)));
        assert!(name.starts_with(&Address::entities_of(length, "carts")));
        assert!(!name.starts_with(&Address::entities_of(length, "cart")));
    }
}
