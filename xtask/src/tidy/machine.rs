//! No committed file names a place on somebody's machine.

use super::Finding;
use super::tree::Tree;

/// Folders at the root of developers' machines. Without slashes here, so that this file passes its own check.
const FOLDERS: &[&str] = &["work", "root", "farm", "home"];

/// One finding for each line with an absolute path below such a folder.
pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts("") {
        for (index, line) in text.lines().enumerate() {
            if let Some(folder) = FOLDERS.iter().find(|folder| names(line, folder)) {
                let message =
                    format!("path of one machine (/{folder}/...), name a place in the repository instead");
                findings.push(Finding::new(path, index + 1, message));
            }
        }
    }
    findings
}

/// Whether a line has an absolute path below a folder: `/name/` that does not go on from a relative path or a URL.
fn names(line: &str, folder: &str) -> bool {
    let start = format!("/{folder}/");
    line.match_indices(&start).any(|(index, _)| {
        !line[..index].ends_with(|letter: char| letter.is_alphanumeric() || "._-~})*".contains(letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text with each `@` replaced by a slash, so that this file passes its own check.
    fn is_found(text: &str) -> bool {
        !check(&Tree::of(&[("a.md", &text.replace('@', "/"))])).is_empty()
    }

    #[test]
    fn absolute_paths_are_found_anywhere_in_a_line() {
        assert!(is_found("@work@main"));
        assert!(is_found("see `@home@me@x`"));
        assert!(is_found("file:@@@root@x"));
        assert!(is_found("PATH=@root@bin"));
    }

    #[test]
    fn relative_paths_and_addresses_are_not() {
        assert!(!is_found("crates@work@src and ..@work@x"));
        assert!(!is_found("https:@@example.com@home@x"));
        assert!(!is_found("$HOME@work@x ${DIR}@work@x **@home@x"));
        assert!(!is_found("@workers@x @roots"));
    }

    #[test]
    fn the_line_is_told() {
        let findings = check(&Tree::of(&[("a.md", &"fine\nin @work@x\n".replace('@', "/"))]));
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].path.as_str(), findings[0].line), ("a.md", 2));
    }
}
