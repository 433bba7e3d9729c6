//! Which crate may use which: the table of the design, section 2.

use anyhow::{Context, Result};
use serde_json::Value;

use super::Finding;
use super::tree::Tree;
use crate::{command, workspace};

/// What a crate may use of ours.
enum Uses {
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

/// The table. A trailing `*` stands for any ending.
const TABLE: &[(&str, Uses)] = &[
    ("base", Uses::Only(&[])),
    ("wire", Uses::Only(&["base"])),
    ("ports", Uses::Only(&["base"])),
    ("machines", Uses::Only(&["base"])),
    ("host", Uses::Only(&["base", "ports", "machines"])),
    ("drivers", Uses::Only(&["base", "ports"])),
    ("api-*", Uses::Only(&["base", "wire", "ports", "machines"])),
    ("query", Uses::Only(&["base", "ports", "machines"])),
    ("belay", Uses::AllBut(&[])),
    ("testkit", Uses::AllBut(&["belay"])),
    ("tests", Uses::AllBut(&[])),
    ("xtask", Uses::Only(&[])),
];

/// What the tests of every crate may use besides.
const FOR_TESTS: &str = "testkit";

/// A member of the workspace.
#[derive(Debug)]
pub(super) struct Crate {
    name: String,
    /// Path of its Cargo.toml.
    manifest: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    for_tests: bool,
}

/// The members and their direct dependencies, as cargo sees them.
pub(super) fn read() -> Result<Vec<Crate>> {
    let arguments = ["metadata", "--no-deps", "--format-version", "1"];
    let metadata = command::output(&mut command::cargo(&arguments))?;
    let metadata: Value = serde_json::from_slice(&metadata)?;
    members(&metadata).context("cargo metadata has another shape than expected")
}

fn members(metadata: &Value) -> Option<Vec<Crate>> {
    metadata["packages"].as_array()?.iter().map(member).collect()
}

fn member(package: &Value) -> Option<Crate> {
    let root = workspace::root();
    let manifest = package["manifest_path"].as_str()?;
    let manifest = std::path::Path::new(manifest).strip_prefix(root).ok()?;
    let dependencies = package["dependencies"].as_array()?.iter();
    Some(Crate {
        name: package["name"].as_str()?.to_owned(),
        manifest: manifest.to_str()?.to_owned(),
        dependencies: dependencies.map(dependency).collect::<Option<_>>()?,
    })
}

fn dependency(dependency: &Value) -> Option<Dependency> {
    Some(Dependency {
        name: dependency["name"].as_str()?.to_owned(),
        for_tests: dependency["kind"] == "dev",
    })
}

/// Findings for each dependency that the table does not have, and each crate that it does not know.
pub(super) fn check(tree: &Tree, crates: &[Crate]) -> Vec<Finding> {
    crates
        .iter()
        .flat_map(|member| check_crate(tree, crates, member))
        .collect()
}

fn check_crate(tree: &Tree, crates: &[Crate], member: &Crate) -> Vec<Finding> {
    let Some(uses) = uses(&member.name) else {
        let message = format!(
            "crate {} is not in the dependency table, add it to ARCHITECTURE.md and xtask/src/tidy/crates.rs",
            member.name
        );
        return vec![Finding::new(&member.manifest, 1, message)];
    };
    let is_ours = |name: &str| crates.iter().any(|member| member.name == name);
    let refused = member.dependencies.iter().filter(|dependency| {
        is_ours(&dependency.name)
            && !allows(uses, &dependency.name)
            && !(dependency.for_tests && dependency.name == FOR_TESTS)
    });
    let finding = |dependency: &Dependency| {
        let message = format!(
            "{} may not use {}: move what is needed to a crate below both, or hand it in through a port",
            member.name, dependency.name
        );
        let line = line_of(tree.text(&member.manifest).unwrap_or_default(), &dependency.name);
        Finding::new(&member.manifest, line, message)
    };
    refused.map(finding).collect()
}

fn uses(name: &str) -> Option<&'static Uses> {
    let matches = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    TABLE
        .iter()
        .find(|(pattern, _)| matches(pattern))
        .map(|(_, uses)| uses)
}

fn allows(uses: &Uses, name: &str) -> bool {
    match uses {
        Uses::Only(names) => names.contains(&name),
        Uses::AllBut(names) => !names.contains(&name),
    }
}

/// The line of a manifest that starts with a dependency's name, or the first.
fn line_of(manifest: &str, name: &str) -> usize {
    let names = |line: &str| {
        line.trim_start()
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    };
    manifest.lines().position(names).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Findings for one crate among members of every name in the table.
    fn check_one(name: &str, dependencies: &[(&str, bool)]) -> Vec<String> {
        let member = |name: &str, dependencies: &[(&str, bool)]| Crate {
            name: name.to_owned(),
            manifest: format!("crates/{name}/Cargo.toml"),
            dependencies: dependencies
                .iter()
                .map(|&(name, for_tests)| Dependency {
                    name: name.to_owned(),
                    for_tests,
                })
                .collect(),
        };
        let mut crates: Vec<Crate> = TABLE.iter().map(|(name, _)| member(name, &[])).collect();
        crates.push(member(name, dependencies));
        let manifest = format!("crates/{name}/Cargo.toml");
        let tree = Tree::of(&[(
            &manifest,
            "[dependencies]\nhost-name = 1\nhost.workspace = true\n",
        )]);
        check(&tree, &crates)
            .iter()
            .map(|finding| format!("{}: {}", finding.line, finding.message))
            .filter(|finding| !finding.contains("api-* "))
            .collect()
    }

    #[test]
    fn what_the_table_has_is_allowed() {
        assert!(check_one("api-new", &[("base", false), ("wire", false), ("serde", false)]).is_empty());
        assert!(check_one("belay", &[("host", false), ("drivers", false)]).is_empty());
        assert!(check_one("testkit", &[("host", false)]).is_empty());
    }

    #[test]
    fn what_the_table_lacks_is_refused_with_its_line() {
        let findings = check_one("api-new", &[("base", false), ("host", false)]);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(
            findings[0].starts_with("3: api-new may not use host"),
            "{findings:?}"
        );
        assert_eq!(check_one("base", &[("wire", false)]).len(), 1);
        assert_eq!(check_one("testkit", &[("belay", false)]).len(), 1);
    }

    #[test]
    fn testkit_is_for_tests_only() {
        assert!(check_one("ports", &[("testkit", true)]).is_empty());
        assert_eq!(check_one("ports", &[("testkit", false)]).len(), 1);
        assert_eq!(check_one("ports", &[("host", true)]).len(), 1);
    }

    #[test]
    fn an_unknown_crate_is_reported() {
        let findings = check_one("surprise", &[]);
        assert!(
            findings[0].contains("not in the dependency table"),
            "{findings:?}"
        );
    }

    #[test]
    fn every_member_of_this_workspace_is_read() {
        let names: Vec<String> = read()
            .expect("cargo answers")
            .into_iter()
            .map(|member| member.name)
            .collect();
        for name in ["base", "belay", "tests", "xtask"] {
            assert!(names.iter().any(|member| member == name), "{name} in {names:?}");
        }
    }
}
