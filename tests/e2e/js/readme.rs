//! The README as a list of what it tells its reader to type.

use std::path::Path;

pub(super) struct Section(String);

impl Section {
    /// The section under that heading.
    pub(super) fn of_the_readme(heading: &str) -> Section {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let text = std::fs::read_to_string(path).expect("there is a README");
        let start = format!("\n## {heading}\n");
        let (_, section) = text
            .split_once(&start)
            .unwrap_or_else(|| panic!("the README has no section '{heading}'"));
        let end = section.find("\n## ").unwrap_or(section.len());
        Section(section[..end].to_owned())
    }

    /// Fenced blocks of that language, each with the text between it and the one before.
    fn fences(&self, language: &str) -> Vec<(String, String)> {
        let mut found = vec![];
        let mut parts = self.0.split("```");
        while let (Some(before), Some(block)) = (parts.next(), parts.next()) {
            let (named, text) = block.split_once('\n').expect("a block has lines");
            if named == language {
                found.push((before.to_owned(), text.to_owned()));
            }
        }
        found
    }

    /// Blocks of shell commands, as lines.
    pub(super) fn shell<const N: usize>(&self) -> [Vec<String>; N] {
        let lines = |(_, text): (_, String)| text.lines().map(str::to_owned).collect();
        let blocks: Vec<Vec<String>> = self.fences("sh").into_iter().map(lines).collect();
        let count = blocks.len();
        blocks
            .try_into()
            .unwrap_or_else(|_| panic!("{count} blocks of shell commands instead of {N}"))
    }

    /// What is said to be printed.
    pub(super) fn printed(&self) -> String {
        let blocks = self.fences("");
        assert_eq!(blocks.len(), 1, "one block shows an output");
        blocks[0].1.clone()
    }

    /// Programs, and the files that they are to be put into: the last one that is named before the block.
    pub(super) fn files(&self) -> Vec<(String, String)> {
        let named = |(before, text): (String, String)| {
            let spans = spans(&before);
            let file = spans
                .iter()
                .rfind(|span| span.ends_with(".js") && span.contains('/'));
            let file = file.unwrap_or_else(|| panic!("the README does not say where this goes:\n{text}"));
            ((*file).to_owned(), text)
        };
        self.fences("js").into_iter().map(named).collect()
    }

    /// Commands within sentences, in order.
    pub(super) fn commands(&self) -> Vec<String> {
        let prose: String = self.0.split("```").step_by(2).collect();
        let is_command = |span: &&str| span.starts_with("node ") || span.starts_with("cargo ");
        spans(&prose)
            .into_iter()
            .filter(is_command)
            .map(str::to_owned)
            .collect()
    }
}

fn spans(prose: &str) -> Vec<&str> {
    prose.split('`').skip(1).step_by(2).collect()
}
