//! `cargo xtask docs`: reference pages that the program itself writes, from the tables it works by.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{command, workspace};

struct Page {
    path: &'static str,
    /// Arguments of `belay` that print the page.
    arguments: &'static [&'static str],
}

/// Every page that the program writes.
const PAGES: &[Page] = &[
    Page {
        path: "docs/reference/belay.schema.json",
        arguments: &["schema"],
    },
    Page {
        path: "docs/reference/components.md",
        arguments: &["components", "--markdown"],
    },
];

/// Writes every page.
pub fn write() -> Result<()> {
    for page in PAGES {
        workspace::write(&workspace::root().join(page.path), &print(page)?)?;
    }
    Ok(())
}

/// Fails when a committed page is not what the program prints.
pub fn check() -> Result<()> {
    let mut stale = Vec::new();
    for page in PAGES {
        // A page that is missing or unreadable is stale too: writing it will tell.
        let committed = fs::read(workspace::root().join(page.path)).ok();
        if committed != Some(print(page)?) {
            stale.push(page.path);
        }
    }
    if !stale.is_empty() {
        bail!(
            "pages differ from what belay prints, run `cargo xtask docs`: {}",
            stale.join(", ")
        );
    }
    Ok(())
}

fn print(page: &Page) -> Result<Vec<u8>> {
    let run = ["run", "--quiet", "--package", "belay", "--"];
    command::output(&mut command::cargo(&[&run, page.arguments].concat()))
        .with_context(|| format!("print page {}", page.path))
}
