//! `cargo xtask tidy`: the rules of this repository that compilers do not know.
//!
//! Each file here is one group of checks. A check is a function of a `tree::Tree` that returns findings, so that its
//! own tests can show it bad input.

use std::fmt;

use anyhow::{Result, bail};

mod tree;

mod crates;
mod machine;
mod pages;
mod rust;

use tree::Tree;

/// One place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// From the workspace's root.
    path: String,
    /// From 1.
    line: usize,
    /// What is wrong and what to do.
    message: String,
}

impl Finding {
    fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Finding {
        Finding {
            path: path.into(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.message)
    }
}

/// Prints every finding; fails when there is one.
pub fn run() -> Result<()> {
    let findings = findings()?;
    for finding in &findings {
        println!("{finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => bail!("tidy has {count} findings"),
    }
}

/// Every finding in this workspace, in order of path and line.
pub fn findings() -> Result<Vec<Finding>> {
    let tree = Tree::read()?;
    let mut findings = crates::check(&tree, &crates::read()?);
    findings.extend(rust::check(&tree));
    findings.extend(machine::check(&tree));
    findings.extend(pages::links(&tree));
    findings.extend(pages::error_codes(&tree));
    findings.extend(pages::code_map(&tree));
    findings.sort();
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_workspace_is_tidy() {
        let findings = findings().expect("the workspace can be read");
        let list: String = findings.iter().map(|finding| format!("\n{finding}")).collect();
        assert!(findings.is_empty(), "{list}");
    }

    #[test]
    fn a_finding_is_printed_so_that_editors_can_jump_to_it() {
        let finding = Finding::new("a/b.rs", 7, "too long, split it");
        assert_eq!(finding.to_string(), "a/b.rs:7: too long, split it");
    }
}
