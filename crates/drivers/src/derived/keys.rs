//! Where the rows of every derived component are: one table, so that no two of them can meet.
//!
//! | rows | keyspace | key | value |
//! |---|---|---|---|
//! | state | State | `s/` ⟨component⟩ key | [`super::state`] |
//! | lock | State | `l/` ⟨component⟩ key | [`super::lock`] |
//! | sequencer | State | `n/` ⟨component⟩ key | a counter as [`ports::kv::Write::Add`] keeps it: 8 bytes, little endian |
//! | configuration item | State | `c/` ⟨component⟩ ⟨app⟩ ⟨group⟩ ⟨label⟩ key | [`super::config`] |
//! | configuration log | Journal | `c/` ⟨component⟩ position | [`super::config`] |
//! | rows ever appended to it | State | `a/` ⟨component⟩ `rows` | a counter as above |
//! | how far it is trimmed | State | `t/` ⟨component⟩ `mark` | [`super::config`] |
//! | event | Journal | `p/` ⟨component⟩ ⟨topic⟩ position | [`super::pubsub`] |
//! | consumer group | State | `p/` ⟨component⟩ ⟨topic⟩ group | [`super::pubsub`] |
//! | refused event, while it waits | Journal | `q/` ⟨component⟩ ⟨topic⟩ ⟨group⟩ position | [`super::pubsub`] |
//! | when it is due | State | `q/` ⟨component⟩ ⟨topic⟩ ⟨group⟩ position | [`super::pubsub`] |
//! | ownership | State | `\0owner/` partition, see [`ports::kv::Fence::key`] | [`super::ownership`] |
//!
//! A tag is two bytes, a letter and a slash. ⟨text⟩ is the text with every byte 0 written as `00 FF`, closed by `00 01`. So no
//! ⟨text⟩ is a prefix of another, neither its end nor a tag can be forged by what a text contains, and rows are in the order
//! of their texts. A length in front would do the first two and spoil the order. What stands last (a user's key, a
//! position) is written as it is. Texts without a byte 0, which is all that people write, cost two bytes.

use base::{Error, Result, codes, limits};
use bytes::Bytes;
use ports::kv::{Key, Keyspace};

/// What kind of rows a key belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag(pub(crate) [u8; 2]);

pub(crate) const STATE: Tag = Tag(*b"s/");
pub(crate) const LOCK: Tag = Tag(*b"l/");
pub(crate) const SEQUENCER: Tag = Tag(*b"n/");
pub(crate) const CONFIG: Tag = Tag(*b"c/");
pub(crate) const CONFIG_ROWS: Tag = Tag(*b"a/");
pub(crate) const CONFIG_MARK: Tag = Tag(*b"t/");
pub(crate) const TOPIC: Tag = Tag(*b"p/");
pub(crate) const PARKED: Tag = Tag(*b"q/");

const ZERO: [u8; 2] = [0, 0xff];
const END: [u8; 2] = [0, 1];

/// The beginning that some rows share, and no others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prefix(Bytes);

impl Prefix {
    pub(crate) fn of(tag: Tag, component: &str) -> Prefix {
        Prefix(Bytes::copy_from_slice(&tag.0)).with(component)
    }

