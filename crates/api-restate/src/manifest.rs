//! What a deployment says it has: the endpoint manifest, versions 1 to 4.
//!
//! Fields that are not known are passed over: a newer SDK may have more to say.

use std::collections::BTreeMap;

use machines::invocation::rows::TargetKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is offered to a deployment: old SDKs know the first version only, new ones no longer do.
pub(crate) const ACCEPT: &str = "application/vnd.restate.endpointmanifest.v1+json, \
     application/vnd.restate.endpointmanifest.v2+json, application/vnd.restate.endpointmanifest.v3+json, \
     application/vnd.restate.endpointmanifest.v4+json";
const CONTENT_TYPE: &str = "application/vnd.restate.endpointmanifest.v";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) protocol_mode: Mode,
    #[serde(rename = "minProtocolVersion")]
    pub(crate) min_version: u32,
    #[serde(rename = "maxProtocolVersion")]
    pub(crate) max_version: u32,
    pub(crate) services: Vec<Service>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Mode {
    BidiStream,
    RequestResponse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ServiceKind {
    Service,
    VirtualObject,
    Workflow,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum HandlerKind {
    Exclusive,
    Shared,
    Workflow,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Service {
    pub(crate) name: String,
    #[serde(rename = "ty")]
    pub(crate) kind: ServiceKind,
    pub(crate) handlers: Vec<Handler>,
    #[serde(default)]
    pub(crate) documentation: Option<String>,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(default, rename = "ingressPrivate")]
    pub(crate) private: Option<bool>,
    #[serde(flatten)]
    pub(crate) settings: Settings,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Handler {
    pub(crate) name: String,
    #[serde(default, rename = "ty")]
    pub(crate) kind: Option<HandlerKind>,
    #[serde(default)]
    pub(crate) input: Input,
    #[serde(default)]
    pub(crate) output: Output,
    #[serde(default)]
    pub(crate) documentation: Option<String>,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(default, rename = "ingressPrivate")]
    pub(crate) private: Option<bool>,
    #[serde(flatten)]
    pub(crate) settings: Settings,
}

/// What may be said of a service, and again of a handler. Times in milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    #[serde(
        default,
        rename = "inactivityTimeout",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) inactivity_ms: Option<u64>,
    #[serde(default, rename = "abortTimeout", skip_serializing_if = "Option::is_none")]
    pub(crate) abort_ms: Option<u64>,
    #[serde(default, rename = "journalRetention", skip_serializing_if = "Option::is_none")]
    pub(crate) journal_ms: Option<u64>,
    #[serde(
        default,
        rename = "idempotencyRetention",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) idempotency_ms: Option<u64>,
    #[serde(
        default,
        rename = "workflowCompletionRetention",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) workflow_ms: Option<u64>,
    #[serde(default, rename = "enableLazyState", skip_serializing_if = "Option::is_none")]
    pub(crate) lazy_state: Option<bool>,
    #[serde(
        default,
        rename = "retryPolicyInitialInterval",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) retry_first_ms: Option<u64>,
    #[serde(
        default,
        rename = "retryPolicyMaxInterval",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) retry_max_ms: Option<u64>,
    #[serde(
        default,
        rename = "retryPolicyMaxAttempts",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) retry_attempts_max: Option<u32>,
    #[serde(
        default,
        rename = "retryPolicyExponentiationFactor",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) retry_factor: Option<f64>,
    #[serde(
        default,
        rename = "retryPolicyOnMaxAttempts",
        with = "on_max_attempts",
        skip_serializing_if = "Option::is_none"
    )]
    pub(crate) retry_kill: Option<bool>,
}

mod on_max_attempts {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(kill: &Option<bool>, serializer: S) -> Result<S::Ok, S::Error> {
        kill.map(|kill| if kill { "KILL" } else { "PAUSE" })
            .serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        Ok(text.map(|text| text.eq_ignore_ascii_case("KILL")))
    }
}

/// What a handler takes. Without a word about it: anything. With a word, but no content type: nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Input {
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default)]
    pub(crate) content_type: Option<String>,
    #[serde(default)]
    pub(crate) json_schema: Option<Value>,
}

