//! What the machine must have, and how it gets it.

use anyhow::{Result, bail};

use super::Language;
use crate::command;

/// Oldest JDK that the Java clients' build takes.
const JDK_VERSION_MIN: u32 = 17;
/// Oldest Go 1 that fetches the newer one which Restate's SDK asks for in its `go.mod`.
const GO_MINOR_MIN: u32 = 21;
/// Oldest Python 3 that Restate's SDK takes.
const PYTHON_MINOR_MIN: u32 = 10;

/// A program that the tests with a language's clients need.
struct Tool {
    name: &'static str,
    language: Language,
    works: fn() -> bool,
    /// Debian packages that bring it; the first one that the system knows is installed.
    packages: &'static [&'static str],
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "nginx",
        language: Language::Rust,
        // Not on everybody's path.
        works: || {
            let usual = ["nginx", "/usr/sbin/nginx", "/usr/local/sbin/nginx"];
            usual.iter().any(|name| command::answer(name, &["-v"]).is_some())
        },
        packages: &["nginx-light", "nginx"],
    },
    Tool {
        name: "unshare",
        language: Language::Rust,
        works: || command::answer("unshare", &["--version"]).is_some(),
        packages: &["util-linux"],
    },
    Tool {
        name: "node",
        language: Language::Js,
        works: || command::answer("node", &["--version"]).is_some(),
        packages: &["nodejs"],
    },
    Tool {
        name: "npm",
        language: Language::Js,
        works: || command::answer("npm", &["--version"]).is_some(),
        packages: &["npm"],
    },
    Tool {
        name: "JDK 17 or newer",
        language: Language::Java,
        works: || {
            command::answer("javac", &["-version"])
                .and_then(|text| jdk_version(&text))
                .is_some_and(|version| version >= JDK_VERSION_MIN)
        },
        packages: &["openjdk-17-jdk-headless", "default-jdk-headless"],
    },
    Tool {
        name: "maven",
        language: Language::Java,
        works: || command::answer("mvn", &["--version"]).is_some(),
        packages: &["maven"],
    },
    Tool {
        name: "Go 1.21 or newer",
        language: Language::Go,
        works: || {
            command::answer("go", &["version"])
                .and_then(|text| go_minor(&text))
                .is_some_and(|minor| minor >= GO_MINOR_MIN)
        },
        packages: &["golang-go"],
    },
    Tool {
        name: "Python 3.10 or newer",
        language: Language::Python,
        works: || {
            command::answer("python3", &["--version"])
                .and_then(|text| python_minor(&text))
                .is_some_and(|minor| minor >= PYTHON_MINOR_MIN)
        },
        packages: &["python3"],
    },
    Tool {
        name: "venv of Python",
        language: Language::Python,
        works: || command::answer("python3", &["-m", "ensurepip", "--version"]).is_some(),
        packages: &["python3-venv"],
    },
];

/// Installs rustfmt and clippy where rustup can and the toolchain lacks them.
pub(super) fn ensure_components() -> Result<()> {
    let components = [("fmt", "rustfmt"), ("clippy", "clippy")];
    for (subcommand, component) in components {
        if command::answer("cargo", &[subcommand, "--version"]).is_none() {
            command::run(&mut command::program("rustup", &["component", "add", component]))?;
        }
    }
    Ok(())
}

/// Installs what the languages' tests need and the machine lacks.
pub(super) fn ensure_packages(only: Option<Language>) -> Result<()> {
    let missing = missing(only);
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("missing: {}", names(&missing));
    if command::answer("apt-get", &["--version"]).is_none() {
        bail!("no apt-get here to install {}", names(&missing));
    }
    apt_get(&["update"])?;
    let packages = missing.iter().map(|tool| package(tool));
    let install: Vec<&str> = ["install", "--yes", "--no-install-recommends"]
        .into_iter()
        .chain(packages)
        .collect();
    apt_get(&install)?;
    let missing = self::missing(only);
    if !missing.is_empty() {
        bail!("still missing after the installation: {}", names(&missing));
    }
    Ok(())
}

fn missing(only: Option<Language>) -> Vec<&'static Tool> {
    let mut tools = needed(only);
    tools.retain(|tool| !(tool.works)());
    tools
}

fn needed(only: Option<Language>) -> Vec<&'static Tool> {
    TOOLS
        .iter()
        .filter(|tool| only.is_none_or(|only| only == tool.language))
        .collect()
}

fn names(tools: &[&Tool]) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name).collect();
    names.join(", ")
}

fn package(tool: &Tool) -> &'static str {
    let known = |name: &&&str| command::answer("apt-cache", &["show", name]).is_some();
    tool.packages.iter().find(known).unwrap_or(&tool.packages[0])
}

fn apt_get(arguments: &[&str]) -> Result<()> {
    let root = command::answer("id", &["-u"]).is_some_and(|id| id.trim() == "0");
    let sudo: &[&str] = if root { &[] } else { &["sudo"] };
    let apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
    let words = [sudo, &apt, arguments].concat();
    command::run(&mut command::program(words[0], &words[1..]))
}

/// The major version that `javac -version` tells.
fn jdk_version(text: &str) -> Option<u32> {
    let line = text.lines().find_map(|line| line.strip_prefix("javac "))?;
    line.split(|letter: char| !letter.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// The minor version that `go version` tells, of Go 1.
fn go_minor(text: &str) -> Option<u32> {
    let version = text
        .split_whitespace()
        .find_map(|word| word.strip_prefix("go1."))?;
    version
        .split(|letter: char| !letter.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

/// The minor version that `python3 --version` tells.
fn python_minor(text: &str) -> Option<u32> {
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("3."))?;
    version
        .split(|letter: char| !letter.is_ascii_digit())
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jdk_versions_are_read() {
        assert_eq!(jdk_version("javac 17.0.15\n"), Some(17));
        assert_eq!(
            jdk_version("Picked up JAVA_TOOL_OPTIONS: -Xmx1g\njavac 21\n"),
            Some(21)
        );
        assert_eq!(jdk_version("javac 1.8.0_402\n"), Some(1));
        assert_eq!(jdk_version("no java here"), None);
    }

    #[test]
    fn go_versions_are_read() {
        assert_eq!(go_minor("go version go1.19.8 linux/amd64\n"), Some(19));
        assert_eq!(go_minor("go version go1.21rc2 linux/arm64\n"), Some(21));
        assert_eq!(go_minor("no go here"), None);
    }

    #[test]
    fn python_versions_are_read() {
        assert_eq!(python_minor("Python 3.11.7\n"), Some(11));
        assert_eq!(python_minor("Python 2.7.18\n"), None);
    }

    #[test]
    fn a_language_needs_only_its_own_tools() {
        let names = |language| names(&needed(Some(language)));
        assert_eq!(names(Language::Rust), "nginx, unshare");
        assert_eq!(names(Language::Js), "node, npm");
        assert_eq!(names(Language::Java), "JDK 17 or newer, maven");
        assert_eq!(names(Language::Go), "Go 1.21 or newer");
        assert_eq!(names(Language::Python), "Python 3.10 or newer, venv of Python");
    }
}
