//! The log: to standard error, as text for people or as JSON lines for machines.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use base::{Error, Result, codes};
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::{Log, LogFormat};

/// The environment variable that overrides the configured levels.
pub const VARIABLE: &str = "BELAY_LOG";

/// Changes the levels of a log that runs.
#[derive(Clone)]
pub struct Control(reload::Handle<EnvFilter, Registry>);

impl Control {
    /// Levels as in the configuration: `info`, or `info,belay::serve=debug`.
    pub fn set_levels(&self, levels: &str) -> Result<()> {
        let filter = parse(levels)?;
        self.0
            .reload(filter)
            .map_err(|cause| Error::new(codes::INTERNAL, "the log has ended").because(cause))
    }
}

/// Starts the process's log. Once per process; panics are logged from then on, with their place.
pub fn start(settings: &Log) -> Result<Control> {
    let levels = std::env::var(VARIABLE).unwrap_or_else(|_| settings.level.clone());
    let (subscriber, control) = build(settings.format, &levels, BoxMakeWriter::new(std::io::stderr))?;
    subscriber
        .try_init()
        .map_err(|cause| Error::new(codes::INTERNAL, "the log runs already").because(cause))?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(control)
}

fn build(
    format: LogFormat,
    levels: &str,
    writer: BoxMakeWriter,
) -> Result<(impl SubscriberInitExt, Control)> {
    let (filter, handle) = reload::Layer::new(parse(levels)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Text => Box::new(lines.with_ansi(std::io::stderr().is_terminal())),
        LogFormat::Json => Box::new(lines.json().flatten_event(true)),
    };
    let subscriber = tracing_subscriber::registry().with(filter).with(lines);
    Ok((subscriber, Control(handle)))
}

fn parse(levels: &str) -> Result<EnvFilter> {
    EnvFilter::builder().parse(levels).map_err(|cause| {
        Error::new(
            codes::CONFIG_INVALID,
            format!("log levels {levels:?} cannot be read: write trace, debug, info, warn, error or off, or module=level"),
        )
        .because(cause)
    })
}

/// One line instead of the default's three, through the log, so that it has a time and is JSON where the rest is.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let location = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    tracing::error!(
        message,
        location,
        thread = thread.name().unwrap_or_default(),
        "a panic"
    );
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().clone()).expect("a log is text")
        }
    }

    fn log(format: LogFormat, levels: &str) -> (Lines, tracing::Dispatch, Control) {
        let lines = Lines::default();
        let writer = lines.clone();
        let writer = BoxMakeWriter::new(move || writer.clone());
        let (subscriber, control) = build(format, levels, writer).expect("the levels are fine");
        (lines, subscriber.into(), control)
    }

    #[test]
    fn json_lines_have_their_fields_at_the_top() {
        let (lines, dispatch, _control) = log(LogFormat::Json, "info");
        tracing::dispatcher::with_default(&dispatch, || tracing::info!(listener = "layotto", "serving"));
        let line: serde_json::Value = serde_json::from_str(lines.text().trim()).expect("one line of JSON");
        assert_eq!(line["message"], "serving");
        assert_eq!(line["listener"], "layotto");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn levels_can_be_changed_while_it_runs() {
        let (lines, dispatch, control) = log(LogFormat::Text, "warn");
        tracing::dispatcher::with_default(&dispatch, || {
            tracing::info!("before");
            control.set_levels("info").expect("a level");
            tracing::info!("after");
        });
        assert!(!lines.text().contains("before") && lines.text().contains("after"));
    }

    #[test]
    fn levels_that_make_no_sense_are_named() {
        let error = parse("belay=loud").expect_err("loud is no level");
        assert!(error.message().contains("belay=loud"), "{error}");
    }
}
