//! The configuration: one file, read once, every finding at once with its line.
//!
//! ```text
//! text ─ document ─► tree with positions ─ layotto (if it is Layotto's JSON) ─► tree shaped like belay.yaml
//!      ─ references ─► environment put in ─ schema, drivers' schemas ─► what is broken marked
//!      ─ typed ─► Config ─ meaning ─► names, ports, addresses, subscriptions, secrets
//! ```
//!
//! Layotto's own configuration becomes a tree of the same shape whose values still know their lines, so there is one set of
//! checks and one [`Config`].

use std::collections::BTreeSet;
use std::path::PathBuf;

use base::{Error, codes};
use ports::Registry;
use ports::registry::Severity;
use serde::de::DeserializeOwned;
use serde_json::Value;

mod document;
mod excerpt;
mod finding;
mod layotto;
mod meaning;
mod options;
mod references;
mod schema;

pub use excerpt::Text;
pub use finding::Finding;
pub(crate) use finding::suggestion;
pub use options::*;
pub use references::SecretReference;

use document::{Content, Node};

/// What `belay dev` runs, commented for people.
pub const DEV: &str = include_str!("../../../../configs/dev.yaml");

/// Where a configuration comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The one that is built in.
    Dev,
    /// A file: `belay.yaml`, or Layotto's JSON.
    File(PathBuf),
    /// A text at hand, and what messages call it.
    Text { name: String, text: String },
}

/// What flags and environment variables say; it wins over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub data_dir: Option<PathBuf>,
    pub layotto_listen: Option<Address>,
    pub admin_listen: Option<Address>,
    pub actuator_listen: Option<Address>,
    pub primitives_listen: Option<Address>,
    pub control_listen: Option<Address>,
    pub ingress_listen: Option<Address>,
    pub functions_listen: Option<Address>,
    pub metrics_listen: Option<Address>,
    /// Addresses of user functions, in place of those of the file.
    pub functions: Vec<String>,
    pub log_format: Option<LogFormat>,
    pub log_level: Option<String>,
    /// `security.allow_remote`; `false` leaves it to the file.
    pub allow_remote: bool,
}

/// A configuration that Belay can start with.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// Whether it is the one that is built in.
    pub dev: bool,
    /// Warnings only.
    pub findings: Vec<Finding>,
    pub text: Text,
}

/// A configuration that Belay cannot start with.
#[derive(Debug)]
pub struct Rejected {
    /// `CONFIG_UNREADABLE` or `CONFIG_INVALID`.
    pub error: Error,
    /// Errors and warnings, in the order of the file; none when there is no text.
    pub findings: Vec<Finding>,
    pub text: Text,
}

/// Reads and checks a configuration. Opens nothing and asks nobody but `env`.
pub fn load(
    source: &Source,
    overrides: &Overrides,
    registry: &Registry,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Box<Rejected>> {
    let text = read(source)?;
    let mut root = match document::parse(&text.text) {
        Ok(root) => root,
        Err(finding) => return Err(Rejected::because(codes::CONFIG_UNREADABLE, vec![finding], text)),
    };
    let mut findings = vec![];
    if layotto::detect(&root) {
        root = layotto::convert(&root, &mut findings);
    } else {
        refuse_duplicates(&mut root, &mut findings);
    }
    references::read_environment(&mut root, env, &mut findings);
    overrides.apply(&mut root);
    findings.extend(schema::check(&schema(), &mut root, Severity::Error));
    meaning::check_drivers(&mut root, registry, &mut findings);
    let mut config = typed(&root);
    meaning::check(&config, &root, registry, &mut findings);
    references::secrets_of(&root, "", &mut config.secret_references);

    findings.sort_by_key(|finding| (finding.line, finding.column));
    if findings.iter().any(Finding::is_error) {
        return Err(Rejected::because(codes::CONFIG_INVALID, findings, text));
    }
    Ok(Loaded {
        dev: matches!(source, Source::Dev),
        config,
        findings,
        text,
    })
}

/// The JSON schema of `belay.yaml`.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Config)
}

impl Config {
    /// Every secret that [`resolve_secrets`] will ask for, each once.
    pub fn secret_references(&self) -> Vec<SecretReference> {
        let mut references: Vec<SecretReference> = self
            .secret_references
            .iter()
            .map(|(_, reference)| reference.clone())
            .collect();
        references.sort();
        references.dedup();
        references
    }
}

/// Puts secrets in for all references to them. Fails with the first error of `lookup`, and then changes nothing.
pub fn resolve_secrets(
    config: &mut Config,
    lookup: &dyn Fn(&SecretReference) -> base::Result<String>,
) -> base::Result<()> {
    if config.secret_references.is_empty() {
        return Ok(());
    }
    let mut value = serde_json::to_value(&*config).map_err(unwritable)?;
    // A text with two secrets is listed twice, and must not be read again once the first secret is in it.
    let pointers: BTreeSet<&str> = config
        .secret_references
        .iter()
        .map(|(pointer, _)| pointer.as_str())
        .collect();
    for pointer in pointers {
        let Some(Value::String(text)) = value.pointer_mut(pointer) else {
            return Err(Error::new(
                codes::INTERNAL,
                format!("no text at {pointer} of the configuration"),
            ));
        };
        *text = references::resolve(text, lookup)?;
    }
    *config = serde_json::from_value(value).map_err(unwritable)?;
    Ok(())
}

