//! Documents: links lead somewhere, every error code has its page, every crate is on the map.

use std::collections::BTreeMap;

use proc_macro2::{TokenStream, TokenTree};

use super::Finding;
use super::tree::Tree;

const CODES: &str = "crates/base/src/codes.rs";
const CODE_PAGES: &str = "docs/errors/";
const CODE_START: &str = "BLY";
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Findings for relative links in Markdown files that lead nowhere.
pub(super) fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts(".md") {
        for (line, target) in targets(text) {
            if resolve(path, &target).is_none_or(|target| !tree.contains(&target)) {
                let message = format!("link to {target} leads nowhere, correct it or commit what it names");
                findings.push(Finding::new(path, line, message));
            }
        }
    }
    findings
}

/// The line and file of every relative link outside code.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut targets = Vec::new();
    let mut fence: Option<&str> = None;
    for (index, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (None, None) => targets.extend(
                targets_in_line(line)
                    .into_iter()
                    .map(|target| (index + 1, target)),
            ),
            _ => {}
        }
    }
    targets
}

fn targets_in_line(line: &str) -> Vec<String> {
    // What stands between backticks is code.
    let prose: Vec<&str> = line.split('`').step_by(2).collect();
    let prose = prose.join("`");
    let inline = prose
        .split("](")
        .skip(1)
        .map(|rest| rest.split(')').next().unwrap_or(rest));
    let definition = prose
        .strip_prefix('[')
        .filter(|rest| !rest.starts_with('^'))
        .and_then(|rest| rest.split_once("]:"))
        .map(|(_, target)| target);
    inline.chain(definition).filter_map(file_of_link).collect()
}

/// The file part of a link, without its title and anchor; nothing for links to elsewhere or to the same page.
fn file_of_link(link: &str) -> Option<String> {
    let link = link.trim();
    let address = match link.strip_prefix('<') {
        Some(rest) => rest.split('>').next()?,
        None => link.split_whitespace().next()?,
    };
    let file = address.split(['#', '?']).next()?;
    let elsewhere = address.starts_with("//") || address.contains("://") || address.starts_with("mailto:");
    (!elsewhere && !file.is_empty()).then(|| file.replace("%20", " "))
}

