//! A configuration's text, and findings shown in it.

use std::fmt::Write;

use ports::registry::Severity;

use super::finding::Finding;

/// Longest part of a line that is shown, characters: a file may be one long line of JSON.
const SHOWN_MAX: usize = 100;

/// A configuration's text, and what messages call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    pub name: String,
    pub text: String,
}

impl Text {
    pub(super) fn new(name: &str, text: &str) -> Text {
        Text {
            name: name.to_owned(),
            text: text.to_owned(),
        }
    }

    /// A finding as people read it:
    ///
    /// ```text
    /// error: unknown driver `embeded`, did you mean `embedded`?
    ///   --> belay.yaml:8:13  components.0.driver
    ///    |
    ///  8 |     driver: embeded
    ///    |             ^^^^^^^
    /// ```
    pub fn show(&self, finding: &Finding) -> String {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut shown = format!("{severity}: {}\n", finding.message);
        if finding.line == 0 {
            let place = if finding.path.is_empty() {
                &self.name
            } else {
                &finding.path
            };
            return shown + &format!("  --> {place}\n");
        }
        let place = format!("{}:{}:{}", self.name, finding.line, finding.column);
        // Formatting into a String does not fail.
        let _ = writeln!(shown, "{}", format!("  --> {place}  {}", finding.path).trim_end());
        if let Some(line) = self.text.lines().nth(finding.line - 1) {
            let number = finding.line.to_string();
            let margin = " ".repeat(number.len());
            let (part, before) = window(line, finding.column - 1);
            let width = finding
                .width
                .min(part.chars().count().saturating_sub(before))
                .max(1);
            let part = if is_sensitive(&finding.path) {
                mask(&part, before, width)
            } else {
                part
            };
            let _ = writeln!(shown, " {margin} |\n {number} | {part}");
            let _ = writeln!(shown, " {margin} | {}{}", " ".repeat(before), "^".repeat(width));
        }
        shown
    }
}

/// The part of a line around a column (from 0) that is shown, and how many characters of it are before that column.
fn window(line: &str, column: usize) -> (String, usize) {
    let clean = |character: char| if character.is_control() { ' ' } else { character };
    let length = line.chars().count();
    if length <= SHOWN_MAX {
        return (line.chars().map(clean).collect(), column.min(length));
    }
    let from = column.saturating_sub(SHOWN_MAX / 2).min(length - SHOWN_MAX);
    let part = line.chars().skip(from).take(SHOWN_MAX).map(clean).collect();
    (part, column - from)
}

/// Whether a value could be one that must not be shown, by its option's name.
fn is_sensitive(path: &str) -> bool {
    let name = path.rsplit('.').next().unwrap_or_default().to_lowercase();
    ["password", "secret", "token", "key", "credential"]
        .iter()
        .any(|word| name.ends_with(word))
}

/// From the finding's place on, what is written is only hinted at.
fn mask(line: &str, before: usize, width: usize) -> String {
    let kept: String = line.chars().take(before).collect();
    format!("{kept}{}", "*".repeat(width))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Span;
    use super::*;

    fn at(line: usize, column: usize, width: usize) -> Span {
        Span { line, column, width }
    }

    #[test]
    fn a_finding_is_shown_in_its_line() {
        let text = Text::new("belay.yaml", "a: 1\nb: x\n");
        let shown = text.show(&Finding::error(
            at(2, 4, 1),
            "b",
            "expected a number, found a text",
        ));
        let expected =
            "error: expected a number, found a text\n  --> belay.yaml:2:4  b\n   |\n 2 | b: x\n   |    ^\n";
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_finding_about_a_flag_has_no_line() {
        let shown =
            Text::new("x", "a").show(&Finding::warning(Span::default(), "--admin-listen", "it is open"));
        assert_eq!(shown, "warning: it is open\n  --> --admin-listen\n");
    }

    #[test]
    fn a_long_line_is_cut_around_the_finding() {
        let line = format!("{{{} \"bad\"", "\"a\": 1, ".repeat(100));
        let column = line.chars().count() - 4;
        let shown = Text::new("x", &line).show(&Finding::error(at(1, column, 5), "", "no"));
        let [.., excerpt, caret] = shown.lines().collect::<Vec<_>>()[..] else {
            panic!("{shown}");
        };
        assert_eq!(excerpt.chars().count(), SHOWN_MAX + " 1 | ".len());
        assert_eq!(excerpt.find("\"bad\""), caret.find('^'));
    }

    #[test]
    fn tabs_count_as_one_column() {
        let shown = Text::new("x", "\t\"a\": 1").show(&Finding::error(at(1, 2, 3), "a", "no"));
        assert!(shown.ends_with(" 1 |  \"a\": 1\n   |  ^^^\n"), "{shown}");
    }

    #[test]
    fn values_that_could_be_secret_are_not_shown() {
        let shown = Text::new("x", "password: hunter2 # really").show(&Finding::error(
            at(1, 11, 7),
            "settings.redisPassword",
            "no",
        ));
        assert!(
            !shown.contains("hunter2") && shown.contains("password: *******"),
            "{shown}"
        );
    }

    #[test]
    fn a_place_outside_of_the_text_is_only_named() {
        let text = Text::new("x", "a");
        assert!(
            text.show(&Finding::error(at(9, 1, 1), "", "no"))
                .ends_with("x:9:1\n")
        );
        assert!(text.show(&Finding::error(at(1, 50, 9), "", "no")).contains('^'));
    }
}
