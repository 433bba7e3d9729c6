//! A configuration text as a tree in which every value knows where it was written.
//!
//! Built from the events of a YAML parser rather than from its own tree: that one forgets duplicate keys and where keys
//! stand. JSON is YAML too, so one reader serves both.

use serde_json::{Map, Number, Value};

use super::finding::{Finding, Span};

#[path = "document/reader.rs"]
mod reader;

pub(super) use reader::{number, parse};

/// A value, and where it was written.
#[derive(Clone, Debug, Default)]
pub(super) struct Node {
    pub(super) at: Span,
    /// As people read it: `components.0.settings.url`. Kept through conversions, so that it names what the file has.
    pub(super) path: String,
    pub(super) content: Content,
    /// A text that may stand for a number or a switch: it came from the environment, or from Layotto's metadata.
    pub(super) lenient: bool,
    /// Has a finding: left out of the typed configuration, so that the rest can still be checked.
    pub(super) broken: bool,
    /// A text that holds references to secrets, which are put in later.
    pub(super) secret: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Content {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Member>),
}

/// One entry of a map, in the order of the file; a key may be there twice.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) key_at: Span,
    pub(super) value: Node,
}

impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.content == other.content
    }
}

impl Node {
    /// A value that the file does not have, blamed on `at`.
    pub(super) fn made(origin: &Node, content: Content) -> Node {
        Node {
            at: origin.at,
            path: origin.path.clone(),
            content,
            ..Node::default()
        }
    }

    /// A value that a flag gave, not the file.
    pub(super) fn flag(name: &str, content: Content) -> Node {
        Node {
            path: name.to_owned(),
            content,
            ..Node::default()
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn members(&self) -> &[Member] {
        match &self.content {
            Content::Map(members) => members,
            _ => &[],
        }
    }

    pub(super) fn items(&self) -> &[Node] {
        match &self.content {
            Content::List(items) => items,
            _ => &[],
        }
    }

    pub(super) fn items_mut(&mut self) -> &mut [Node] {
        match &mut self.content {
            Content::List(items) => items,
            _ => &mut [],
        }
    }

    pub(super) fn is_null(&self) -> bool {
        self.content == Content::Null
    }

    /// The value of exactly that key.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.members()
            .iter()
            .find(|member| member.key == key)
            .map(|member| &member.value)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let Content::Map(members) = &mut self.content else {
            return None;
        };
        members
            .iter_mut()
            .find(|member| member.key == key)
            .map(|member| &mut member.value)
    }

    /// The value at a path like `targets.0.url`; keys may have dots of their own.
    pub(super) fn find(&self, path: &str) -> Option<&Node> {
        if path.is_empty() {
            return Some(self);
        }
        if let Content::List(items) = &self.content {
            let (index, rest) = path.split_once('.').unwrap_or((path, ""));
            return items.get(index.parse::<usize>().ok()?)?.find(rest);
        }
        self.members().iter().find_map(|member| {
            let rest = path.strip_prefix(&member.key)?;
            match rest.strip_prefix('.') {
                Some(rest) => member.value.find(rest),
                None => rest.is_empty().then_some(&member.value),
            }
        })
    }

    /// Puts a value under a path of keys, and makes the maps on the way.
    pub(super) fn set(&mut self, keys: &[&str], value: Node) {
        let [key, rest @ ..] = keys else {
            *self = value;
            return;
        };
        if !matches!(self.content, Content::Map(_)) {
            self.content = Content::Map(vec![]);
        }
        if self.get(key).is_none()
            && let Content::Map(members) = &mut self.content
        {
            members.push(Member::new(key, Node::made(&value, Content::Null)));
        }
        self.get_mut(key)
            .expect("the key was added above")
            .set(rest, value);
    }

    /// The value without what is broken.
    pub(super) fn to_value(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.clone()),
            Content::List(items) => items
                .iter()
                .filter(|item| !item.broken)
                .map(Node::to_value)
                .collect(),
            Content::Map(_) => Value::Object(self.to_map()),
        }
    }

    /// The members of a map without what is broken; of anything else, none.
    pub(super) fn to_map(&self) -> Map<String, Value> {
        self.members()
            .iter()
            .filter(|member| !member.value.broken)
            .map(|member| (member.key.clone(), member.value.to_value()))
            .collect()
    }

    /// A finding about this value.
    pub(super) fn error(&self, message: impl Into<String>) -> Finding {
        Finding::error(self.at, &self.path, message)
    }

    pub(super) fn warning(&self, message: impl Into<String>) -> Finding {
        Finding::warning(self.at, &self.path, message)
    }
}

impl Member {
    /// An entry that the file does not have as such.
    pub(super) fn new(key: &str, value: Node) -> Member {
        Member {
            key: key.to_owned(),
            key_at: value.at,
            value,
        }
    }

    /// A finding about the key.
    pub(super) fn error(&self, message: impl Into<String>) -> Finding {
        Finding::error(self.key_at, &self.value.path, message)
    }

    pub(super) fn warning(&self, message: impl Into<String>) -> Finding {
        Finding::warning(self.key_at, &self.value.path, message)
    }
}

#[cfg(test)]
#[path = "document/tests.rs"]
mod tests;
