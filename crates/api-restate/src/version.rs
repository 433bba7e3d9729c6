//! Versions of the service protocol. 3 and 4 were withdrawn; nobody needs them.

/// In order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    V1,
    V2,
    V5,
    V6,
    V7,
}

impl Version {
    pub const ALL: [Version; 5] = [Version::V1, Version::V2, Version::V5, Version::V6, Version::V7];

    pub fn number(self) -> u32 {
        match self {
            Version::V1 => 1,
            Version::V2 => 2,
            Version::V5 => 5,
            Version::V6 => 6,
            Version::V7 => 7,
        }
    }

    pub fn of_number(number: u32) -> Option<Version> {
        Version::ALL
            .into_iter()
            .find(|version| version.number() == number)
    }

    /// The largest one that is not above that number.
    pub fn at_most(number: u32) -> Version {
        let all = Version::ALL.into_iter().rev();
        all.into_iter()
            .find(|version| version.number() <= number)
            .unwrap_or(Version::V1)
    }

    pub(crate) fn is_in(self, (min, max): (u32, u32)) -> bool {
        (min..=max).contains(&self.number())
    }

    /// The highest that both sides speak.
    pub(crate) fn highest(range: (u32, u32), max: Version) -> Option<Version> {
        let both = |version: &Version| version.is_in(range) && *version <= max;
        Version::ALL.into_iter().rev().find(both)
    }

    /// The next lower one that it speaks.
    pub(crate) fn below(self, range: (u32, u32)) -> Option<Version> {
        let lower = |version: &Version| version.is_in(range) && *version < self;
        Version::ALL.into_iter().rev().find(lower)
    }

    /// All of them, for people.
    pub(crate) fn list() -> String {
        Version::ALL
            .map(|version| version.number().to_string())
            .join(", ")
    }

    pub(crate) fn content_type(self) -> String {
        format!("application/vnd.restate.invocation.v{}", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_that_both_speak() {
        assert_eq!(Version::highest((5, 7), Version::V6), Some(Version::V6));
        assert_eq!(Version::highest((5, 7), Version::V7), Some(Version::V7));
        assert_eq!(Version::highest((1, 2), Version::V6), Some(Version::V2));
        assert_eq!(Version::highest((1, 4), Version::V7), Some(Version::V2));
        assert_eq!(Version::highest((3, 4), Version::V7), None);
        assert_eq!(Version::highest((7, 9), Version::V6), None);
    }

    #[test]
    fn the_next_lower_one() {
        assert_eq!(Version::V7.below((5, 7)), Some(Version::V6));
        assert_eq!(Version::V5.below((1, 7)), Some(Version::V2));
        assert_eq!(Version::V5.below((5, 7)), None);
        assert_eq!(Version::V1.below((1, 1)), None);
        assert_eq!(Version::list(), "1, 2, 5, 6, 7");
    }
}
