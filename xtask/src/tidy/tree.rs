//! The committed files.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result};

use crate::{command, workspace};

/// Text files by path from the workspace's root, with `/` between folders. Binary files have no text.
pub(super) struct Tree(BTreeMap<String, Option<String>>);

impl Tree {
    /// Every file that is committed or would be: what git tracks and what it does not ignore.
    pub(super) fn read() -> Result<Tree> {
        let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
        let list = command::output(&mut command::program("git", &arguments))
            .context("tidy asks git which files are committed")?;
        let mut files = BTreeMap::new();
        for path in String::from_utf8(list)?.split_terminator('\0') {
            let file = workspace::root().join(path);
            // A file that was deleted and not yet committed is still in git's list.
            if file.is_file() {
                let content = fs::read(&file).with_context(|| format!("read {path}"))?;
                files.insert(path.to_owned(), text(content));
            }
        }
        Ok(Tree(files))
    }

    /// Text files with that ending, as path and text; all of them for an empty ending.
    pub(super) fn texts<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0
            .iter()
            .filter(move |(path, _)| path.ends_with(ending))
            .filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path)?.as_deref()
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there is a file or folder of that path.
    pub(super) fn contains(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self.0.contains_key(path)
            || self
                .0
                .range(folder.clone()..)
                .next()
                .is_some_and(|(path, _)| path.starts_with(&folder))
    }
}

fn text(content: Vec<u8>) -> Option<String> {
    String::from_utf8(content)
        .ok()
        .filter(|text| !text.contains('\0'))
}

#[cfg(test)]
impl Tree {
    pub(super) fn of(files: &[(&str, &str)]) -> Tree {
        Tree(
            files
                .iter()
                .map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned())))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_contained_and_parts_of_names_are_not() {
        let tree = Tree::of(&[("docs/errors/one.md", "")]);
        assert!(tree.contains("docs/errors/one.md") && tree.contains("docs/errors") && tree.contains(""));
        assert!(!tree.contains("docs/err") && !tree.contains("docs/errors/one"));
    }

    #[test]
    fn binary_files_have_no_text() {
        assert_eq!(text(vec![b'a', 0]), None);
        assert_eq!(text(vec![0xff]), None);
        assert_eq!(text(vec![b'a']), Some("a".to_owned()));
    }
}
