//! A version that only grows, and is not always known.

/// `Is(0)` at the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Version {
    Is(u64),
    /// Somebody wrote, and did not hear with which version: a larger one than this.
    Above(u64),
}

impl Default for Version {
    fn default() -> Version {
        Version::Is(0)
    }
}

impl Version {
    fn floor(self) -> u64 {
        match self {
            Version::Is(version) | Version::Above(version) => version,
        }
    }

    /// After a write; `None` when it would not have grown.
    pub(super) fn grown_to(self, version: Option<u64>) -> Option<Version> {
        match version {
            Some(version) => (version > self.floor()).then_some(Version::Is(version)),
            None => Some(Version::Above(self.floor())),
        }
    }

    /// After somebody saw it; `None` when it cannot be that one.
    pub(super) fn seen(self, version: u64) -> Option<Version> {
        let may_be = match self {
            Version::Is(known) => known == version,
            Version::Above(floor) => version > floor,
        };
        may_be.then_some(Version::Is(version))
    }
}