impl Default for Input {
    fn default() -> Input {
        Input {
            required: false,
            content_type: Some("*/*".into()),
            json_schema: None,
        }
    }
}

/// What a handler gives. Without a word about it: JSON. With a word, but no content type: nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Output {
    #[serde(default)]
    pub(crate) content_type: Option<String>,
    #[serde(default)]
    pub(crate) set_content_type_if_empty: bool,
    #[serde(default)]
    pub(crate) json_schema: Option<Value>,
}

impl Default for Output {
    fn default() -> Output {
        Output {
            content_type: Some("application/json".into()),
            set_content_type_if_empty: false,
            json_schema: None,
        }
    }
}

impl Manifest {
    /// The lowest and the highest version of the service protocol that it speaks.
    pub(crate) fn versions(&self) -> (u32, u32) {
        (self.min_version, self.max_version)
    }

    /// Errors: what is wrong with it.
    pub(crate) fn read(content_type: &str, body: &[u8]) -> Result<Manifest, String> {
        let known = content_type
            .strip_prefix(CONTENT_TYPE)
            .and_then(|rest| rest.strip_suffix("+json"));
        if !known.is_some_and(|version| matches!(version, "1" | "2" | "3" | "4")) {
            return Err(format!(
                "the answer has content type '{content_type}', which is no endpoint manifest"
            ));
        }
        let manifest: Manifest = serde_json::from_slice(body)
            .map_err(|error| format!("the endpoint manifest cannot be decoded: {error}"))?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), String> {
        if self.min_version == 0 || self.min_version > self.max_version {
            return Err(format!(
                "protocol versions {} to {} are no range",
                self.min_version, self.max_version
            ));
        }
        for service in &self.services {
            if !is_name(&service.name, true) {
                return Err(format!("'{}' is no service name", service.name));
            }
            let lower = service.name.to_ascii_lowercase();
            if lower.starts_with("restate") || lower == "openapi" {
                return Err(format!("the service name '{}' is reserved", service.name));
            }
            for handler in &service.handlers {
                handler.check(service)?;
            }
        }
        Ok(())
    }

    /// Early releases of the TypeScript SDK say that they speak version 2, and do not.
    pub(crate) fn correct(&mut self, sdk: Option<&str>) {
        const LIARS: [&str; 3] = [
            "restate-sdk-typescript/1.0.",
            "restate-sdk-typescript/1.1.",
            "restate-sdk-typescript/1.2.",
        ];
        if sdk.is_some_and(|sdk| LIARS.iter().any(|liar| sdk.starts_with(liar))) {
            self.max_version = 1;
        }
    }

    pub(crate) fn is_bidirectional(&self) -> bool {
        self.protocol_mode == Mode::BidiStream
    }
}

impl ServiceKind {
    /// As the admin API calls it.
    pub(crate) fn text(self) -> &'static str {
        match self {
            ServiceKind::Service => "Service",
            ServiceKind::VirtualObject => "VirtualObject",
            ServiceKind::Workflow => "Workflow",
        }
    }
}

impl Handler {
    /// As the admin API calls it; handlers of plain services have no type.
    pub(crate) fn kind_text(&self, of: ServiceKind) -> Option<&'static str> {
        match self.target_kind(of) {
            TargetKind::Service => None,
            TargetKind::Exclusive => Some("Exclusive"),
            TargetKind::Shared => Some("Shared"),
            TargetKind::Workflow => Some("Workflow"),
        }
    }

    fn check(&self, service: &Service) -> Result<(), String> {
        let of = format!("handler '{}' of service '{}'", self.name, service.name);
        if !is_name(&self.name, false) {
            return Err(format!("{of} has no handler name"));
        }
        let fits = match (service.kind, self.kind) {
            (_, None | Some(HandlerKind::Shared)) => true,
            (ServiceKind::VirtualObject, Some(HandlerKind::Exclusive)) => true,
            (ServiceKind::Workflow, Some(HandlerKind::Workflow)) => true,
            (_, Some(_)) => false,
        };
        if !fits {
            return Err(format!("{of} has a type that its service cannot have"));
        }
        if service.private == Some(true) && self.private == Some(false) {
            return Err(format!("{of} is public, and its service is private"));
        }
        Ok(())
    }

    pub(crate) fn target_kind(&self, of: ServiceKind) -> TargetKind {
        match (of, self.kind) {
            (ServiceKind::Service, _) => TargetKind::Service,
            (ServiceKind::VirtualObject, None | Some(HandlerKind::Exclusive)) => TargetKind::Exclusive,
            (ServiceKind::Workflow, Some(HandlerKind::Workflow)) => TargetKind::Workflow,
            (ServiceKind::VirtualObject | ServiceKind::Workflow, _) => TargetKind::Shared,
        }
    }
}

