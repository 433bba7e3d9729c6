//! Names of machines and of their rows.

use bytes::{BufMut, Bytes, BytesMut};

/// Which machine. All its rows begin with it and live in one partition, which [`Address::hash`] decides.
///
/// | first byte | machine | then |
/// |---|---|---|
/// | `p` | primitive | store, name |
/// | `i` | invocation | partition key (8 bytes), 16 bytes of its own |
/// | `o` | virtual object or workflow | partition key (8 bytes), service, key |
/// | `e` | entity | persistence id, id |
///
/// Texts stand with their length in front (four bytes, big endian), so that no two addresses meet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Bytes);

impl Address {
    /// A primitive of a store. Names are one space for all types of primitives.
    pub fn primitive(store: &str, name: &str) -> Address {
        let mut bytes = BytesMut::with_capacity(9 + store.len() + name.len());
        bytes.put_u8(b'p');
        put_text(&mut bytes, store);
        put_text(&mut bytes, name);
        Address(bytes.freeze())
    }

    /// Of bytes that are one already.
    pub fn of(bytes: Bytes) -> Address {
        Address(bytes)
    }

    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// FNV-1a, 64 bits, of the partition key where there is one: an invocation and its object meet. Stored data rests on it: it
    /// never changes.
    pub fn hash(&self) -> u64 {
        let hashed = match self.0.first() {
            Some(b'i' | b'o') => self.0.get(1..9).unwrap_or(&self.0),
            _ => &self.0,
        };
        hashed.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        })
    }
}

pub(crate) fn put_text(bytes: &mut BytesMut, text: &str) {
    bytes.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    bytes.put_slice(text.as_bytes());
}

pub(crate) fn split_text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (text, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

/// What kind of row. The host knows what to do with each after a commit and at a start; a machine's own rows mean nothing
/// to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Rows that belong to one machine.
    Machine,
    /// A [`Message`](crate::Message) for a machine at a time: due (8 bytes, big endian, ms), address, id.
    Timer,
    /// What a session holds: address, session. Found again at a start, when every connection is gone.
    Session,
    /// A conversation with user code that a machine wants: address. Begun again at every start, until the machine hangs up.
    Conversation,
    /// A [`Letter`](crate::message::Letter) to another partition: that partition, number. Written by the host.
    Letter,
    /// How far the letters of another partition were received: that partition. Written by the host.
    Received,
}

impl Table {
    pub const ALL: [Table; 6] = [
        Table::Machine,
        Table::Timer,
        Table::Session,
        Table::Conversation,
        Table::Letter,
        Table::Received,
    ];

    /// Its byte in a stored key.
    pub fn byte(self) -> u8 {
        match self {
            Table::Machine => b'm',
            Table::Timer => b't',
            Table::Session => b's',
            Table::Conversation => b'c',
            Table::Letter => b'l',
            Table::Received => b'r',
        }
    }
}

/// A row's name within its partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub table: Table,
    pub bytes: Bytes,
}

impl Key {
    /// The row that every machine begins with.
    pub fn head(address: &Address) -> Key {
        Key::part(address, 0, &[])
    }

    /// A further row of a machine: `part` tells its kinds apart, 0 is the head's.
    pub fn part(address: &Address, part: u8, suffix: &[u8]) -> Key {
        let mut bytes = BytesMut::with_capacity(3 + address.0.len() + suffix.len());
        put_address(&mut bytes, address);
        bytes.put_u8(part);
        bytes.put_slice(suffix);
        Key {
            table: Table::Machine,
            bytes: bytes.freeze(),
        }
    }

