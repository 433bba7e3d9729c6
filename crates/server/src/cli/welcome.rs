//! What a started Belay prints for whoever started it: where it is, what it has, and what to try.

use std::fmt::{self, Display, Write};
use std::path::Path;

use ports::Port;

use crate::config::Config;
use crate::serve::Endpoints;

/// Lines are no longer, as far as addresses and names allow it.
const COLUMNS: usize = 80;

/// Addresses longer than this do not move the column behind them.
const VALUE_WIDTH_MAX: usize = 24;

/// Widest name of a row: `primitives`.
const NAME_WIDTH: usize = 10;

/// The value of a row begins here.
const INDENT: usize = 2 + NAME_WIDTH + 2;

/// Where the SDKs look unless they are told otherwise.
const SDK_ADDRESS: &str = "127.0.0.1:34904";

/// The text for standard output once every listener is served; no colours, so that it may go to a file. With `dev` it says
/// what to try next.
pub fn welcome(dev: bool, endpoints: &Endpoints, config: &Config) -> String {
    let mut text = format!(
        "Belay {} serves, process {}.\n\n",
        endpoints.version, endpoints.pid
    );
    write_rows(&mut text, &places(endpoints, config));
    text.push('\n');
    write_components(&mut text, config);
    if let (true, Some(layotto)) = (dev, endpoints.addresses.get("layotto")) {
        text.push('\n');
        write_next(&mut text, layotto, &config.data_dir);
    }
    text.push_str("\nCtrl-C stops it. What was acknowledged stays.\n");
    text
}

/// What is where, and what it is for.
struct Row {
    name: String,
    value: String,
    about: &'static str,
}

fn places(endpoints: &Endpoints, config: &Config) -> Vec<Row> {
    let row = |name: &str, value: &dyn Display, about| Row {
        name: name.to_owned(),
        value: value.to_string(),
        about,
    };
    let mut rows: Vec<Row> = LISTENERS
        .iter()
        .filter_map(|(name, about)| Some(row(name, endpoints.addresses.get(*name)?, about)))
        .collect();
    rows.push(row("data", &config.data_dir.display(), "everything it keeps"));
    if let Some(callback) = config.apps.first().and_then(|app| app.callback.as_ref()) {
        rows.push(row("app", callback, "events go there as soon as it listens"));
    }
    rows
}

/// Every listener that there can be, in the order of the manual.
const LISTENERS: [(&str, &str); 8] = [
    ("layotto", "Layotto's runtime API, gRPC: for its SDKs"),
    ("primitives", "distributed primitives, gRPC: for the Atomix SDKs"),
    ("control", "gRPC: connects stores and routes primitives to them"),
    ("ingress", "HTTP: calls to services, objects and workflows"),
    ("functions", "gRPC and HTTP: services of user functions"),
    ("admin", "HTTP: /health /ready /metrics /version"),
    ("actuator", "HTTP: Layotto's probes below /actuator"),
    ("metrics", "HTTP: the metrics alone"),
];

fn write_rows(text: &mut String, rows: &[Row]) {
    let widths = rows.iter().map(|row| row.value.chars().count());
    let width = widths
        .filter(|width| *width <= VALUE_WIDTH_MAX)
        .max()
        .unwrap_or(0);
    for Row { name, value, about } in rows {
        let line = format!("  {name:NAME_WIDTH$}  {value:width$}  {about}");
        if line.chars().count() <= COLUMNS {
            line_into(text, format_args!("{line}"));
        } else {
            line_into(text, format_args!("  {name:NAME_WIDTH$}  {value}"));
            line_into(text, format_args!("{:INDENT$}{about}", ""));
        }
    }
}

/// Formatting into a String does not fail.
fn line_into(text: &mut String, line: fmt::Arguments<'_>) {
    let _ = writeln!(text, "{line}");
}

/// One line for each kind of building block.
fn write_components(text: &mut String, config: &Config) {
    let registry = drivers::all();
    let mut none = true;
    for port in Port::ALL {
        let serves = config.components.iter().filter(|component| {
            let driver = registry.get(&component.driver);
            driver.is_some_and(|driver| component.serves(&**driver).contains(&port))
        });
        let names: Vec<&str> = serves.map(|component| component.name.as_str()).collect();
        if !names.is_empty() {
            none = false;
            let names = shortened(&names, COLUMNS - INDENT);
            line_into(text, format_args!("  {:NAME_WIDTH$}  {names}", port.name()));
        }
    }
    if none {
        text.push_str("  There are no components yet: list some under `components` in belay.yaml.\n");
    }
}

/// As many names as fit, and how many more there are.
fn shortened(names: &[&str], width: usize) -> String {
    let all = names.join(", ");
    if all.chars().count() <= width {
        return all;
    }
    let fitting = (1..names.len()).rev().map(|count| {
        let more = names.len() - count;
        format!("{} and {more} more", names[..count].join(", "))
    });
    let mut shortest = all;
    for candidate in fitting {
        shortest = candidate;
        if shortest.chars().count() <= width {
            break;
        }
    }
    shortest
}

