//! The attributes of an envelope that somebody else wrote: read on delivery, completed on publishing.
//!
//! Values are kept as the text they are written in and decoded only where they are needed.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use base::Timestamp;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use wire::layotto as pb;

use super::{Unreadable, decode};

/// What a delivery needs. `null` is the same as nothing.
#[derive(Default)]
pub(super) struct Attributes<'a> {
    pub(super) id: Option<&'a RawValue>,
    pub(super) source: Option<&'a RawValue>,
    pub(super) kind: Option<&'a RawValue>,
    pub(super) spec_version: Option<&'a RawValue>,
    pub(super) data_content_type: Option<&'a RawValue>,
    pub(super) data: Option<&'a RawValue>,
    pub(super) data_base64: Option<&'a RawValue>,
    expiration: Option<&'a RawValue>,
}

impl<'a> Attributes<'a> {
    pub(super) fn parse(envelope: &'a str) -> Result<Attributes<'a>, Unreadable> {
        serde_json::from_str(envelope).map_err(|cause| unreadable(&cause))
    }

    /// A missing one is empty: envelopes of other publishers may lack what ours have.
    pub(super) fn text(&self, name: &str, value: Option<&'a RawValue>) -> Result<Cow<'a, str>, Unreadable> {
        value.map_or(Ok(Cow::Borrowed("")), |value| unquote(name, value))
    }

    /// A time that cannot be read never comes.
    pub(super) fn expires_at(&self) -> Result<Option<Timestamp>, Unreadable> {
        let text = self.text("expiration", self.expiration)?;
        let at = text
            .parse::<jiff::Timestamp>()
            .ok()
            .map(jiff::Timestamp::as_millisecond);
        Ok(at.map(|at| Timestamp(u64::try_from(at).unwrap_or(0))))
    }
}

/// Of several attributes of one name the last one counts.
impl<'de: 'a, 'a> Deserialize<'de> for Attributes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut attributes = Attributes::default();
        deserializer.deserialize_map(Each(|name: Name<'de>, value: &'de RawValue| {
            let place = match &*name.0 {
                "id" => &mut attributes.id,
                "source" => &mut attributes.source,
                "type" => &mut attributes.kind,
                "specversion" => &mut attributes.spec_version,
                "datacontenttype" => &mut attributes.data_content_type,
                "data" => &mut attributes.data,
                "data_base64" => &mut attributes.data_base64,
                "expiration" => &mut attributes.expiration,
                _ => return,
            };
            *place = (value.get() != "null").then_some(value);
        }))?;
        Ok(attributes)
    }
}

/// All attributes, in order.
struct All<'a>(Vec<(Name<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for All<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all = vec![];
        deserializer.deserialize_map(Each(|name: Name<'de>, value: &'de RawValue| {
            all.push((name, value))
        }))?;
        Ok(All(all))
    }
}

/// Shows every member of an object.
struct Each<F>(F);

impl<'de, F: FnMut(Name<'de>, &'de RawValue)> Visitor<'de> for Each<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, value)) = map.next_entry()? {
            (self.0)(name, value);
        }
        Ok(())
    }
}

/// The name of an attribute, borrowed if it is written without escapes.
#[derive(Deserialize, PartialEq, Eq, Hash)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The text of a JSON string.
pub(super) fn unquote<'a>(name: &str, value: &'a RawValue) -> Result<Cow<'a, str>, Unreadable> {
    let json = value.get();
    let inner = json.strip_prefix('"').and_then(|json| json.strip_suffix('"'));
    match inner {
        Some(text) if !text.contains('\\') => Ok(Cow::Borrowed(text)),
        Some(_) => serde_json::from_str(json)
            .map(Cow::Owned)
            .map_err(|_| Unreadable(format!("attribute {name} is not a text that can be decoded"))),
        None => Err(Unreadable(format!("attribute {name} is not a text"))),
    }
}