    /// Narrowed down by one more text.
    pub(crate) fn with(&self, text: &str) -> Prefix {
        let mut bytes = Vec::with_capacity(self.0.len() + text.len() + END.len());
        bytes.extend_from_slice(&self.0);
        for byte in text.bytes() {
            match byte {
                0 => bytes.extend_from_slice(&ZERO),
                _ => bytes.push(byte),
            }
        }
        bytes.extend_from_slice(&END);
        Prefix(bytes.into())
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// The row of the State keyspace that a user's key names. An empty key, or one that is too long behind this prefix, is
    /// refused.
    pub(crate) fn row(&self, key: &str) -> Result<Key> {
        let bytes_max = limits::KEY_BYTES_MAX.saturating_sub(self.0.len());
        if key.is_empty() || key.len() > bytes_max {
            let message = format!("a key has {} bytes, it may have 1 to {bytes_max} here", key.len());
            return Err(Error::new(codes::KEY_INVALID, message));
        }
        Ok(self.fixed(key))
    }

    /// A row of the State keyspace that this code names itself.
    pub(crate) fn fixed(&self, name: &str) -> Key {
        Key {
            keyspace: Keyspace::State,
            bytes: [&self.0[..], name.as_bytes()].concat().into(),
        }
    }
}

/// The texts of a key behind a prefix of `skip` bytes: `count` closed ones, then the last one as it is. `None`: not such a key.
pub(crate) fn split(key: &[u8], skip: usize, count: usize) -> Option<Vec<String>> {
    let mut rest = key.get(skip..)?;
    let mut texts = Vec::with_capacity(count + 1);
    for _ in 0..count {
        let (text, behind) = closed(rest)?;
        texts.push(text);
        rest = behind;
    }
    texts.push(String::from_utf8(rest.to_vec()).ok()?);
    Some(texts)
}

/// The closed text at the beginning, and what is behind it.
pub(crate) fn closed(mut rest: &[u8]) -> Option<(String, &[u8])> {
    let mut text = vec![];
    loop {
        let (byte, behind) = match rest {
            [0, 0xff, behind @ ..] => (0, behind),
            [0, 1, behind @ ..] => return Some((String::from_utf8(text).ok()?, behind)),
            [0, ..] | [] => return None,
            [byte, behind @ ..] => (*byte, behind),
        };
        text.push(byte);
        rest = behind;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts that are likely to meet: with zeros, slashes, and each other's beginnings.
    fn text() -> impl Strategy<Value = String> {
        "[\0\u{1}/ab\u{ff}]{0,4}"
    }

    fn config_row(texts: &[String; 5]) -> Vec<u8> {
        let [component, app, group, label, key] = texts;
        let scope = Prefix::of(CONFIG, component).with(app).with(group).with(label);
        scope.fixed(key).bytes.to_vec()
    }

    proptest! {
        #[test]
        fn different_texts_have_different_rows_in_their_order(
            left in prop::array::uniform5(text()), right in prop::array::uniform5(text()),
        ) {
            prop_assert_eq!(config_row(&left).cmp(&config_row(&right)), left.cmp(&right));
        }

        #[test]
        fn no_prefix_reaches_into_another(left in text(), right in text(), key in text()) {
            let row = Prefix::of(STATE, &left).fixed(&key);
            let inside = row.bytes.starts_with(Prefix::of(STATE, &right).bytes());
            prop_assert_eq!(inside, left == right);
        }

        #[test]
        fn texts_are_read_back(texts in prop::array::uniform5(text())) {
            let skip = Prefix::of(CONFIG, &texts[0]).bytes().len();
            prop_assert_eq!(split(&config_row(&texts), skip, 3), Some(texts[1..].to_vec()));
        }
    }

    #[test]
    fn a_component_cannot_reach_into_another_by_its_name() {
        let plain = Prefix::of(STATE, "a").fixed("b/c");
        let sly = Prefix::of(STATE, "a/b").fixed("c");
        assert_ne!(plain, sly);
        assert_eq!(plain.bytes, "s/a\0\u{1}b/c");
    }

    #[test]
    fn tags_are_told_apart() {
        let tags = [
            STATE,
            LOCK,
            SEQUENCER,
            CONFIG,
            CONFIG_ROWS,
            CONFIG_MARK,
            TOPIC,
            PARKED,
        ];
        for (index, tag) in tags.iter().enumerate() {
            assert!(tags[..index].iter().all(|other| other != tag), "{tag:?}");
            assert_ne!(tag.0[0], 0, "the owners' rows begin with a zero");
        }
    }

    #[test]
    fn keys_out_of_bounds_are_refused() {
        let prefix = Prefix::of(STATE, "a");
        let longest = "k".repeat(limits::KEY_BYTES_MAX - prefix.bytes().len());
        assert_eq!(
            prefix.row(&longest).map(|key| key.bytes.len()).ok(),
            Some(limits::KEY_BYTES_MAX)
        );
        for key in ["", &format!("{longest}k")] {
            let error = prefix.row(key).expect_err("out of bounds");
            assert_eq!(error.code(), codes::KEY_INVALID);
        }
    }

    #[test]
    fn damaged_keys_are_not_read() {
        for key in [&b"c/a"[..], b"c/a\0", b"c/a\0\x02b", b"c"] {
            assert_eq!(split(key, 2, 1), None);
        }
    }
}
