//! An upload: what arrives is gathered into large batches, and one batch is written while the next one is gathered.

use std::io::IoSlice;
use std::sync::Arc;

use base::{Error, Result, codes, limits};
use bytes::Bytes;
use futures::StreamExt;
use ports::Metadata;
use ports::file::Content;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::text;
use crate::blocking;
use crate::tree::Tree;

/// How a file is opened for an upload: the metadata `FileMode` and `FileFlag`, both decimal and both required.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opening {
    /// Go's number, of which the permission bits count.
    mode: u32,
    /// Linux's number: 1 write, 2 read and write, 64 create, 128 exclusively, 512 truncate, 1024 append.
    flags: i32,
}

impl Opening {
    /// Both are looked for before either is read, as the reference does.
    pub(super) fn of(metadata: &Metadata) -> Result<Opening> {
        let required = |name: &str, text: &str| match metadata.get(name) {
            Some(value) => Ok(value.clone()),
            None => Err(failed(format!("{text} is required for put file"))),
        };
        let (mode, flags) = (
            required("FileMode", "fileMode")?,
            required("FileFlag", "fileFlag")?,
        );
        Ok(Opening {
            mode: unsigned(&mode).map_err(|cause| wrong("fileMode", "ParseUint", &mode, cause))?,
            flags: signed(&flags).map_err(|cause| wrong("fileFlag", "Atoi", &flags, cause))?,
        })
    }
}

fn failed(message: String) -> Error {
    Error::new(codes::FILE_FAILED, message)
}

/// Go's words for a number that can't be read, which clients of the reference see.
fn wrong(field: &str, function: &str, value: &str, cause: &str) -> Error {
    failed(format!(
        "wrong {field} value:strconv.{function}: parsing {value:?}: {cause} in metadata"
    ))
}

fn unsigned(text: &str) -> Result<u32, &'static str> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("invalid syntax");
    }
    text.parse().map_err(|_| "value out of range")
}

/// The lower half of the number: the system call takes no more of it.
fn signed(text: &str) -> Result<i32, &'static str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("invalid syntax");
    }
    let number: i64 = text.parse().map_err(|_| "value out of range")?;
    #[allow(clippy::cast_possible_truncation, reason = "that is what the doc says")]
    Ok(number as i32)
}

struct Target {
    file: OwnedFd,
    name: String,
}

/// Takes the whole content. An error of the content leaves what was written so far.
pub(super) async fn put(tree: Arc<Tree>, name: String, opening: Opening, mut content: Content) -> Result<()> {
    let target = blocking::run(move || open(&tree, name, &opening)).await??;
    let mut writing = blocking::start(move || Ok(target));
    loop {
        let gathered = gather(&mut content).await;
        let target = blocking::finished(writing).await.flatten()?;
        let batch = gathered?;
        if batch.is_empty() {
            return blocking::run(move || drop(target)).await;
        }
        writing = blocking::start(move || write(target, &batch));
    }
}

fn open(tree: &Tree, name: String, opening: &Opening) -> Result<Target> {
    #[allow(clippy::cast_sign_loss, reason = "the bits are the number")]
    let flags = OFlags::from_bits_retain(opening.flags as u32);
    let mode = Mode::from_raw_mode(text::permissions(opening.mode));
    match tree.open(&name, flags, mode) {
        Ok(file) => Ok(Target { file, name }),
        Err(errno) => Err(text::error("open", &name, errno)),
    }
}

/// What arrives until a block is full or the content ends; empty at its end.
async fn gather(content: &mut Content) -> Result<Vec<Bytes>> {
    let (mut batch, mut size) = (Vec::new(), 0);
    while size < limits::FILE_BLOCK_BYTES && batch.len() < limits::FILE_WRITE_PIECES_MAX {
        let Some(piece) = content.next().await else {
            break;
        };
        let piece = piece?;
        size += piece.len();
        if !piece.is_empty() {
            batch.push(piece);
        }
    }
    Ok(batch)
}

fn write(target: Target, batch: &[Bytes]) -> Result<Target> {
    let mut slices: Vec<IoSlice<'_>> = batch.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut rest = &mut slices[..];
    while !rest.is_empty() {
        match rustix::io::writev(&target.file, rest) {
            Ok(0) => return Err(text::error("write", &target.name, Errno::IO)),
            Ok(size) => IoSlice::advance_slices(&mut rest, size),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(text::error("write", &target.name, errno)),
        }
    }
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(metadata: &[(&str, &str)], expected: Result<Opening, &str>) {
        let metadata = metadata
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let opening = Opening::of(&metadata).map_err(|error| error.message().to_owned());
        assert_eq!(opening, expected.map_err(str::to_owned));
    }

    #[test]
    fn mode_and_flags_are_required_mode_first() {
        check(&[], Err("fileMode is required for put file"));
        check(&[("FileFlag", "x")], Err("fileMode is required for put file"));
        check(&[("FileMode", "x")], Err("fileFlag is required for put file"));
    }

    #[test]
    fn both_are_decimal_even_with_a_leading_zero() {
        let opening = Opening { mode: 777, flags: 66 };
        check(&[("FileMode", "0777"), ("FileFlag", "066")], Ok(opening));
        let opening = Opening { mode: 0, flags: -1 };
        check(&[("FileMode", "0"), ("FileFlag", "-1")], Ok(opening));
    }

    #[test]
    fn numbers_that_are_none_are_named_as_go_does() {
        check(
            &[("FileMode", "-1"), ("FileFlag", "1")],
            Err("wrong fileMode value:strconv.ParseUint: parsing \"-1\": invalid syntax in metadata"),
        );
        check(
            &[("FileMode", "4294967296"), ("FileFlag", "1")],
            Err(
                "wrong fileMode value:strconv.ParseUint: parsing \"4294967296\": value out of range in metadata",
            ),
        );
        check(
            &[("FileMode", "1"), ("FileFlag", "0x42")],
            Err("wrong fileFlag value:strconv.Atoi: parsing \"0x42\": invalid syntax in metadata"),
        );
        check(
            &[("FileMode", "1"), ("FileFlag", "")],
            Err("wrong fileFlag value:strconv.Atoi: parsing \"\": invalid syntax in metadata"),
        );
    }
}
