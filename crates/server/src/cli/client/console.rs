//! Where a command reads and writes. Tests have one of their own.

use std::fmt::Display;
use std::io::{ErrorKind, Read};

use serde_json::Value;

use super::{Failure, Input, Output};
use crate::cli::{Exit, Report};

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Text,
    /// One object per line.
    Json,
}

pub(super) struct Console<'a> {
    input: Input<'a>,
    out: Output<'a>,
    notes: Output<'a>,
}

impl<'a> Console<'a> {
    pub(super) fn new(input: Input<'a>, out: Output<'a>, notes: Output<'a>) -> Console<'a> {
        Console { input, out, notes }
    }

    /// An answer, on standard output, at once: one line, or as many as the text has.
    pub(super) fn say(&mut self, form: Form, text: impl Display, json: &Value) -> Result<(), Failure> {
        let answer = match form {
            Form::Text => format!("{text}\n"),
            Form::Json => format!("{json}\n"),
        };
        self.write(answer.as_bytes())
    }

    /// The same, of a text that ends its own lines.
    pub(super) fn say_lines(&mut self, form: Form, text: impl Display, json: &Value) -> Result<(), Failure> {
        let answer = match form {
            Form::Text => text.to_string(),
            Form::Json => format!("{json}\n"),
        };
        self.write(answer.as_bytes())
    }

    /// Bytes as they are.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let written = self.out.write_all(bytes).and_then(|()| self.out.flush());
        written.map_err(|cause| match cause.kind() {
            // `belay subscribe orders | head -1` is no failure.
            ErrorKind::BrokenPipe => Failure::silent(Exit::Ok),
            _ => {
                let report = Report::uncoded(format!("standard output cannot be written: {cause}"));
                Failure::new(report, Exit::Failed)
            }
        })
    }

    /// A remark beside the answer, on standard error. Losing it changes nothing.
    pub(super) fn note(&mut self, text: impl Display) {
        let note = format!("{text}\n");
        drop(self.notes.write_all(note.as_bytes()));
    }

    /// Everything that standard input has, up to so many bytes.
    pub(super) fn read(&mut self, bytes_max: usize) -> Result<Vec<u8>, Failure> {
        let mut bytes = vec![];
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        let failed = |message| Failure::new(Report::uncoded(message), Exit::Failed);
        (&mut *self.input)
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|cause| failed(format!("standard input cannot be read: {cause}")))?;
        if bytes.len() > bytes_max {
            return Err(failed(format!(
                "standard input has more than {bytes_max} bytes, which no value can have"
            )));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use super::*;

    struct Broken(ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn exit_when(kind: ErrorKind) -> Exit {
        let mut out = Broken(kind);
        let (mut input, mut notes) = (io::empty(), io::sink());
        let written = Console::new(&mut input, &mut out, &mut notes).write(b"x");
        written.expect_err("it is broken").exit()
    }

    #[test]
    fn a_reader_that_has_gone_is_no_failure_but_a_full_disk_is() {
        assert_eq!(exit_when(ErrorKind::BrokenPipe), Exit::Ok);
        assert_eq!(exit_when(ErrorKind::StorageFull), Exit::Failed);
    }

    #[test]
    fn input_that_no_value_can_have_is_not_read_to_its_end() {
        let (mut out, mut notes) = (io::sink(), io::sink());
        let mut input = io::repeat(b'x');
        let mut console = Console::new(&mut input, &mut out, &mut notes);
        let refused = console.read(10).expect_err("it has no end");
        assert!(
            refused.text().contains("more than 10 bytes"),
            "{}",
            refused.text()
        );
        let mut input: &[u8] = b"0123456789";
        let mut console = Console::new(&mut input, &mut out, &mut notes);
        assert_eq!(console.read(10).expect("it fits"), b"0123456789");
    }
}
