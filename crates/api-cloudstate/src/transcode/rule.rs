//! HTTP rules: how a method is reached (`google.api.http`, spec 1.8 and 2.4).
//!
//! | method                  | bindings                                             |
//! |-------------------------|------------------------------------------------------|
//! | without annotation      | `POST /package.Service/Method`, body `*`             |
//! | with one                | the rule, then its additional bindings; no default   |

use http::Method as Verb;
use prost::Message;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::descriptors::Method;
use super::template::{Template, Variable};

/// One way to call a method.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// `None`: any (the custom kind `*`).
    pub(crate) verb: Option<Verb>,
    pub(crate) template: Template,
    /// The fields of the template's variables, in their order.
    pub(crate) variables: Vec<FieldDescriptor>,
    pub(crate) body: Body,
    /// The field that is the whole answer; the message where there is none.
    pub(crate) response_body: Option<FieldDescriptor>,
}

/// Where the request's body goes to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    /// It is not read.
    Ignored,
    /// It is the input message.
    Message,
    /// It is this field of the input message.
    Field(FieldDescriptor),
}

#[derive(Clone, PartialEq, prost::Message)]
struct HttpRule {
    #[prost(string, tag = "1")]
    selector: String,
    #[prost(oneof = "Pattern", tags = "2, 3, 4, 5, 6, 8")]
    pattern: Option<Pattern>,
    #[prost(string, tag = "7")]
    body: String,
    #[prost(message, repeated, tag = "11")]
    additional_bindings: Vec<HttpRule>,
    #[prost(string, tag = "12")]
    response_body: String,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Pattern {
    #[prost(string, tag = "2")]
    Get(String),
    #[prost(string, tag = "3")]
    Put(String),
    #[prost(string, tag = "4")]
    Post(String),
    #[prost(string, tag = "5")]
    Delete(String),
    #[prost(string, tag = "6")]
    Patch(String),
    #[prost(message, tag = "8")]
    Custom(Custom),
}

#[derive(Clone, PartialEq, prost::Message)]
struct Custom {
    #[prost(string, tag = "1")]
    kind: String,
    #[prost(string, tag = "2")]
    path: String,
}

/// All bindings of a method. The error names the method and is what people are told.
pub(crate) fn rules(method: &Method) -> Result<Vec<Rule>, String> {
    let name = format!("{}.{}", method.service, method.name);
    let at = |reason: String| format!("{name}: HTTP rule: {reason}");
    let Some(encoded) = method.http_rule() else {
        return Ok(vec![default(method).map_err(at)?]);
    };
    let rule = HttpRule::decode(encoded).map_err(|error| at(format!("it cannot be read: {error}")))?;
    if !rule.selector.is_empty() && rule.selector != name {
        let selector = rule.selector;
        return Err(at(format!("selector {selector} is not this method")));
    }
    let nested = |rule: &HttpRule| !rule.additional_bindings.is_empty();
    if rule.additional_bindings.iter().any(nested) {
        return Err(at("an additional binding has additional bindings".into()));
    }
    let all = [&rule].into_iter().chain(&rule.additional_bindings);
    all.map(|rule| check(rule, method))
        .collect::<Result<_, _>>()
        .map_err(at)
}

/// The path that gRPC uses too.
fn default(method: &Method) -> Result<Rule, String> {
    Ok(Rule {
        verb: Some(Verb::POST),
        template: Template::parse(&format!("/{}/{}", method.service, method.name))?,
        variables: vec![],
        body: Body::Message,
        response_body: None,
    })
}

fn check(rule: &HttpRule, method: &Method) -> Result<Rule, String> {
    let (verb, path) = pattern(rule)?;
    let template = Template::parse(path).map_err(|reason| format!("path {path:?}: {reason}"))?;
    Ok(Rule {
        verb,
        variables: variables(&template.variables, &method.input)?,
        template,
        body: body(&rule.body, &method.input)?,
        response_body: response_body(&rule.response_body, &method.output)?,
    })
}

fn pattern(rule: &HttpRule) -> Result<(Option<Verb>, &str), String> {
    match &rule.pattern {
        Some(Pattern::Get(path)) => Ok((Some(Verb::GET), path)),
        Some(Pattern::Put(path)) => Ok((Some(Verb::PUT), path)),
        Some(Pattern::Post(path)) => Ok((Some(Verb::POST), path)),
        Some(Pattern::Delete(path)) => Ok((Some(Verb::DELETE), path)),
        Some(Pattern::Patch(path)) => Ok((Some(Verb::PATCH), path)),
        Some(Pattern::Custom(custom)) if custom.kind == "*" => Ok((None, &custom.path)),
        Some(Pattern::Custom(custom)) => Err(format!("custom kind {:?}: only * is known", custom.kind)),
        None => Err("it names neither a verb nor a path".into()),
    }
}

fn variables(variables: &[Variable], input: &MessageDescriptor) -> Result<Vec<FieldDescriptor>, String> {
    let mut fields: Vec<FieldDescriptor> = vec![];
    for Variable { field: name, .. } in variables {
        let field = variable(name, input)?;
        if fields.contains(&field) {
            return Err(format!("variable {name} stands in the path twice"));
        }
        fields.push(field);
    }
    Ok(fields)
}

fn variable(name: &str, input: &MessageDescriptor) -> Result<FieldDescriptor, String> {
    let refused = |what: &str| Err(format!("variable {name} is {what}"));
    if name.contains('.') {
        return refused("a nested field: only fields of the input itself can stand in a path");
    }
    let Some(field) = input.get_field_by_name(name) else {
        return Err(format!("variable {name} is no field of {}", input.full_name()));
    };
    if field.is_map() {
        return refused("a map");
    }
    if field.is_list() {
        return refused("repeated");
    }
    match field.kind() {
        Kind::Enum(_) => refused("an enum"),
        Kind::Message(_) => refused("a message"),
        _ => Ok(field),
    }
}

fn body(name: &str, input: &MessageDescriptor) -> Result<Body, String> {
    match name {
        "" => return Ok(Body::Ignored),
        "*" => return Ok(Body::Message),
        _ => {}
    }
    let Some(field) = input.get_field_by_name(name) else {
        return Err(format!("body {name} is no field of {}", input.full_name()));
    };
    match field.is_list() || field.is_map() {
        true => Err(format!("body {name} is repeated")),
        false => Ok(Body::Field(field)),
    }
}

fn response_body(name: &str, output: &MessageDescriptor) -> Result<Option<FieldDescriptor>, String> {
    if name.is_empty() {
        return Ok(None);
    }
    let field = output.get_field_by_name(name);
    let missing = || format!("response_body {name} is no field of {}", output.full_name());
    field.ok_or_else(missing).map(Some)
}

#[cfg(test)]
mod tests;
