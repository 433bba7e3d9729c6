//! `belay dev` and `belay run`: load the configuration, say what is to be said about it, and hand it over.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{Outcome, Serve, check};
use crate::config::{self, Address, Finding, Loaded, LogFormat, Overrides, Source};

/// Settings that win over the file.
#[derive(Clone, Debug, Default, Args)]
pub struct Settings {
    /// The folder that holds everything Belay keeps.
    #[arg(long, value_name = "FOLDER", env = "BELAY_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Where Layotto's runtime API listens: host:port, unix:/path or off; port 0 takes any free one.
    #[arg(long, value_name = "ADDRESS", env = "BELAY_LAYOTTO_LISTEN")]
    layotto_listen: Option<Address>,
    /// Where health, metrics and the admin API listen; as above.
    #[arg(long, value_name = "ADDRESS", env = "BELAY_ADMIN_LISTEN")]
    admin_listen: Option<Address>,
    /// Where Layotto's actuator listens, for probes that ask for it; as above. Off unless it is set.
    #[arg(long, value_name = "ADDRESS", env = "BELAY_ACTUATOR_LISTEN")]
    actuator_listen: Option<Address>,
    /// Where distributed primitives listen, for the Atomix SDKs; as above.
    #[arg(long, value_name = "ADDRESS", env = "BELAY_PRIMITIVES_LISTEN")]
    primitives_listen: Option<Address>,
    /// Where Atomix's control API listens; as above.
    #[arg(long, value_name = "ADDRESS", env = "BELAY_CONTROL_LISTEN")]
    control_listen: Option<Address>,
    /// Where calls to services, objects and workflows come in, for Restate's clients; as above.
    #[arg(long, value_name = "ADDRESS", env = "BELAY_INGRESS_LISTEN")]
    ingress_listen: Option<Address>,
    /// Where services of user functions listen, if there are any, for clients of gRPC and HTTP; as above.
    #[arg(long, value_name = "ADDRESS", env = "BELAY_FUNCTIONS_LISTEN")]
    functions_listen: Option<Address>,
    /// A user function of a Cloudstate SDK: http://host:port. May be given several times.
    #[arg(long = "function", value_name = "URL")]
    functions: Vec<String>,
    /// Where metrics alone listen, besides /metrics of the admin listener; as above. Off unless it is set.
    #[arg(long, value_name = "ADDRESS", env = "BELAY_METRICS_LISTEN")]
    metrics_listen: Option<Address>,
    /// How the log is written.
    #[arg(long, value_name = "FORMAT", env = "BELAY_LOG_FORMAT")]
    log_format: Option<LogFormat>,
    /// How much is logged: error, warn, info, debug, trace or off.
    #[arg(long, value_name = "LEVEL", env = "BELAY_LOG_LEVEL")]
    log_level: Option<String>,
    /// Do not warn about listeners that other machines can reach: the network around them is closed.
    #[arg(long, env = "BELAY_ALLOW_REMOTE")]
    allow_remote: bool,
}

pub(super) fn start(source: &Source, settings: Settings, serve: Serve) -> Outcome {
    let mut overrides = Overrides::from(settings);
    if overrides.functions.is_empty() {
        overrides.functions.extend(named_function(&environment));
    }
    let loaded = match config::load(source, &overrides, &drivers::all(), &environment) {
        Ok(loaded) => loaded,
        Err(rejected) => return check::rejected(&rejected),
    };
    super::print(&Outcome {
        stderr: warnings(&loaded),
        ..Outcome::default()
    });
    match serve(loaded) {
        Ok(()) => Outcome::default(),
        Err(error) => Outcome::failed(&error),
    }
}

/// A user function as Cloudstate's own proxy is told of it.
fn named_function(environment: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let (host, port) = (
        environment("USER_FUNCTION_HOST"),
        environment("USER_FUNCTION_PORT"),
    );
    if host.is_none() && port.is_none() {
        return None;
    }
    let host = host.unwrap_or_else(|| "127.0.0.1".into());
    Some(format!("http://{host}:{}", port.unwrap_or_else(|| "8080".into())))
}

/// The log does not exist yet. Where it will be read by a program, so are these.
fn warnings(loaded: &Loaded) -> String {
    let (findings, text) = (loaded.findings.iter(), &loaded.text);
    match loaded.config.telemetry.log.format {
        LogFormat::Text => findings.map(|finding| text.show(finding)).collect(),
        LogFormat::Json => findings.map(|finding| line(finding, &text.name)).collect(),
    }
}

fn line(finding: &Finding, file: &str) -> String {
    let Finding {
        message, path, line, ..
    } = finding;
    let line = json!({"level": "WARN", "message": message, "file": file, "line": line, "path": path});
    format!("{line}\n")
}

/// The process's environment, for references in configurations.
pub(super) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl From<Settings> for Overrides {
    fn from(settings: Settings) -> Overrides {
        Overrides {
            data_dir: settings.data_dir,
            layotto_listen: settings.layotto_listen,
            admin_listen: settings.admin_listen,
            actuator_listen: settings.actuator_listen,
            primitives_listen: settings.primitives_listen,
            control_listen: settings.control_listen,
            ingress_listen: settings.ingress_listen,
            functions_listen: settings.functions_listen,
            metrics_listen: settings.metrics_listen,
            functions: settings.functions,
            log_format: settings.log_format,
            log_level: settings.log_level,
            allow_remote: settings.allow_remote,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(text: &str) -> Loaded {
        let source = Source::Text {
            name: "belay.yaml".into(),
            text: text.into(),
        };
        let none = |_: &str| None;
        config::load(&source, &Overrides::default(), &drivers::all(), &none).expect("it has warnings only")
    }

    #[test]
    fn a_function_is_named_as_the_reference_does() {
        let host = |name: &str| (name == "USER_FUNCTION_HOST").then(|| "app".to_owned());
        assert_eq!(named_function(&host).as_deref(), Some("http://app:8080"));
        let port = |name: &str| (name == "USER_FUNCTION_PORT").then(|| "9".to_owned());
        assert_eq!(named_function(&port).as_deref(), Some("http://127.0.0.1:9"));
        assert_eq!(named_function(&|_| None), None);
    }

    #[test]
    fn warnings_are_written_for_whoever_reads_the_log() {
        let open = "listen: {admin: '0.0.0.0:1'}\n";
        assert!(warnings(&loaded(open)).starts_with("warning: listen.admin: other machines"));
        let json = warnings(&loaded(&format!("{open}telemetry: {{log: {{format: json}}}}\n")));
        let value: serde_json::Value = serde_json::from_str(&json).expect("it is one line of JSON");
        assert_eq!((&value["level"], &value["line"]), (&"WARN".into(), &1.into()));
    }
}
