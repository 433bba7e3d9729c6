//! The fields of an encoded message, without its descriptor.

use prost::encoding::{WireType, decode_key, decode_varint};

/// One value as it is on the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Raw<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(&'a [u8]),
}

/// The bytes are no protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

/// The fields of a message in the order of the wire; what is inside of groups is passed over.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
    groups_open: usize,
}

pub(crate) fn fields(message: &[u8]) -> Fields<'_> {
    Fields {
        rest: message,
        groups_open: 0,
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Raw<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(field) => field.map(Ok),
            Err(malformed) => {
                self.rest = &[];
                self.groups_open = 0;
                Some(Err(malformed))
            }
        }
    }
}

impl<'a> Fields<'a> {
    fn advance(&mut self) -> Result<Option<(u32, Raw<'a>)>, Malformed> {
        while !self.rest.is_empty() {
            let (number, wire_type) = decode_key(&mut self.rest).map_err(|_| Malformed)?;
            let value = match wire_type {
                WireType::StartGroup => {
                    self.groups_open += 1;
                    continue;
                }
                WireType::EndGroup => {
                    self.groups_open = self.groups_open.checked_sub(1).ok_or(Malformed)?;
                    continue;
                }
                scalar => self.value(scalar)?,
            };
            if self.groups_open == 0 {
                return Ok(Some((number, value)));
            }
        }
        match self.groups_open {
            0 => Ok(None),
            _ => Err(Malformed),
        }
    }

    fn value(&mut self, wire_type: WireType) -> Result<Raw<'a>, Malformed> {
        match wire_type {
            WireType::Varint => self.varint().map(Raw::Varint),
            WireType::SixtyFourBit => self.fixed().map(Raw::Fixed64),
            WireType::ThirtyTwoBit => self.fixed().map(Raw::Fixed32),
            WireType::LengthDelimited => {
                let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                self.take(length).map(Raw::Bytes)
            }
            WireType::StartGroup | WireType::EndGroup => Err(Malformed),
        }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        decode_varint(&mut self.rest).map_err(|_| Malformed)
    }

    fn fixed<const SIZE: usize>(&mut self) -> Result<[u8; SIZE], Malformed> {
        self.take(SIZE)?.try_into().map_err(|_| Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &[u8], expected: &[Result<(u32, Raw<'_>), Malformed>]) {
        assert_eq!(fields(message).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_wire_type_is_read() {
        check(&[0x08, 0x96, 0x01], &[Ok((1, Raw::Varint(150)))]);
        check(&[0x12, 2, b'h', b'i'], &[Ok((2, Raw::Bytes(b"hi")))]);
        check(
            &[0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8],
            &[
                Ok((3, Raw::Fixed32([1, 2, 3, 4]))),
                Ok((4, Raw::Fixed64([1, 2, 3, 4, 5, 6, 7, 8]))),
            ],
        );
    }

    #[test]
    fn groups_are_passed_over() {
        check(
            &[0x0b, 0x08, 7, 0x13, 0x14, 0x0c, 0x10, 1],
            &[Ok((2, Raw::Varint(1)))],
        );
    }

    #[test]
    fn what_is_cut_is_malformed() {
        check(&[0x08], &[Err(Malformed)]);
        check(&[0x12, 2, b'h'], &[Err(Malformed)]);
        check(&[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 1], &[Err(Malformed)]);
        check(&[0x1d, 1], &[Err(Malformed)]);
        check(&[0x0b], &[Err(Malformed)]);
        check(&[0x0c], &[Err(Malformed)]);
        check(&[0x00], &[Err(Malformed)]);
    }
}
