//! Path templates of `google.api.http`.
//!
//! ```text
//! template = "/" segments [ ":" literal ]
//! segments = segment { "/" segment }
//! segment  = "*" | "**" | literal | "{" field [ "=" segments ] "}"
//! field    = name { "." name }
//! ```
//!
//! | part              | matches, in the path as it was sent (percent-encoded)              |
//! |-------------------|--------------------------------------------------------------------|
//! | literal           | itself, however it is encoded                                      |
//! | `*` and `{field}` | any run without `/` and `:`, the empty one too                     |
//! | `**`, only last   | all that is left, `/` and `:` included; at least the `/` before it |
//! | `:verb`           | the end of the path                                                |

use std::borrow::Cow;
use std::ops::Range;

use percent_encoding::percent_decode_str;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    segments: Vec<Segment>,
    pub(crate) variables: Vec<Variable>,
    verb: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    One,
    Rest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    /// A field path, names joined by dots.
    pub(crate) field: String,
    segments: Range<usize>,
}

impl Template {
    /// The error says what is wrong, not with which template.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser {
            rest: text,
            template: Self {
                segments: vec![],
                variables: vec![],
                verb: None,
            },
        };
        if !parser.take('/') {
            return Err("it does not begin with /".into());
        }
        parser.segments(Place::Path)?;
        if parser.take(':') {
            parser.template.verb = Some(parser.literal()?);
        }
        match parser.rest {
            "" => Ok(parser.template),
            rest => Err(format!("{rest:?} is not expected where it stands")),
        }
    }

    /// What the path has for each variable, still encoded.
    pub(crate) fn matched<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        let path = match &self.verb {
            Some(verb) => path.strip_suffix(verb.as_str())?.strip_suffix(':')?,
            None => path,
        };
        let pieces = self.pieces(path)?;
        let variables = self.variables.iter();
        let values = variables.map(|variable| {
            let own = pieces.get(variable.segments.clone())?;
            path.get(own.first()?.start..own.last()?.end)
        });
        values.collect()
    }

    /// Where in the path each segment's piece is.
    fn pieces(&self, path: &str) -> Option<Vec<Range<usize>>> {
        let mut pieces = Vec::with_capacity(self.segments.len());
        let mut slash = path.starts_with('/').then_some(0);
        for segment in &self.segments {
            let start = slash? + 1;
            let rest = path.get(start..)?;
            slash = match segment {
                Segment::Rest => None,
                _ => rest.find('/').map(|index| start + index),
            };
            let piece = start..slash.unwrap_or(path.len());
            if !segment.matches(path.get(piece.clone())?) {
                return None;
            }
            pieces.push(piece);
        }
        slash.is_none().then_some(pieces)
    }
}

impl Segment {
    fn matches(&self, piece: &str) -> bool {
        match self {
            Self::Literal(literal) => literal == piece || decoded(literal) == decoded(piece),
            Self::One => !piece.contains(':'),
            Self::Rest => true,
        }
    }
}

fn decoded(text: &str) -> Cow<'_, [u8]> {
    percent_decode_str(text).into()
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Path,
    Variable,
}

struct Parser<'t> {
    rest: &'t str,
    template: Template,
}

