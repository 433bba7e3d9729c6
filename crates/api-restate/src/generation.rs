//! The two generations of the protocol: in versions 1 and 2 results are filled into entries, from 5 on they are appended.
//!
//! All that differs between them is behind [`Generation`]; attempts and conversations are the same.

use bytes::{Bytes, BytesMut};
use machines::invocation::Id;
use machines::invocation::rows::{Entry, Notification, Origin};
use wire::restate::appended as pb;

use crate::frame::{self, Frame};
use crate::speaker::{Meant, Speaker};
use crate::talk::Failure;
use crate::version::Version;
use crate::{appended, filled};

/// The same in both.
const COMMAND_ACK: u16 = 0x0004;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    Filled,
    Appended,
}

/// What an attempt begins with.
pub(crate) struct Start<'a> {
    pub(crate) id: &'a Id,
    pub(crate) origin: &'a Origin,
    pub(crate) version: Version,
    pub(crate) entries: &'a [Entry],
    pub(crate) state: Vec<(Bytes, Bytes)>,
    pub(crate) partial_state: bool,
    pub(crate) failures: u32,
    pub(crate) since_entry_ms: u64,
}

impl Generation {
    pub(crate) fn of(version: Version) -> Generation {
        match version {
            Version::V1 | Version::V2 => Generation::Filled,
            Version::V5 | Version::V6 | Version::V7 => Generation::Appended,
        }
    }

    pub(crate) fn meant(self, speaker: &Speaker<'_>, frame: &Frame) -> Result<Meant, Failure> {
        match self {
            Generation::Filled => filled::meant(speaker, frame),
            Generation::Appended => appended::meant(speaker, frame),
        }
    }

    /// The start and the journal.
    pub(crate) fn put_start(self, to: &mut BytesMut, start: Start<'_>) {
        match self {
            Generation::Filled => filled::told::put_start(to, start),
            Generation::Appended => appended::told::put_start(to, start),
        }
    }

    /// What has come since.
    pub(crate) fn put_notification(self, to: &mut BytesMut, version: Version, notification: &Notification) {
        match self {
            Generation::Filled => filled::told::put_completion(to, notification),
            Generation::Appended => appended::told::put_notification(to, version, notification),
        }
    }
}

/// A command that wanted to know is stored: by its place among the commands.
pub(crate) fn put_command_ack(to: &mut BytesMut, command_index: u32) {
    frame::put(to, COMMAND_ACK, 0, &pb::CommandAckMessage { command_index });
}
