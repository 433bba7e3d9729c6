//! Shapes of texts that a JSON schema has no words for. The schema names them with `format`, the schema check calls them,
//! so a bad one is found at its line like everything else.

use api_layotto::components::{Prefix, SEPARATOR};

use super::Address;

pub(in crate::config) const ADDRESS: &str = "belay-address";
pub(super) const TARGET: &str = "belay-target";
pub(super) const APP_ID: &str = "belay-app-id";
pub(super) const KEY_PREFIX: &str = "belay-key-prefix";
pub(super) const LOG_LEVEL: &str = "belay-log-level";
pub(super) const HTTP_PATH: &str = "belay-http-path";
pub(super) const URL: &str = "belay-url";
pub(super) const FUNCTION: &str = "belay-function";

/// `Err` says what is wrong with the text. Formats that are not ours say nothing about it.
pub(in crate::config) fn check(format: &str, text: &str) -> Result<(), String> {
    match format {
        ADDRESS => text.parse::<Address>().map(drop),
        TARGET => target(text),
        APP_ID => without_separator("an application's id", text),
        KEY_PREFIX => key_prefix(text),
        LOG_LEVEL => text.split(',').try_for_each(level),
        HTTP_PATH => http_path(text),
        URL => url(text),
        FUNCTION => super::Function::parse(text).map(drop),
        _ => Ok(()),
    }
}

fn target(text: &str) -> Result<(), String> {
    match text.parse()? {
        Address::Tcp { port: 0, .. } => {
            Err("port 0 cannot be called: write the port that the application listens on".into())
        }
        Address::Tcp { .. } | Address::Unix(_) => Ok(()),
        Address::Off => Err("an application is called at host:port, or at unix: and a socket's path".into()),
    }
}

fn without_separator(what: &str, text: &str) -> Result<(), String> {
    if text.contains(SEPARATOR) {
        return Err(format!(
            "{what} can't contain '{SEPARATOR}', which separates the parts of a key"
        ));
    }
    Ok(())
}

/// Layotto's own words, which its users know.
fn key_prefix(text: &str) -> Result<(), String> {
    match Prefix::parse(text, Prefix::None) {
        Some(_) => Ok(()),
        None => Err(format!(
            "input key/keyPrefix '{text}' can't contain '{SEPARATOR}'"
        )),
    }
}

fn level(directive: &str) -> Result<(), String> {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let (target, level) = directive
        .trim()
        .rsplit_once('=')
        .unwrap_or(("belay", directive.trim()));
    if !LEVELS.contains(&level.to_lowercase().as_str()) {
        let suggestion = super::super::finding::suggestion(level, LEVELS.into_iter());
        return Err(format!("`{level}` is no log level{suggestion}"));
    }
    if target.is_empty() || target.contains(|character: char| character.is_whitespace() || character == '=') {
        return Err("a part's level is written part=level".into());
    }
    Ok(())
}

fn http_path(text: &str) -> Result<(), String> {
    let fits = |character: char| character.is_ascii_graphic() && !"?#{}*".contains(character);
    if text.starts_with('/') && text.chars().all(fits) {
        return Ok(());
    }
    Err("a path begins with a slash and has no blanks, `?`, `#`, `{`, `}` or `*`".into())
}

fn url(text: &str) -> Result<(), String> {
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
    match host {
        Some(host) if !host.is_empty() && !host.contains(char::is_whitespace) => Ok(()),
        _ => Err("expected a URL like http://127.0.0.1:4317".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_all(format: &str, good: &[&str], bad: &[&str]) {
        for text in good {
            assert_eq!(check(format, text), Ok(()), "{text}");
        }
        for text in bad {
            assert!(check(format, text).is_err(), "{text}");
        }
    }

    #[test]
    fn log_levels_may_name_parts() {
        check_all(
            LOG_LEVEL,
            &["info", "WARN", "info,h2=warn", "info, belay::serve=trace"],
            &["loud", "info,", "=info", "a b=info", ""],
        );
    }

    #[test]
    fn a_level_that_is_none_is_met_by_the_closest() {
        assert!(
            check(LOG_LEVEL, "warning")
                .expect_err("no level")
                .contains("did you mean `warn`?")
        );
    }

    #[test]
    fn a_target_has_a_port_to_call() {
        check_all(
            TARGET,
            &["127.0.0.1:9999", "app:1", "unix:/x"],
            &["127.0.0.1:0", "off", "9999"],
        );
    }

    #[test]
    fn prefixes_and_ids_never_hold_the_separator() {
        check_all(KEY_PREFIX, &["none", "appid", "x|y", ""], &["a||b"]);
        check_all(APP_ID, &["dev", ""], &["a||b"]);
    }

    #[test]
    fn functions_are_hosts_and_ports() {
        check_all(
            FUNCTION,
            &[
                "http://127.0.0.1:8081",
                "http://app:1/",
                "app:1",
                "http://[::1]:8080",
            ],
            &[
                "127.0.0.1",
                "https://a:1",
                "http://a:0",
                "http://a:1/x",
                "http://:1",
                "a:b",
                "http://u@a:1",
            ],
        );
    }

    #[test]
    fn urls_and_paths_are_plain() {
        check_all(
            URL,
            &["http://127.0.0.1:4317", "https://host/path"],
            &["127.0.0.1:4317", "http://", "ftp://x", "http://a b"],
        );
        check_all(HTTP_PATH, &["/metrics", "/"], &["metrics", "/a b", "/{x}", ""]);
    }
}