impl Settings {
    /// Where this says nothing, that holds.
    pub(crate) fn or(&self, that: &Settings) -> Settings {
        Settings {
            inactivity_ms: self.inactivity_ms.or(that.inactivity_ms),
            abort_ms: self.abort_ms.or(that.abort_ms),
            journal_ms: self.journal_ms.or(that.journal_ms),
            idempotency_ms: self.idempotency_ms.or(that.idempotency_ms),
            workflow_ms: self.workflow_ms.or(that.workflow_ms),
            lazy_state: self.lazy_state.or(that.lazy_state),
            retry_first_ms: self.retry_first_ms.or(that.retry_first_ms),
            retry_max_ms: self.retry_max_ms.or(that.retry_max_ms),
            retry_attempts_max: self.retry_attempts_max.or(that.retry_attempts_max),
            retry_factor: self.retry_factor.or(that.retry_factor),
            retry_kill: self.retry_kill.or(that.retry_kill),
        }
    }
}

impl Input {
    /// For people.
    pub(crate) fn text(&self) -> String {
        match &self.content_type {
            None => "none".into(),
            Some(content_type) if self.required => format!("value of content-type '{content_type}'"),
            Some(content_type) => format!("one of [\"none\", \"value of content-type '{content_type}'\"]"),
        }
    }

    /// The error is what clients are told.
    pub(crate) fn check(&self, content_type: Option<&str>, empty: bool) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("input validation error: {why}"));
        let Some(expected) = &self.content_type else {
            return if empty {
                Ok(())
            } else {
                wrong("Expected empty body, but got a non-empty one")
            };
        };
        if empty && content_type.is_none() {
            return if self.required {
                wrong("Expected body, but got an empty one")
            } else {
                Ok(())
            };
        }
        match content_type.map(essence) {
            _ if expected == "*/*" => Ok(()),
            None => wrong("Empty content-type"),
            Some(seen) if matches(expected, seen) => Ok(()),
            Some(seen) => wrong(&format!("Content-type '{seen}' does not match '{expected}'")),
        }
    }
}

impl Output {
    /// For people.
    pub(crate) fn text(&self) -> String {
        match &self.content_type {
            None => "none".into(),
            Some(content_type) => format!("value of content-type '{content_type}'"),
        }
    }

    pub(crate) fn content_type(&self, empty: bool) -> Option<String> {
        let says = !empty || self.set_content_type_if_empty;
        self.content_type.clone().filter(|_| says)
    }
}

fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn matches(expected: &str, seen: &str) -> bool {
    let expected = essence(expected);
    match expected.strip_suffix("/*") {
        Some(of) => seen
            .split('/')
            .next()
            .is_some_and(|seen| seen.eq_ignore_ascii_case(of)),
        None => expected.eq_ignore_ascii_case(seen),
    }
}

