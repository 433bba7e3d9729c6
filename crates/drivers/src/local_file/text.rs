//! Texts and numbers that clients of the reference know from Go: errors, times, file modes.

use base::{Error, codes};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use crate::tree;

/// `open x: no such file or directory`. With a root, `EXDEV` can only mean that the name leaves it.
pub(super) fn error(operation: &str, name: &str, errno: Errno) -> Error {
    if errno == Errno::XDEV {
        return Error::new(codes::FILE_FORBIDDEN, format!("{name} is outside of the root"));
    }
    Error::new(
        codes::FILE_FAILED,
        format!("{operation} {name}: {}", tree::text(errno)),
    )
    .because(errno)
}

/// When the file was changed, in local time: `2025-01-02 15:04:05.123456789 +0100 CET`, without trailing zeros.
pub(super) fn modified(stat: &Stat) -> String {
    let nanoseconds = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
    let zone = TimeZone::system();
    let zone = if zone.is_unknown() { TimeZone::UTC } else { zone };
    // Years that the calendar doesn't have: nobody can tell more about them than the epoch says.
    time(Timestamp::from_nanosecond(nanoseconds).unwrap_or_default(), zone)
}

fn time(at: Timestamp, zone: TimeZone) -> String {
    at.to_zoned_datetime(zone)
        .strftime("%Y-%m-%d %H:%M:%S%.f %z %Z")
        .to_string()
}

pub(super) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Go's `FileMode`: the nine permission bits, and the rest at the top of 32 bits.
pub(super) fn mode_number(raw: u32) -> u32 {
    let kind = match FileType::from_raw_mode(raw) {
        FileType::Directory => 1 << 31,
        FileType::Symlink => 1 << 27,
        FileType::BlockDevice => 1 << 26,
        FileType::CharacterDevice => 1 << 26 | 1 << 21,
        FileType::Fifo => 1 << 25,
        FileType::Socket => 1 << 24,
        FileType::RegularFile => 0,
        _ => 1 << 19,
    };
    let set = |bit: u32, go: u32| if raw & bit == 0 { 0 } else { go };
    let special = set(0o4000, 1 << 23) | set(0o2000, 1 << 22) | set(0o1000, 1 << 20);
    kind | special | (raw & 0o777)
}

/// The operating system's permission bits for a number of Go's.
pub(super) fn permissions(go: u32) -> u32 {
    let set = |bit: u32, raw: u32| if go & bit == 0 { 0 } else { raw };
    set(1 << 23, 0o4000) | set(1 << 22, 0o2000) | set(1 << 20, 0o1000) | (go & 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_time(nanoseconds: i128, expected: &str) {
        let at = Timestamp::from_nanosecond(nanoseconds).expect("a time of the calendar");
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone");
        assert_eq!(time(at, zone), expected);
    }

    #[test]
    fn times_look_as_go_prints_them() {
        check_time(0, "1970-01-01 01:00:00 +0100 CET");
        check_time(1_720_000_000_123_450_000, "2024-07-03 11:46:40.12345 +0200 CEST");
        assert_eq!(
            time(Timestamp::UNIX_EPOCH, TimeZone::UTC),
            "1970-01-01 00:00:00 +0000 UTC"
        );
    }

    #[test]
    fn modes_are_go_s_numbers() {
        assert_eq!(mode_number(0o100_644), 420);
        assert_eq!(mode_number(0o040_755), (1 << 31) | 0o755);
        assert_eq!(mode_number(0o041_777), (1 << 31) | (1 << 20) | 0o777);
        assert_eq!(mode_number(0o104_755), (1 << 23) | 0o755);
    }

    #[test]
    fn a_decimal_777_is_octal_1411_of_which_the_permissions_count() {
        assert_eq!(permissions(777), 0o411);
        assert_eq!(permissions(1 << 23 | 0o755), 0o4755);
    }
}