impl Parser<'_> {
    fn segments(&mut self, place: Place) -> Result<(), String> {
        loop {
            self.segment(place)?;
            if !self.take('/') {
                return Ok(());
            }
        }
    }

    fn segment(&mut self, place: Place) -> Result<(), String> {
        if self.template.segments.last() == Some(&Segment::Rest) {
            return Err("** is only allowed at the end".into());
        }
        let segment = match self.rest.chars().next() {
            Some('{') if place == Place::Variable => return Err("a variable stands within a variable".into()),
            Some('{') => return self.variable(),
            Some('*') => self.star(),
            _ => Segment::Literal(self.literal()?),
        };
        self.template.segments.push(segment);
        Ok(())
    }

    fn star(&mut self) -> Segment {
        self.take('*');
        match self.take('*') {
            true => Segment::Rest,
            false => Segment::One,
        }
    }

    fn variable(&mut self) -> Result<(), String> {
        self.take('{');
        let field = self.field()?;
        let start = self.template.segments.len();
        match self.take('=') {
            true => self.segments(Place::Variable)?,
            false => self.template.segments.push(Segment::One),
        }
        if !self.take('}') {
            return Err(format!("the variable {field} is not closed"));
        }
        let segments = start..self.template.segments.len();
        self.template.variables.push(Variable { field, segments });
        Ok(())
    }

    fn field(&mut self) -> Result<String, String> {
        let field = self.take_while(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.'));
        let is_name =
            |name: &str| name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        match field.split('.').all(is_name) {
            true => Ok(field),
            false => Err(format!("{field:?} is no name of a field")),
        }
    }

    fn literal(&mut self) -> Result<String, String> {
        let literal = self.take_while(|letter| !matches!(letter, '/' | ':' | '*' | '{' | '}'));
        match literal.is_empty() {
            true => Err("a part of the path is empty".into()),
            false => Ok(literal),
        }
    }

    fn take(&mut self, expected: char) -> bool {
        let rest = self.rest.strip_prefix(expected);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> String {
        let end = self.rest.find(|letter| !wanted(letter));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, path: &str, expected: Option<&[&str]>) {
        let template = Template::parse(template).expect("a template");
        assert_eq!(template.matched(path).as_deref(), expected, "{path}");
    }

    #[track_caller]
    fn refused(template: &str, expected: &str) {
        assert_eq!(Template::parse(template), Err(expected.into()), "{template}");
    }

    #[test]
    fn literals_match_themselves() {
        check("/v1/items", "/v1/items", Some(&[]));
        check("/v1/items", "/v1/it%65ms", Some(&[]));
        check("/v1/it%65ms", "/v1/items", Some(&[]));
        check("/v1/items", "/v1/items/", None);
        check("/v1/items", "/v1/item", None);
        check("/v1/items", "/v1", None);
        check("/v1/items", "v1/items", None);
        check("/v1/items", "", None);
    }

    #[test]
    fn a_variable_is_one_run_without_slash_and_colon() {
        check("/v1/items/{id}", "/v1/items/7", Some(&["7"]));
        check("/v1/items/{id}", "/v1/items/", Some(&[""]));
        check("/v1/items/{id}", "/v1/items", None);
        check("/v1/items/{id}", "/v1/items/7/", None);
        check("/v1/items/{id}", "/v1/items/7:restock", None);
        check("/v1/items/{id}", "/v1/items/a%2Fb%3Ac", Some(&["a%2Fb%3Ac"]));
        check("/v1/{a}/x/{b}", "/v1/1/x/2", Some(&["1", "2"]));
        check("/v1/{a}/x/{b}", "/v1//x/", Some(&["", ""]));
    }

    #[test]
    fn a_variable_may_span_segments() {
        check(
            "/v1/{name=shelves/*/books/*}",
            "/v1/shelves/1/books/2",
            Some(&["shelves/1/books/2"]),
        );
        check("/v1/{name=shelves/*/books/*}", "/v1/shelves/1/book/2", None);
        check(
            "/v1/{name=shelves/*}/{b}",
            "/v1/shelves/1/2",
            Some(&["shelves/1", "2"]),
        );
        check("/v1/{a=*}", "/v1/x", Some(&["x"]));
        check("/v1/{a=fixed}", "/v1/fixed", Some(&["fixed"]));
    }

    #[test]
    fn two_stars_take_the_rest() {
        check("/v1/**", "/v1/a/b:c", Some(&[]));
        check("/v1/**", "/v1/", Some(&[]));
        check("/v1/**", "/v1", None);
        check("/v1/{rest=**}", "/v1/a/b:c", Some(&["a/b:c"]));
        check("/v1/{rest=a/**}", "/v1/a/b/c", Some(&["a/b/c"]));
        check("/v1/{rest=**}:go", "/v1/a/b:go", Some(&["a/b"]));
    }

    #[test]
    fn a_star_is_one_segment_that_nobody_keeps() {
        check("/v1/*/x", "/v1/a/x", Some(&[]));
        check("/v1/*/x", "/v1//x", Some(&[]));
        check("/v1/*/x", "/v1/a/b/x", None);
    }

    #[test]
    fn a_verb_is_the_end_of_the_path() {
        check("/v1/items/{id}:restock", "/v1/items/7:restock", Some(&["7"]));
        check("/v1/items/{id}:restock", "/v1/items/:restock", Some(&[""]));
        check("/v1/items/{id}:restock", "/v1/items/7:other", None);
        check("/v1/items/{id}:restock", "/v1/items/7:a:restock", None);
        check("/v1/items:all", "/v1/items:all", Some(&[]));
        check("/v1/items", "/v1/items:all", None);
    }

    #[test]
    fn field_paths_are_kept_as_they_stand() {
        let template = Template::parse("/{a.b_c}/{d}").expect("a template");
        let fields: Vec<_> = template
            .variables
            .iter()
            .map(|variable| variable.field.as_str())
            .collect();
        assert_eq!(fields, ["a.b_c", "d"]);
    }

    #[test]
    fn what_is_no_template_is_refused() {
        refused("", "it does not begin with /");
        refused("v1", "it does not begin with /");
        refused("/", "a part of the path is empty");
        refused("/a//b", "a part of the path is empty");
        refused("/a/", "a part of the path is empty");
        refused("/a:", "a part of the path is empty");
        refused("/a:b:c", "\":c\" is not expected where it stands");
        refused("/a:b/c", "\"/c\" is not expected where it stands");
        refused("/a}", "\"}\" is not expected where it stands");
        refused("/a{b}", "\"{b}\" is not expected where it stands");
        refused("/a*", "\"*\" is not expected where it stands");
        refused("/***", "\"*\" is not expected where it stands");
        refused("/**/a", "** is only allowed at the end");
        refused("/{a=**}/b", "** is only allowed at the end");
        refused("/{a=**/b}", "** is only allowed at the end");
        refused("/{a", "the variable a is not closed");
        refused("/{a=b", "the variable a is not closed");
        refused("/{a=b:c}", "the variable a is not closed");
        refused("/{a={b}}", "a variable stands within a variable");
        refused("/{}", "\"\" is no name of a field");
        refused("/{1a}", "\"1a\" is no name of a field");
        refused("/{a.}", "\"a.\" is no name of a field");
        refused("/{a..b}", "\"a..b\" is no name of a field");
        refused("/{a=}", "a part of the path is empty");
    }
}