/// A letter first, or an underscore before a letter or digit; then letters, digits, underscores, and of services dots and
/// hyphens.
fn is_name(name: &str, of_service: bool) -> bool {
    let mut bytes = name.bytes();
    let begins = match bytes.next() {
        Some(b'_') => bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric()),
        Some(byte) => byte.is_ascii_alphabetic(),
        None => false,
    };
    begins
        && bytes.all(|byte| {
            byte.is_ascii_alphanumeric() || byte == b'_' || (of_service && matches!(byte, b'.' | b'-'))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "application/vnd.restate.endpointmanifest.v1+json";

    fn read(services: &str) -> Result<Manifest, String> {
        let text = format!(
            r#"{{"protocolMode":"BIDI_STREAM","minProtocolVersion":5,"maxProtocolVersion":7,"services":{services}}}"#
        );
        Manifest::read(V1, text.as_bytes())
    }

    #[test]
    fn a_manifest_is_read_with_what_is_new_in_it() {
        let manifest = read(
            r#"[{"name":"Counter","ty":"VIRTUAL_OBJECT","future":1,"inactivityTimeout":5,"handlers":[
                {"name":"add","ty":"EXCLUSIVE","retryPolicyOnMaxAttempts":"KILL"},
                {"name":"get","ty":"SHARED","input":{},"output":{"contentType":"text/plain"}}]}]"#,
        )
        .expect("a manifest");
        let service = &manifest.services[0];
        assert_eq!(service.settings.inactivity_ms, Some(5));
        let kinds: Vec<_> = service
            .handlers
            .iter()
            .map(|handler| handler.target_kind(service.kind))
            .collect();
        assert_eq!(kinds, [TargetKind::Exclusive, TargetKind::Shared]);
        assert_eq!(service.handlers[0].settings.retry_kill, Some(true));
        assert_eq!(service.handlers[1].input.content_type, None);
        let text = serde_json::to_vec(&manifest).expect("JSON");
        assert_eq!(Manifest::read(V1, &text), Ok(manifest));
    }

    #[test]
    fn what_is_no_manifest_is_said() {
        let wrong = |services| read(services).expect_err("it is wrong");
        assert!(wrong(r#"[{"name":"restateX","ty":"SERVICE","handlers":[]}]"#).contains("reserved"));
        assert!(wrong(r#"[{"name":"1x","ty":"SERVICE","handlers":[]}]"#).contains("no service name"));
        assert!(
            wrong(r#"[{"name":"X","ty":"SERVICE","handlers":[{"name":"a","ty":"EXCLUSIVE"}]}]"#)
                .contains("type")
        );
        let private = r#"[{"name":"X","ty":"SERVICE","ingressPrivate":true,"handlers":[{"name":"a","ingressPrivate":false}]}]"#;
        assert!(wrong(private).contains("private"));
        assert!(wrong("7").contains("cannot be decoded"));
        assert!(
            Manifest::read("text/html", b"{}")
                .expect_err("no")
                .contains("text/html")
        );
        let v5 = "application/vnd.restate.endpointmanifest.v5+json";
        assert!(Manifest::read(v5, b"{}").is_err());
    }

    #[test]
    fn a_workflows_handler_without_a_type_is_shared() {
        let handler = Handler::default();
        assert_eq!(handler.target_kind(ServiceKind::Workflow), TargetKind::Shared);
        assert_eq!(
            handler.target_kind(ServiceKind::VirtualObject),
            TargetKind::Exclusive
        );
    }

    #[test]
    fn inputs_are_checked_by_their_type() {
        let json = Input {
            content_type: Some("application/json".into()),
            ..Input::default()
        };
        assert_eq!(json.check(Some("application/json; charset=utf-8"), false), Ok(()));
        assert_eq!(json.check(None, true), Ok(()));
        let expected = "input validation error: Content-type 'text/plain' does not match 'application/json'";
        assert_eq!(json.check(Some("text/plain"), false), Err(expected.into()));
        assert!(json.check(None, false).is_err());
        let required = Input {
            required: true,
            ..json
        };
        assert!(required.check(None, true).is_err());
        let nothing = Input {
            content_type: None,
            ..Input::default()
        };
        assert!(nothing.check(None, false).is_err());
        assert_eq!(nothing.check(None, true), Ok(()));
        assert_eq!(Input::default().check(Some("x/y"), false), Ok(()));
        let any_text = Input {
            content_type: Some("text/*".into()),
            ..Input::default()
        };
        assert_eq!(any_text.check(Some("text/plain"), false), Ok(()));
    }

    #[test]
    fn an_empty_output_has_no_type_unless_it_wants_one() {
        let json = Output::default();
        assert_eq!(json.content_type(false).as_deref(), Some("application/json"));
        assert_eq!(json.content_type(true), None);
    }
}