fn write_next(text: &mut String, layotto: &str, data_dir: &Path) {
    text.push_str("Try it in another terminal, in this folder:\n");
    if data_dir.strip_prefix(".").unwrap_or(data_dir) != Path::new(".belay") {
        line_into(text, format_args!("  export BELAY_DATA_DIR={}", quoted(data_dir)));
    }
    text.push_str("  belay state set hello world && belay state get hello\n\n");
    let client = client(layotto);
    text.push_str("and the same value from Node.js:\n  npm install layotto@1.18.0\n");
    line_into(
        text,
        format_args!("  node -e \"new (require('layotto').Client){client}.state"),
    );
    text.push_str("    .get({ storeName: 'state_demo', key: 'hello' })\n");
    text.push_str("    .then(({ value }) => console.log(Buffer.from(value).toString()))\"\n");
}

/// The SDK's arguments for that address; it knows the usual one.
fn client(address: &str) -> String {
    if address == SDK_ADDRESS {
        return "()".to_owned();
    }
    match (address.strip_prefix("unix:"), address.rsplit_once(':')) {
        (Some(path), _) => format!("('', 'unix://{path}')"),
        (_, Some((host, port))) => format!("('{port}', '{host}')"),
        _ => "()".to_owned(),
    }
}

/// For a shell.
fn quoted(path: &Path) -> String {
    let path = path.display().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    match path.bytes().all(plain) {
        true => path,
        false => format!("'{}'", path.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{Component, Overrides, Source, load};

    fn dev() -> Config {
        let loaded = load(&Source::Dev, &Overrides::default(), &drivers::all(), &|_| None);
        loaded.expect("it is built in").config
    }

    fn endpoints(addresses: &[(&str, &str)]) -> Endpoints {
        Endpoints {
            pid: 4711,
            version: "0.1.0".into(),
            addresses: addresses
                .iter()
                .map(|(name, address)| ((*name).to_owned(), (*address).to_owned()))
                .collect(),
        }
    }

    const USUAL: &[(&str, &str)] = &[
        ("layotto", "127.0.0.1:34904"),
        ("admin", "127.0.0.1:9070"),
        ("primitives", "127.0.0.1:5678"),
    ];

    #[test]
    fn a_first_start_says_where_what_and_how_to_go_on() {
        let expected = "\
Belay 0.1.0 serves, process 4711.

  layotto     127.0.0.1:34904  Layotto's runtime API, gRPC: for its SDKs
  primitives  127.0.0.1:5678   distributed primitives, gRPC: for the Atomix SDKs
  admin       127.0.0.1:9070   HTTP: /health /ready /metrics /version
  data        ./.belay         everything it keeps
  app         127.0.0.1:9999   events go there as soon as it listens

  state       state_demo
  pubsub      pub_subs_demo
  lock        lock_demo
  sequencer   sequencer_demo
  config      config_demo
  secret      secret_demo
  file        file_demo

Try it in another terminal, in this folder:
  belay state set hello world && belay state get hello

and the same value from Node.js:
  npm install layotto@1.18.0
  node -e \"new (require('layotto').Client)().state
    .get({ storeName: 'state_demo', key: 'hello' })
    .then(({ value }) => console.log(Buffer.from(value).toString()))\"

Ctrl-C stops it. What was acknowledged stays.
";
        assert_eq!(welcome(true, &endpoints(USUAL), &dev()), expected);
    }

    #[test]
    fn a_start_in_earnest_has_nothing_to_try() {
        let text = welcome(false, &endpoints(USUAL), &dev());
        assert!(!text.contains("hello") && text.contains("Ctrl-C"), "{text}");
    }

    #[test]
    fn what_was_moved_is_where_it_is() {
        let mut config = dev();
        config.data_dir = PathBuf::from("/srv/it's here");
        let text = welcome(true, &endpoints(&[("layotto", "127.0.0.1:4711")]), &config);
        assert!(text.contains("Client)('4711', '127.0.0.1').state"), "{text}");
        assert!(
            text.contains(r"export BELAY_DATA_DIR='/srv/it'\''s here'"),
            "{text}"
        );
        assert!(
            !text.contains("admin"),
            "a listener that is off is nowhere: {text}"
        );
        let text = welcome(true, &endpoints(&[("layotto", "unix:/run/b.sock")]), &dev());
        assert!(text.contains("Client)('', 'unix:///run/b.sock').state"), "{text}");
        let text = welcome(true, &endpoints(&[("admin", "127.0.0.1:1")]), &dev());
        assert!(!text.contains("state set"), "nothing can be tried: {text}");
    }

    #[test]
    fn lines_fit_in_a_terminal() {
        let component = |name: String| Component {
            name,
            ..dev().components[0].clone()
        };
        let mut config = dev();
        config.components = (0..40)
            .map(|number| component(format!("orders_{number}")))
            .collect();
        let socket = format!("unix:/{}", "x".repeat(50));
        let text = welcome(
            true,
            &endpoints(&[("layotto", "127.0.0.1:1"), ("admin", &socket)]),
            &config,
        );
        for line in text.lines() {
            assert!(
                line.chars().count() <= COLUMNS && !line.contains('\x1b'),
                "{line}"
            );
        }
        assert!(text.contains("orders_4 and 35 more"), "{text}");
    }

    #[test]
    fn nothing_to_call_is_said() {
        let text = welcome(false, &endpoints(USUAL), &Config::default());
        assert!(text.contains("no components yet"), "{text}");
    }
}
