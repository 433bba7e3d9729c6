//! From a text to a tree, by way of a YAML parser's events.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError};
use serde_json::Number;

use super::{Content, Member, Node};
use crate::config::finding::{Finding, Span};

/// Values in one document, aliases counted as often as they are used. Ends what a few nested aliases could blow up.
const NODES_MAX: usize = 100_000;

/// The document of a text; an empty text is an empty map. `Err` is the one thing that stopped the parser.
pub(in crate::config) fn parse(text: &str) -> Result<Node, Finding> {
    let text = join_surrogates(text);
    let mut builder = Builder {
        parser: Parser::new_from_str(&text),
        anchors: HashMap::new(),
        nodes: 0,
    };
    let root = builder.document()?;
    Ok(match root.content {
        Content::Null => Node {
            content: Content::Map(vec![]),
            ..root
        },
        _ => root,
    })
}

struct Builder<'text> {
    parser: Parser<'text, saphyr_parser::StrInput<'text>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
}

impl<'text> Builder<'text> {
    fn document(&mut self) -> Result<Node, Finding> {
        let mut root = Node::default();
        let mut documents = 0;
        while let Some((event, at)) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => break,
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Finding::error(
                            at,
                            "",
                            "a second document: one file holds one configuration",
                        ));
                    }
                }
                event => root = self.node(event, at, String::new())?,
            }
        }
        Ok(root)
    }

    fn next(&mut self) -> Result<Option<(Event<'text>, Span)>, Finding> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, at))) => Ok(Some((event, Span::of(&at)))),
            Some(Err(error)) => Err(syntax(&error)),
        }
    }

    /// The next event within a value: the text has not ended there, or the parser would have said so.
    fn inner(&mut self, at: Span) -> Result<(Event<'text>, Span), Finding> {
        self.next()?
            .ok_or_else(|| Finding::error(at, "", "the text ends in the middle of this value"))
    }

    fn node(&mut self, event: Event<'text>, at: Span, path: String) -> Result<Node, Finding> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Finding::error(at, &path, format!("more than {NODES_MAX} values")));
        }
        let (anchor, content) = match event {
            Event::Alias(anchor) => return self.alias(anchor, at, path),
            Event::Scalar(text, style, anchor, tag) => {
                let tagged = tag.is_some_and(|tag| tag.suffix == "str");
                (anchor, scalar(&text, tagged || style != ScalarStyle::Plain))
            }
            Event::SequenceStart(anchor, _) => (anchor, self.list(at, &path)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(at, &path)?),
            _ => return Err(Finding::error(at, &path, "a value is missing here")),
        };
        let node = Node {
            at,
            path,
            content,
            ..Node::default()
        };
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, at: Span, path: String) -> Result<Node, Finding> {
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(Finding::error(
                at,
                &path,
                "an alias within the value that it stands for",
            ));
        };
        let node = Node {
            at,
            path,
            ..anchored.clone()
        };
        self.nodes += count(&node);
        Ok(node)
    }

    fn list(&mut self, at: Span, path: &str) -> Result<Content, Finding> {
        let mut items = vec![];
        loop {
            match self.inner(at)? {
                (Event::SequenceEnd, _) => return Ok(Content::List(items)),
                (event, at) => {
                    let path = join(path, &items.len().to_string());
                    items.push(self.node(event, at, path)?);
                }
            }
        }
    }

    fn map(&mut self, at: Span, path: &str) -> Result<Content, Finding> {
        let mut members = vec![];
        loop {
            let (key, key_at) = match self.inner(at)? {
                (Event::MappingEnd, _) => return Ok(Content::Map(members)),
                (Event::Scalar(text, ..), at) => (text.into_owned(), at),
                (_, at) => return Err(Finding::error(at, path, "a key must be a plain text")),
            };
            let (event, at) = self.inner(key_at)?;
            let value = self.node(event, at, join(path, &key))?;
            members.push(Member { key, key_at, value });
        }
    }
}

/// The path of a value within another.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

fn count(node: &Node) -> usize {
    let inner: usize = node.items().iter().map(count).sum();
    let members: usize = node.members().iter().map(|member| count(&member.value)).sum();
    1 + inner + members
}

fn syntax(error: &ScanError) -> Finding {
    let at = Span {
        line: error.marker().line(),
        column: error.marker().col() + 1,
        width: 1,
    };
    Finding::error(at, "", format!("this cannot be read: {}", error.info()))
}

/// What a scalar is by YAML 1.2's core schema: `yes`, `off` and dates are texts.
fn scalar(text: &str, quoted: bool) -> Content {
    if quoted {
        return Content::Text(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        _ => number(text).map_or_else(|| Content::Text(text.to_owned()), Content::Number),
    }
}

/// The number that a text is, if it is one.
pub(in crate::config) fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok().map(Number::from);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        return u64::from_str_radix(octal, 8).ok().map(Number::from);
    }
    if let Ok(integer) = text.parse::<i64>() {
        return Some(Number::from(integer));
    }
    if let Ok(integer) = text.parse::<u64>() {
        return Some(Number::from(integer));
    }
    text.parse::<f64>().ok().and_then(Number::from_f64)
}

/// JSON writes characters outside of the basic plane as two `\u` escapes, which YAML does not know: one `\U` instead.
fn join_surrogates(text: &str) -> Cow<'_, str> {
    let mut joined = String::new();
    let mut done = 0;
    for (start, _) in text.match_indices("\\u") {
        let escaped = start >= done
            && text.as_bytes()[..start]
                .iter()
                .rev()
                .take_while(|byte| **byte == b'\\')
                .count()
                % 2
                == 0;
        if let Some(character) = escaped.then(|| surrogates(&text[start..])).flatten() {
            joined.push_str(&text[done..start]);
            joined.push_str(&format!("\\U{:08X}", u32::from(character)));
            done = start + 12;
        }
    }
    if done == 0 {
        return text.into();
    }
    joined.push_str(&text[done..]);
    joined.into()
}

/// The character of a text that begins with two escapes like `\ud83d\ude00`.
fn surrogates(text: &str) -> Option<char> {
    let unit = |from: usize| u16::from_str_radix(text.get(from..from + 4)?, 16).ok();
    if text.get(6..8)? != "\\u" {
        return None;
    }
    char::decode_utf16([unit(2)?, unit(8)?])
        .next()?
        .ok()
        .filter(|character| u32::from(*character) > 0xffff)
}