/// The path from the workspace's root that a link on a page means; nothing when it leaves the workspace.
fn resolve(page: &str, target: &str) -> Option<String> {
    let from_root = target.starts_with('/');
    let mut parts: Vec<&str> = if from_root {
        Vec::new()
    } else {
        page.split('/').collect()
    };
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Findings for error codes without a page and pages without a code.
pub(super) fn error_codes(tree: &Tree) -> Vec<Finding> {
    let codes = codes(tree.text(CODES).unwrap_or_default());
    if codes.is_empty() {
        let message =
            format!("no error code found, is the table elsewhere now? xtask/src/tidy/pages.rs reads {CODES}");
        return vec![Finding::new(CODES, 1, message)];
    }
    let page = |code: &str| format!("{CODE_PAGES}{code}.md");
    let missing = codes
        .iter()
        .filter(|(code, _)| tree.text(&page(code)).is_none_or(|text| text.trim().is_empty()))
        .map(|(code, line)| Finding::new(CODES, *line, format!("{code} has no page, write {}", page(code))));
    let left_over = tree
        .paths()
        .filter(|path| path.starts_with(CODE_PAGES))
        .filter(|path| {
            let name = path[CODE_PAGES.len()..].strip_suffix(".md").unwrap_or_default();
            name.starts_with(CODE_START) && !codes.contains_key(name)
        })
        .map(|path| {
            Finding::new(
                path,
                1,
                format!("no such code in {CODES}, delete the page or correct its name"),
            )
        });
    missing.chain(left_over).collect()
}

/// Every code of the table, `NAME = "BLYnnnn", ...`, and its line.
fn codes(table: &str) -> BTreeMap<String, usize> {
    let mut codes = BTreeMap::new();
    if let Ok(tokens) = table.parse() {
        collect_codes(tokens, &mut codes);
    }
    codes
}

fn collect_codes(tokens: TokenStream, codes: &mut BTreeMap<String, usize>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (index, token) in tokens.iter().enumerate() {
        match (token, tokens.get(index + 1)) {
            (TokenTree::Group(group), _) => collect_codes(group.stream(), codes),
            (TokenTree::Punct(equals), Some(TokenTree::Literal(literal))) if equals.as_char() == '=' => {
                let text = literal.to_string();
                let code = text.trim_matches('"');
                if code.starts_with(CODE_START) {
                    codes.insert(code.to_owned(), literal.span().start().line);
                }
            }
            _ => {}
        }
    }
}

/// Findings for crates that the code map does not mention.
pub(super) fn code_map(tree: &Tree) -> Vec<Finding> {
    let map = tree.text(ARCHITECTURE).unwrap_or_default();
    let folders = tree
        .paths()
        .filter_map(|path| path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml"));
    folders
        .filter(|folder| !mentions(map, folder))
        .map(|folder| {
            let message = format!("crate folder crates/{folder} is not mentioned, say what it is for");
            Finding::new(ARCHITECTURE, 1, message)
        })
        .collect()
}

/// Whether a text has a folder's name as one, `name/`, or as code.
fn mentions(text: &str, folder: &str) -> bool {
    let is_name = |letter: char| letter.is_alphanumeric() || "-_".contains(letter);
    text.match_indices(folder).any(|(index, _)| {
        let (before, after) = (&text[..index], &text[index + folder.len()..]);
        let in_path = before.ends_with("crates/") && !after.starts_with(is_name);
        let as_folder = !before.ends_with(is_name) && after.starts_with('/');
        let as_code = before.ends_with('`') && after.starts_with('`');
        in_path || as_folder || as_code
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(findings: &[Finding]) -> Vec<String> {
        findings
            .iter()
            .map(|finding| format!("{}:{}", finding.path, finding.line))
            .collect()
    }

    fn check_links(text: &str, expected: &[&str]) {
        let tree = Tree::of(&[("docs/a.md", text), ("docs/b.md", ""), ("README.md", "")]);
        assert_eq!(shown(&links(&tree)), expected, "{text}");
    }

    #[test]
    fn links_that_resolve_are_fine() {
        check_links(
            "[b](b.md) [c](./b.md#part \"title\") ![d](../README.md) [e](/docs) [f](<b.md>)",
            &[],
        );
        check_links(
            "[x]: b.md\n[^1]: no link\n[self](#part) [web](https://a/b.md) [m](mailto:a@b)",
            &[],
        );
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        check_links("fine\n[b](c.md)", &["docs/a.md:2"]);
        check_links("[b](b.md) and [c](../docs/c.md#part)", &["docs/a.md:1"]);
        check_links("[x]: ../c.md", &["docs/a.md:1"]);
        check_links("[out](../../b.md)", &["docs/a.md:1"]);
        check_links("[root](/b.md)", &["docs/a.md:1"]);
    }

    #[test]
    fn code_has_no_links() {
        check_links("```\n[b](c.md)\n~~~\n```\n`[b](c.md)`", &[]);
        check_links("```\n```\n[b](c.md)", &["docs/a.md:3"]);
    }

    fn check_codes(pages: &[(&str, &str)], expected: &[&str]) {
        let table = "codes! {\n    A = \"BLY0001\", Internal, \"a\";\n    B = \"BLY0002\", Internal, \"b\";\n}\n\
            fn test() { find(\"BLY9999\"); }\n";
        let files: Vec<(&str, &str)> = pages.iter().copied().chain([(CODES, table)]).collect();
        assert_eq!(shown(&error_codes(&Tree::of(&files))), expected);
    }

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let (one, two) = (
            ("docs/errors/BLY0001.md", "one"),
            ("docs/errors/BLY0002.md", "two"),
        );
        check_codes(&[one, two, ("docs/errors/README.md", "")], &[]);
        check_codes(&[one], &["crates/base/src/codes.rs:3"]);
        check_codes(
            &[one, ("docs/errors/BLY0002.md", " \n")],
            &["crates/base/src/codes.rs:3"],
        );
        check_codes(
            &[one, two, ("docs/errors/BLY9999.md", "")],
            &["docs/errors/BLY9999.md:1"],
        );
    }

    #[test]
    fn a_table_without_codes_is_a_finding() {
        assert_eq!(
            shown(&error_codes(&Tree::of(&[(CODES, "")]))),
            ["crates/base/src/codes.rs:1"]
        );
    }

    fn check_map(map: &str, expected: usize) {
        let files = [("crates/base/Cargo.toml", ""), (ARCHITECTURE, map)];
        assert_eq!(code_map(&Tree::of(&files)).len(), expected, "{map}");
    }

    #[test]
    fn every_crate_is_on_the_map() {
        check_map("  base/   what others stand on", 0);
        check_map("see `base` and crates/base.", 0);
        check_map("a database/ based on the base of crates/base-two", 1);
        check_map("", 1);
    }
}
