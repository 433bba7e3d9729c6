//! How keys look in stores: the reference's layouts to the letter, because both kinds of sidecar may share a store.

use tonic::Status;

use crate::components::{Prefix, SEPARATOR};
use crate::error;

/// What a layout is made from, besides the key.
#[derive(Clone, Copy)]
pub(crate) struct Layout<'a> {
    pub prefix: &'a Prefix,
    pub app_id: &'a str,
    pub store_name: &'a str,
}

impl<'a> Layout<'a> {
    /// A state key in its store; `None` when it is the request's key unchanged, which is the common case.
    ///
    /// `<key>`, or `<part>||<key>`.
    pub(crate) fn state(&self, key: &str) -> Result<Option<String>, Status> {
        check(key)?;
        Ok(self.part().map(|part| [part, SEPARATOR, key].concat()))
    }

    /// A lock in its store: `lock|||<key>`, or `lock|||<part>||<key>`.
    pub(crate) fn lock(&self, key: &str) -> Result<String, Status> {
        check(key)?;
        Ok(self.behind("lock|||", key))
    }

    /// A sequence in its store: `sequencer|||<key>`, or `sequencer|||<part>||<key>`. Check the key first.
    pub(crate) fn sequence(&self, key: &str) -> String {
        self.behind("sequencer|||", key)
    }

    fn behind(&self, block: &str, key: &str) -> String {
        match self.part() {
            Some(part) => [block, part, SEPARATOR, key].concat(),
            None => [block, key].concat(),
        }
    }

    /// What tells keys of one user of a store from those of another. An empty application id tells nothing and leaves its
    /// separator out as well.
    fn part(&self) -> Option<&'a str> {
        match self.prefix {
            Prefix::None => None,
            Prefix::AppId => Some(self.app_id).filter(|id| !id.is_empty()),
            Prefix::StoreName => Some(self.store_name),
            Prefix::Fixed(part) => Some(part),
        }
    }
}

/// Refuses a key that could be mistaken for another one behind a prefix.
pub(crate) fn check(key: &str) -> Result<(), Status> {
    if key.contains(SEPARATOR) {
        return Err(error::separator(key));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layouts of state, lock and sequence for key `k` of store `s`.
    #[track_caller]
    fn check_layouts(prefix: Prefix, app_id: &str, expected: [&str; 3]) {
        let layout = Layout {
            prefix: &prefix,
            app_id,
            store_name: "s",
        };
        let state = layout.state("k").expect("the key is fine");
        let lock = layout.lock("k").expect("the key is fine");
        let made = [state.unwrap_or_else(|| "k".into()), lock, layout.sequence("k")];
        assert_eq!(made, expected);
    }

    #[test]
    fn layouts_are_those_of_the_reference() {
        check_layouts(Prefix::None, "app", ["k", "lock|||k", "sequencer|||k"]);
        check_layouts(
            Prefix::AppId,
            "app",
            ["app||k", "lock|||app||k", "sequencer|||app||k"],
        );
        check_layouts(
            Prefix::StoreName,
            "app",
            ["s||k", "lock|||s||k", "sequencer|||s||k"],
        );
        check_layouts(
            Prefix::Fixed("mine".into()),
            "app",
            ["mine||k", "lock|||mine||k", "sequencer|||mine||k"],
        );
    }

    #[test]
    fn an_empty_application_id_loses_one_element() {
        check_layouts(Prefix::AppId, "", ["k", "lock|||k", "sequencer|||k"]);
        check_layouts(Prefix::StoreName, "", ["s||k", "lock|||s||k", "sequencer|||s||k"]);
    }

    #[test]
    fn keys_with_two_bars_are_refused_and_with_one_are_not() {
        let refused = check("a||b").expect_err("it holds the separator");
        assert_eq!(refused.code(), tonic::Code::Unknown);
        assert_eq!(refused.message(), "input key/keyPrefix 'a||b' can't contain '||'");
        assert!(check("a|b|").is_ok());
    }
}
