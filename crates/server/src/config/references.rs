//! References in texts: `${NAME}` and `${NAME:-default}` to the environment, `${secret:STORE/KEY}` to a secret of one of the
//! configured secret stores, `$${` for the two characters `${` themselves.
//!
//! The environment is read when the configuration is loaded; secrets when their stores are open ([`super::resolve_secrets`]).

use base::{Error, codes};

use super::document::{Content, Node};
use super::finding::Finding;

/// A reference to a secret, as it stands in the configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SecretReference {
    /// The secret store's name.
    pub store: String,
    /// The secret's name.
    pub key: String,
    /// The value within the secret, where it has several: `${secret:STORE/KEY#VALUE}`. Else the one named like the secret,
    /// or the only one.
    pub value: Option<String>,
}

impl SecretReference {
    /// What it stands for, out of a secret's values.
    pub fn pick<'secret>(&self, secret: &'secret ports::secret::Secret) -> Option<&'secret str> {
        let only = || match secret.len() {
            1 => secret.values().next(),
            _ => None,
        };
        let found = match &self.value {
            Some(value) => secret.get(value),
            None => secret.get(&self.key).or_else(only),
        };
        found.map(String::as_str)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part {
    Literal(String),
    Variable { name: String, default: Option<String> },
    Secret(SecretReference),
}

/// Splits a text at its references. `Err` says what is wrong with one.
pub(super) fn parse(text: &str) -> Result<Vec<Part>, String> {
    let mut parts = vec![];
    let mut literal = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, after) = (&rest[..start], &rest[start + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            literal.push_str(before);
            literal.push_str("${");
            rest = after;
            continue;
        }
        literal.push_str(before);
        let Some((reference, after)) = after.split_once('}') else {
            return Err("a reference `${` without its `}`; write `$${` for the characters themselves".into());
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(reference_of(reference)?);
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

fn reference_of(reference: &str) -> Result<Part, String> {
    if let Some(secret) = reference.strip_prefix("secret:") {
        return secret_of(secret);
    }
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (reference, None),
    };
    let mut characters = name.chars();
    let starts = characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if starts && characters.all(|next| next.is_ascii_alphanumeric() || next == '_') {
        let name = name.to_owned();
        return Ok(Part::Variable { name, default });
    }
    Err("this reference is neither `${NAME}`, `${NAME:-default}` nor `${secret:STORE/KEY}`; write `$${` for the characters themselves".into())
}

fn secret_of(reference: &str) -> Result<Part, String> {
    let (store, key) = reference.split_once('/').unwrap_or((reference, ""));
    let (key, value) = match key.rsplit_once('#') {
        Some((key, value)) => (key, Some(value.to_owned())),
        None => (key, None),
    };
    if store.is_empty() || key.is_empty() || value.as_deref() == Some("") {
        return Err(
            "a reference to a secret is written `${secret:STORE/KEY}` or `${secret:STORE/KEY#VALUE}`".into(),
        );
    }
    Ok(Part::Secret(SecretReference {
        store: store.to_owned(),
        key: key.to_owned(),
        value,
    }))
}

/// The text that `parse` reads as exactly these characters.
pub(super) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

impl SecretReference {
    /// As it is written; `None` if it has characters that cannot stand in a reference.
    pub(super) fn written(&self) -> Option<String> {
        let value = self
            .value
            .as_ref()
            .map(|value| format!("#{value}"))
            .unwrap_or_default();
        let text = format!("${{secret:{}/{}{value}}}", self.store, self.key);
        let parts = parse(&text).ok()?;
        matches!(parts.as_slice(), [Part::Secret(read)] if read == self).then_some(text)
    }
}

/// Puts the environment into every text of the tree, and marks the texts that refer to secrets.
pub(super) fn read_environment(
    node: &mut Node,
    env: &dyn Fn(&str) -> Option<String>,
    findings: &mut Vec<Finding>,
) {
    match &mut node.content {
        Content::Text(text) if text.contains("${") => {
            let parts = parse(text);
            substitute(node, parts, env, findings);
        }
        Content::List(items) => items
            .iter_mut()
            .for_each(|item| read_environment(item, env, findings)),
        Content::Map(members) => {
            for member in members {
                read_environment(&mut member.value, env, findings);
            }
        }
        _ => {}
    }
}

fn substitute(
    node: &mut Node,
    parts: Result<Vec<Part>, String>,
    env: &dyn Fn(&str) -> Option<String>,
    findings: &mut Vec<Finding>,
) {
    let parts = match parts {
        Ok(parts) => parts,
        Err(message) => return refuse(node, message, findings),
    };
    node.secret = parts.iter().any(|part| matches!(part, Part::Secret(_)));
    node.lenient |= parts.iter().any(|part| matches!(part, Part::Variable { .. }));
    let mut text = String::new();
    for part in parts {
        let piece = match part {
            Part::Literal(literal) => literal,
            Part::Secret(_) if text.ends_with('$') => {
                let message = "a `$` directly before a reference to a secret: put it into the secret";
                return refuse(node, message, findings);
            }
            Part::Secret(reference) => {
                text.push_str(&reference.written().expect("it was read from a text"));
                continue;
            }
            Part::Variable { name, default } => match variable(&name, default, env) {
                Ok(value) => value,
                Err(message) => {
                    refuse(node, message, findings);
                    String::new()
                }
            },
        };
        text.push_str(&if node.secret { escape(&piece) } else { piece });
    }
    node.content = Content::Text(text);
}

/// As in a shell, a default stands in for an empty variable too.
fn variable(
    name: &str,
    default: Option<String>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<String, String> {
    let set = env(name).filter(|value| default.is_none() || !value.is_empty());
    set.or(default).ok_or_else(|| {
        format!("the environment variable {name} is not set; set it, or write a default: ${{{name}:-...}}")
    })
}

fn refuse(node: &mut Node, message: impl Into<String>, findings: &mut Vec<Finding>) {
    node.broken = true;
    findings.push(node.error(message));
}

/// The text with its secrets in it; the environment was put in before.
pub(super) fn resolve(
    text: &str,
    lookup: &dyn Fn(&SecretReference) -> base::Result<String>,
) -> base::Result<String> {
    let parts = parse(text).map_err(|message| Error::new(codes::CONFIG_INVALID, message))?;
    let piece = |part| match part {
        Part::Literal(literal) => Ok(literal),
        Part::Secret(reference) => lookup(&reference),
        Part::Variable { name, .. } => Err(Error::new(
            codes::INTERNAL,
            format!("the environment variable {name} was not put in"),
        )),
    };
    parts.into_iter().map(piece).collect()
}

/// Every reference to a secret in the tree, with the JSON pointer of its text in [`Node::to_value`].
pub(super) fn secrets_of(node: &Node, pointer: &str, found: &mut Vec<(String, SecretReference)>) {
    if node.broken {
        return;
    }
    if let (true, Some(text)) = (node.secret, node.text()) {
        let parts = parse(text).unwrap_or_default();
        found.extend(parts.into_iter().filter_map(|part| match part {
            Part::Secret(reference) => Some((pointer.to_owned(), reference)),
            _ => None,
        }));
    }
    for (index, item) in node.items().iter().filter(|item| !item.broken).enumerate() {
        secrets_of(item, &format!("{pointer}/{index}"), found);
    }
    for member in node.members() {
        let key = member.key.replace('~', "~0").replace('/', "~1");
        secrets_of(&member.value, &format!("{pointer}/{key}"), found);
    }
}

#[cfg(test)]
#[path = "references/tests.rs"]
mod tests;