/// What is missing is made up, as the reference does, and what is ours is overwritten.
const DEFAULTS: [(&str, &str); 3] = [
    ("source", "\"Dapr\""),
    ("type", "\"com.dapr.event.sent\""),
    ("specversion", "\"1.0\""),
];

/// The payload as envelope: with where it is published, and complete.
pub(super) fn reseal(
    request: &pb::PublishEventRequest,
    expiration: Option<&str>,
) -> Result<Vec<u8>, Unreadable> {
    let payload = std::str::from_utf8(&request.data).map_err(|_| Unreadable("it is not UTF-8".to_owned()))?;
    let All(given) = serde_json::from_str(payload).map_err(|cause| unreadable(&cause))?;
    check(&Attributes::parse(payload)?)?;
    let ours = [
        ("traceid", Some("")),
        ("topic", Some(&*request.topic)),
        ("pubsubname", Some(&*request.pubsub_name)),
        ("expiration", expiration),
    ];
    let ours: Vec<(&str, String)> = ours
        .into_iter()
        .filter_map(|(name, text)| Some((name, quote(text?))))
        .collect();
    let last: HashMap<&str, usize> = given
        .iter()
        .enumerate()
        .map(|(index, (name, _))| (&*name.0, index))
        .collect();
    let is_kept = |index: usize, name: &str, value: &RawValue| {
        let defaulted = value.get() == "null" && DEFAULTS.iter().any(|(default, _)| *default == name);
        last[name] == index && !defaulted && !ours.iter().any(|(own, _)| *own == name)
    };
    let mut object = Object::with_capacity(payload.len() + 256);
    for (index, (name, value)) in given.iter().enumerate() {
        if is_kept(index, &name.0, value) {
            object.push(&name.0, value.get());
        }
    }
    let has = |name: &str| {
        last.get(name)
            .is_some_and(|index| given[*index].1.get() != "null")
    };
    for (name, value) in DEFAULTS.iter().filter(|(name, _)| !has(name)) {
        object.push(name, value);
    }
    for (name, value) in &ours {
        object.push(name, value);
    }
    Ok(object.end())
}

/// What a subscriber could not do without.
fn check(attributes: &Attributes<'_>) -> Result<(), Unreadable> {
    let needed = [
        ("id", attributes.id),
        ("datacontenttype", attributes.data_content_type),
    ];
    for (name, value) in needed {
        let value = value.ok_or_else(|| Unreadable(format!("attribute {name} is missing")))?;
        if unquote(name, value)?.is_empty() {
            return Err(Unreadable(format!("attribute {name} is empty")));
        }
    }
    for (name, value) in [
        ("source", attributes.source),
        ("type", attributes.kind),
        ("specversion", attributes.spec_version),
        ("expiration", attributes.expiration),
    ] {
        attributes.text(name, value)?;
    }
    if let Some(data) = attributes.data_base64 {
        decode(&unquote("data_base64", data)?)?;
    }
    Ok(())
}

/// A JSON object as it is written.
struct Object(String);

impl Object {
    fn with_capacity(bytes: usize) -> Object {
        let mut object = String::with_capacity(bytes);
        object.push('{');
        Object(object)
    }

    /// `value` is JSON.
    fn push(&mut self, name: &str, value: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push_str(&quote(name));
        self.0.push(':');
        self.0.push_str(value);
    }

    fn end(mut self) -> Vec<u8> {
        self.0.push('}');
        self.0.into_bytes()
    }
}

fn quote(text: &str) -> String {
    serde_json::to_string(text).expect("a text can be written as JSON")
}

/// Where the JSON ends to be some; its own words may hold values, so they are left out.
fn unreadable(cause: &serde_json::Error) -> Unreadable {
    let what = match cause.classify() {
        serde_json::error::Category::Eof => "the JSON ends too early",
        serde_json::error::Category::Data => "it is no JSON object",
        serde_json::error::Category::Syntax | serde_json::error::Category::Io => "it is no JSON",
    };
    Unreadable(format!(
        "{what} (line {}, column {})",
        cause.line(),
        cause.column()
    ))
}