fn unwritable(cause: serde_json::Error) -> Error {
    Error::new(
        codes::INTERNAL,
        "the configuration cannot be read as it was written",
    )
    .because(cause)
}

impl Overrides {
    fn apply(&self, root: &mut Node) {
        let address = |address: &Option<Address>| address.as_ref().map(Address::to_string);
        let data_dir = self
            .data_dir
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned());
        let log_format = self.log_format.map(|format| format.name().to_owned());
        let mut put = |flag: &str, keys: &[&str], text: Option<String>| {
            if let Some(text) = text {
                root.set(keys, Node::flag(flag, Content::Text(text)));
            }
        };
        put("--data-dir", &["data_dir"], data_dir);
        put(
            "--layotto-listen",
            &["listen", "layotto"],
            address(&self.layotto_listen),
        );
        put(
            "--admin-listen",
            &["listen", "admin"],
            address(&self.admin_listen),
        );
        put(
            "--actuator-listen",
            &["listen", "actuator"],
            address(&self.actuator_listen),
        );
        put(
            "--primitives-listen",
            &["listen", "primitives"],
            address(&self.primitives_listen),
        );
        put(
            "--control-listen",
            &["listen", "control"],
            address(&self.control_listen),
        );
        put(
            "--ingress-listen",
            &["listen", "ingress"],
            address(&self.ingress_listen),
        );
        put(
            "--functions-listen",
            &["listen", "functions"],
            address(&self.functions_listen),
        );
        put(
            "--metrics-listen",
            &["telemetry", "metrics", "listen"],
            address(&self.metrics_listen),
        );
        put("--log-format", &["telemetry", "log", "format"], log_format);
        put(
            "--log-level",
            &["telemetry", "log", "level"],
            self.log_level.clone(),
        );
        if !self.functions.is_empty() {
            let functions = self.functions.iter().map(|url| function(url)).collect();
            root.set(&["functions"], Node::flag("--function", Content::List(functions)));
        }
        if self.allow_remote {
            root.set(
                &["security", "allow_remote"],
                Node::flag("--allow-remote", Content::Bool(true)),
            );
        }
    }
}

fn function(url: &str) -> Node {
    let url = Node::flag("--function", Content::Text(url.to_owned()));
    let member = document::Member {
        key: "url".into(),
        key_at: Default::default(),
        value: url,
    };
    Node::flag("--function", Content::Map(vec![member]))
}

impl Rejected {
    fn because(code: base::Code, findings: Vec<Finding>, text: Text) -> Box<Rejected> {
        Box::new(Rejected {
            error: Error::new(code, code.title),
            findings,
            text,
        })
    }
}

fn read(source: &Source) -> Result<Text, Box<Rejected>> {
    let (name, text) = match source {
        Source::Dev => return Ok(Text::new("dev.yaml (built in)", DEV)),
        Source::Text { name, text } => return Ok(Text::new(name, text)),
        Source::File(path) => (path.display().to_string(), std::fs::read_to_string(path)),
    };
    text.map(|text| Text::new(&name, &text)).map_err(|cause| {
        let error = Error::new(
            codes::CONFIG_UNREADABLE,
            format!("{name} cannot be read: {cause}"),
        )
        .because(cause);
        Box::new(Rejected {
            error,
            findings: vec![],
            text: Text::new(&name, ""),
        })
    })
}

fn refuse_duplicates(node: &mut Node, findings: &mut Vec<Finding>) {
    match &mut node.content {
        Content::Map(members) => {
            for index in 0..members.len() {
                let (before, rest) = members.split_at_mut(index);
                let member = &mut rest[0];
                if let Some(first) = before.iter().find(|first| first.key == member.key) {
                    let message = format!(
                        "`{}` is there twice, first in line {}",
                        member.key, first.key_at.line
                    );
                    findings.push(member.error(message));
                    member.value.broken = true;
                }
                refuse_duplicates(&mut member.value, findings);
            }
        }
        Content::List(items) => items
            .iter_mut()
            .for_each(|item| refuse_duplicates(item, findings)),
        _ => {}
    }
}

/// What can be typed of the tree. Where a section cannot, although the schema takes it, its default stands in: there are
/// findings about it already, or the test of all options fails.
fn typed(root: &Node) -> Config {
    let value = root.to_value();
    if let Ok(config) = serde_json::from_value(value.clone()) {
        return config;
    }
    fn section<T: DeserializeOwned + Default>(value: &Value, name: &str) -> T {
        value
            .get(name)
            .and_then(|value| serde_json::from_value(value.clone()).ok())
            .unwrap_or_default()
    }
    Config {
        listen: section(&value, "listen"),
        components: section(&value, "components"),
        apps: section(&value, "apps"),
        subscriptions: section(&value, "subscriptions"),
        hellos: section(&value, "hellos"),
        functions: section(&value, "functions"),
        security: section(&value, "security"),
        telemetry: section(&value, "telemetry"),
        ..Config::default()
    }
}

#[cfg(test)]
mod mutations;
#[cfg(test)]
mod tests;