    /// What follows `address` and `part` in a row's name.
    pub fn suffix<'a>(address: &Address, key: &'a [u8]) -> &'a [u8] {
        key.get(3 + address.0.len()..).unwrap_or_default()
    }

    /// Which machine's row it is, of which part, and its suffix.
    pub fn decode_part(&self) -> Option<(Address, u8, Bytes)> {
        let (address, rest) = split_address(&self.bytes)?;
        let part = *rest.first()?;
        Some((address, part, rest.slice(1..)))
    }

    pub fn timer(due: u64, address: &Address, id: &[u8]) -> Key {
        let mut bytes = BytesMut::with_capacity(10 + address.0.len() + id.len());
        bytes.put_u64(due);
        put_address(&mut bytes, address);
        bytes.put_slice(id);
        Key {
            table: Table::Timer,
            bytes: bytes.freeze(),
        }
    }

    /// When a timer is due, and whose it is.
    pub fn decode_timer(key: &Bytes) -> Option<(u64, Address)> {
        let due = u64::from_be_bytes(key.get(..8)?.try_into().ok()?);
        let (address, _) = split_address(&key.slice(8..))?;
        Some((due, address))
    }

    pub fn session(address: &Address, session: Session) -> Key {
        let mut bytes = BytesMut::with_capacity(18 + address.0.len());
        put_address(&mut bytes, address);
        bytes.put_slice(&session.0.to_be_bytes());
        Key {
            table: Table::Session,
            bytes: bytes.freeze(),
        }
    }

    pub fn conversation(address: &Address) -> Key {
        let mut bytes = BytesMut::with_capacity(2 + address.0.len());
        put_address(&mut bytes, address);
        Key {
            table: Table::Conversation,
            bytes: bytes.freeze(),
        }
    }

    pub fn decode_conversation(key: &Bytes) -> Option<Address> {
        let (address, rest) = split_address(key)?;
        rest.is_empty().then_some(address)
    }

    pub fn letter(to: u16, number: u64) -> Key {
        let mut bytes = BytesMut::with_capacity(10);
        bytes.put_u16(to);
        bytes.put_u64(number);
        Key {
            table: Table::Letter,
            bytes: bytes.freeze(),
        }
    }

    /// Which partition a letter is for, and its number.
    pub fn decode_letter(key: &Bytes) -> Option<(u16, u64)> {
        let (to, number) = key.split_first_chunk::<2>()?;
        Some((
            u16::from_be_bytes(*to),
            u64::from_be_bytes(number.try_into().ok()?),
        ))
    }

    pub fn received(from: u16) -> Key {
        Key {
            table: Table::Received,
            bytes: Bytes::copy_from_slice(&from.to_be_bytes()),
        }
    }

    pub fn decode_session(key: &Bytes) -> Option<(Address, Session)> {
        let (address, session) = split_address(key)?;
        let session = u128::from_be_bytes(session.as_ref().try_into().ok()?);
        Some((address, Session(session)))
    }
}

fn put_address(bytes: &mut BytesMut, address: &Address) {
    bytes.put_u16(u16::try_from(address.0.len()).unwrap_or(u16::MAX));
    bytes.put_slice(&address.0);
}

fn split_address(bytes: &Bytes) -> Option<(Address, Bytes)> {
    let length = usize::from(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?));
    bytes.get(2..2 + length)?;
    Some((Address(bytes.slice(2..2 + length)), bytes.slice(2 + length..)))
}

/// Who holds a lock or is a candidate: one client's connection, new for every connection, restarts included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Session(pub u128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_do_not_meet() {
        assert_ne!(Address::primitive("a", "bc"), Address::primitive("ab", "c"));
    }

    #[test]
    fn timers_and_sessions_are_read_back_from_their_keys() {
        let address = Address::primitive("store", "lock");
        let timer = Key::timer(77, &address, b"id");
        assert_eq!(Key::decode_timer(&timer.bytes), Some((77, address.clone())));
        let session = Key::session(&address, Session(5));
        assert_eq!(
            Key::decode_session(&session.bytes),
            Some((address.clone(), Session(5)))
        );
        let conversation = Key::conversation(&address);
        assert_eq!(Key::decode_conversation(&conversation.bytes), Some(address));
        assert_eq!(Key::decode_letter(&Key::letter(3, 9).bytes), Some((3, 9)));
        let part = Key::part(&Address::primitive("s", "n"), 2, b"suffix").decode_part();
        let expected = (Address::primitive("s", "n"), 2, Bytes::from_static(b"suffix"));
        assert_eq!(part, Some(expected));
    }

    #[test]
    fn a_broken_key_is_no_timer() {
        assert_eq!(
            Key::decode_timer(&Bytes::from_static(b"\0\0\0\0\0\0\0\x01\0\x09abc")),
            None
        );
        assert_eq!(Key::decode_session(&Bytes::new()), None);
        assert_eq!(Key::decode_conversation(&Bytes::from_static(b"\0\x01ab")), None);
        assert_eq!(Key::decode_letter(&Bytes::from_static(b"\0\x01abc")), None);
    }
}
