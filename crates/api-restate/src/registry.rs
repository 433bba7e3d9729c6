//! Deployments and services: which user code there is, where, and what holds for it.
//!
//! Kept in a map of the engine, a row for each deployment and for each service that somebody has changed by hand, and read
//! once at the start. In memory everybody reads one value that is never changed, only replaced.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use base::{Error, Result, codes};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use machines::invocation::Id;
use machines::invocation::rows::{Head, Origin, Pin, Rules, TargetKind};
use machines::primitive::collection::Listing;
use machines::primitive::map::{self, Change, To};
use machines::{Address, Call, Engine};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::defaults::{Defaults, millis};
use crate::endpoint::{Answer, Ask};
use crate::id;
use crate::manifest::{Handler, Manifest, Output, Service, ServiceKind, Settings};
use crate::talk::Failure;
use crate::version::Version;

/// A deployment as it was registered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deployment {
    pub(crate) id: String,
    pub(crate) uri: String,
    pub(crate) created_at: u64,
    #[serde(default)]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) http_1: bool,
    /// What its answer to discovery said it is.
    #[serde(default)]
    pub(crate) sdk: Option<String>,
    pub(crate) manifest: Manifest,
    /// Of each of its services, by name.
    pub(crate) revisions: BTreeMap<String, u32>,
}

/// What somebody has changed of a service by hand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Changed {
    pub(crate) public: Option<bool>,
    #[serde(default)]
    pub(crate) settings: Settings,
}

#[derive(Clone, Default)]
pub(crate) struct Book {
    pub(crate) deployments: BTreeMap<String, Arc<Deployment>>,
    pub(crate) changed: BTreeMap<String, Changed>,
    /// The deployment that new invocations of a service go to.
    pub(crate) newest: BTreeMap<String, String>,
}

#[derive(Clone)]
pub(crate) struct Registry(Arc<Shared>);

struct Shared {
    engine: Arc<dyn Engine>,
    address: Address,
    defaults: Defaults,
    book: ArcSwap<Book>,
    changing: Mutex<()>,
    /// The most that deployments turned out to speak, by their ids: less than they say. Until the book is changed.
    spoken: parking_lot::Mutex<HashMap<String, Version>>,
}

/// A handler that was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    pub(crate) kind: TargetKind,
    pub(crate) public: bool,
    handler: Place,
    rules: Rules,
    workflow_ms: u64,
    idempotency_ms: u64,
    journal_ms: u64,
}

/// A handler of a deployment, or none that is known.
#[derive(Clone, Debug, Default)]
struct Place(Option<(Arc<Deployment>, usize, usize)>);

impl Place {
    fn handler(&self) -> Option<&Handler> {
        let (deployment, service, handler) = self.0.as_ref()?;
        deployment.manifest.services.get(*service)?.handlers.get(*handler)
    }
}

/// Where an attempt goes, and how.
pub(crate) struct Chosen {
    pub(crate) pin: Pin,
    pub(crate) version: Version,
    pub(crate) bidirectional: bool,
    pub(crate) http_1: bool,
    pub(crate) inactivity: Duration,
    pub(crate) abort: Duration,
    /// State is asked for and not sent along.
    pub(crate) lazy_state: bool,
    /// What to speak if the deployment does not speak this version, though it says so. An invocation that is pinned has no choice.
    lower: Option<Version>,
    uri: String,
    headers: HeaderMap,
}

/// Documented: the deployment does not speak the version of the protocol that it said it speaks.
pub(crate) const NOT_SPOKEN: &str = "RT0015";

const DEPLOYMENT: &str = "deployment/";
const SERVICE: &str = "service/";

impl Registry {
    /// Reads what was registered at earlier starts.
    pub(crate) async fn start(engine: Arc<dyn Engine>, defaults: Defaults) -> Result<Registry> {
        let address = Address::primitive("\0restate", "registry");
        let mut book = Book::default();
        let mut listing = Listing::live();
        while let Some(rows) = listing.next(&*engine, &address).await? {
            for row in rows {
                book.read(&row.key, &row.value)?;
            }
        }
        book.settle();
        Ok(Registry(Arc::new(Shared {
            engine,
            address,
            defaults,
            book: ArcSwap::from_pointee(book),
            changing: Mutex::default(),
            spoken: parking_lot::Mutex::default(),
        })))
    }

    /// One that is not stored.
    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn of(engine: Arc<dyn Engine>, mut book: Book) -> Registry {
        book.settle();
        Registry(Arc::new(Shared {
            engine,
            address: Address::primitive("\0restate", "registry"),
            defaults: Defaults::default(),
            book: ArcSwap::from_pointee(book),
            changing: Mutex::default(),
            spoken: parking_lot::Mutex::default(),
        }))
    }

    pub(crate) fn book(&self) -> Arc<Book> {
        self.0.book.load_full()
    }

    pub(crate) fn services(&self) -> Vec<String> {
        self.0.book.load().newest.keys().cloned().collect()
    }

    /// Changes the book: what `change` leaves is durable before anybody sees it.
    pub(crate) async fn change<T>(&self, change: impl FnOnce(&mut Book) -> Result<T>) -> Result<T> {
        let _changing = self.0.changing.lock().await;
        let before = self.book();
        let mut after = (*before).clone();
        let outcome = change(&mut after)?;
        after.settle();
        let changes = before.changes(&after)?;
        if !changes.is_empty() {
            let commit = map::Command::Commit(changes);
            commit.call(&*self.0.engine, &self.0.address).await?;
        }
        self.0.book.store(Arc::new(after));
        self.0.spoken.lock().clear();
        Ok(outcome)
    }

    pub(crate) fn defaults(&self) -> &Defaults {
        &self.0.defaults
    }

    /// The error is what clients are told.
    pub(crate) fn find(&self, service: &str, handler: &str) -> Result<Found, String> {
        let book = self.0.book.load();
        let Some((deployment, number)) = book.place(service) else {
            return Err(format!(
                "service '{service}' not found, make sure to register the service before calling it."
            ));
        };
        let of = &deployment.manifest.services[number];
        let Some(place) = of.handlers.iter().position(|other| other.name == handler) else {
            return Err(format!(
                "the service '{service}' exists, but the handler '{handler}' was not found, check that the handler exists \
                 in the latest registered service version."
            ));
        };
        let unchanged = Changed::default();
        let changed = book.changed.get(service).unwrap_or(&unchanged);
        let found = self.found(of, &of.handlers[place], changed);
        Ok(Found {
            handler: Place(Some((deployment.clone(), number, place))),
            ..found
        })
    }

    fn found(&self, service: &Service, handler: &Handler, changed: &Changed) -> Found {
        let defaults = &self.0.defaults;
        let settings = handler.settings.or(&changed.settings).or(&service.settings);
        let retry = &defaults.retry;
        let factor = settings.retry_factor.unwrap_or(retry.factor);
        let rules = Rules {
            result_ms: 0,
            journal_ms: 0,
            retry_first_ms: settings.retry_first_ms.unwrap_or(millis(retry.first)),
            retry_max_ms: settings.retry_max_ms.unwrap_or(millis(retry.max)),
            retry_factor_milli: (factor * 1_000.0).clamp(1_000.0, 1_000_000.0) as u32,
            attempts_max: match settings.retry_attempts_max {
                Some(attempts) => attempts.max(1),
                None => retry.attempts_max.unwrap_or(0),
            },
            kill_after_attempts: settings.retry_kill.unwrap_or(retry.kill),
        };
        let public =
            changed.public.unwrap_or(!service.private.unwrap_or(false)) && !handler.private.unwrap_or(false);
        Found {
            kind: handler.target_kind(service.kind),
            public,
            handler: Place::default(),
            rules,
            journal_ms: settings.journal_ms.unwrap_or(millis(defaults.journal_retention)),
            idempotency_ms: settings
                .idempotency_ms
                .unwrap_or(millis(defaults.idempotency_retention)),
            workflow_ms: settings
                .workflow_ms
                .unwrap_or(millis(defaults.workflow_retention)),
        }
    }

    pub(crate) fn is_workflow(&self, service: &str) -> bool {
        let book = self.0.book.load();
        book.newest(service)
            .is_some_and(|(_, service)| service.kind == ServiceKind::Workflow)
    }

    /// Where the next attempt goes.
    pub(crate) fn choose(&self, head: &Head, origin: &Origin) -> Result<Chosen, Failure> {
        let book = self.0.book.load();
        let name = &origin.target.service;
        let pinned = head.pin.as_ref().filter(|pin| !pin.deployment.is_empty());
        let deployment = match pinned {
            Some(pin) => book.deployments.get(&pin.deployment),
            None => book.newest(name).map(|(deployment, _)| deployment),
        };
        let missing = || Failure {
            counts: false,
            ..Failure::new("RT0011", format!("no deployment has the service {name}"))
        };
        let deployment = deployment.ok_or_else(missing)?;
        let service = deployment
            .manifest
            .services
            .iter()
            .find(|service| service.name == *name)
            .ok_or_else(missing)?;
        let handler = service
            .handlers
            .iter()
            .find(|handler| handler.name == origin.target.handler);
        let range = deployment.manifest.versions();
        let version = match pinned.map(|pin| pin.protocol) {
            Some(protocol) => Version::of_number(protocol).filter(|version| version.is_in(range)),
            None => Version::highest(range, self.most(&deployment.id)),
        };
        let version = version.ok_or_else(|| Failure {
            counts: false,
            ..Failure::new(
                if pinned.is_some() { "RT0014" } else { "RT0013" },
                format!(
                    "deployment {} speaks protocol versions {} to {}",
                    deployment.id, range.0, range.1
                ),
            )
        })?;
        let changed = book.changed.get(name).cloned().unwrap_or_default();
        let settings = service.settings.clone();
        let settings = changed.settings.or(&settings);
        let settings = handler.map_or(settings.clone(), |handler| handler.settings.or(&settings));
        let defaults = &self.0.defaults;
        let time = |millis: Option<u64>, default| millis.map_or(default, Duration::from_millis);
        Ok(Chosen {
            pin: Pin {
                deployment: deployment.id.clone(),
                protocol: version.number(),
            },
            version,
            bidirectional: deployment.manifest.is_bidirectional(),
            http_1: deployment.http_1,
            inactivity: time(settings.inactivity_ms, defaults.inactivity),
            abort: time(settings.abort_ms, defaults.abort),
            lazy_state: settings.lazy_state.unwrap_or(false),
            lower: version.below(range).filter(|_| pinned.is_none()),
            uri: deployment.uri.clone(),
            headers: header_map(&deployment.headers),
        })
    }
}

impl Registry {
    /// The most that is to be spoken with it.
    pub(crate) fn most(&self, deployment: &str) -> Version {
        let most = self.0.defaults.protocol_max;
        let spoken = self.0.spoken.lock().get(deployment).copied();
        spoken.map_or(most, |spoken| spoken.min(most))
    }

    /// The deployment does not speak what was chosen. `true`: the next choice is a lower version.
    pub(crate) fn lower(&self, chosen: &Chosen) -> bool {
        let Some(lower) = chosen.lower else {
            return false;
        };
        let mut spoken = self.0.spoken.lock();
        let most = spoken.entry(chosen.pin.deployment.clone()).or_insert(lower);
        *most = lower.min(*most);
        true
    }
}

pub(crate) fn header_map(headers: &BTreeMap<String, String>) -> HeaderMap {
    let pair = |(name, value): (&String, &String)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    };
    headers.iter().filter_map(pair).collect()
}

impl Book {
    /// One deployment.
    #[cfg(any(test, feature = "fuzz"))]
    pub(crate) fn with(manifest: Manifest) -> Book {
        let revision = |service: &Service| (service.name.clone(), 1);
        let deployment = Deployment {
            id: "dp".into(),
            uri: "http://localhost:9080".into(),
            created_at: 0,
            headers: BTreeMap::new(),
            metadata: BTreeMap::new(),
            http_1: false,
            sdk: None,
            revisions: manifest.services.iter().map(revision).collect(),
            manifest,
        };
        Book {
            deployments: [("dp".into(), Arc::new(deployment))].into(),
            ..Book::default()
        }
    }

    fn read(&mut self, key: &str, value: &Bytes) -> Result<()> {
        let damaged = |error: serde_json::Error| {
            Error::new(
                codes::STORED_ROW_UNREADABLE,
                format!("{key} of the registry cannot be read: {error}"),
            )
        };
        if let Some(id) = key.strip_prefix(DEPLOYMENT) {
            let deployment = serde_json::from_slice(value).map_err(damaged)?;
            self.deployments.insert(id.into(), Arc::new(deployment));
        } else if let Some(service) = key.strip_prefix(SERVICE) {
            self.changed
                .insert(service.into(), serde_json::from_slice(value).map_err(damaged)?);
        }
        Ok(())
    }

    /// Which deployment is the newest of each service: the one with the largest revision.
    fn settle(&mut self) {
        let mut newest: BTreeMap<&String, (u32, &String)> = BTreeMap::new();
        for deployment in self.deployments.values() {
            for (service, revision) in &deployment.revisions {
                let this = (*revision, &deployment.id);
                newest
                    .entry(service)
                    .and_modify(|other| *other = this.max(*other))
                    .or_insert(this);
            }
        }
        self.newest = newest
            .into_iter()
            .map(|(service, (_, id))| (service.clone(), id.clone()))
            .collect();
    }

    pub(crate) fn newest(&self, service: &str) -> Option<(&Arc<Deployment>, &Service)> {
        let (deployment, number) = self.place(service)?;
        Some((deployment, &deployment.manifest.services[number]))
    }

    /// The newest deployment of a service, and its place there.
    fn place(&self, service: &str) -> Option<(&Arc<Deployment>, usize)> {
        let deployment = self.deployments.get(self.newest.get(service)?)?;
        let place = deployment
            .manifest
            .services
            .iter()
            .position(|other| other.name == service)?;
        Some((deployment, place))
    }

    /// What the services of a manifest would be, registered now.
    pub(crate) fn next_revisions(&self, manifest: &Manifest) -> BTreeMap<String, u32> {
        let next = |of: &Service| (of.name.clone(), self.next_revision(&of.name));
        manifest.services.iter().map(next).collect()
    }

    fn next_revision(&self, service: &str) -> u32 {
        let deployments = self.deployments.values();
        let revisions = deployments.filter_map(|deployment| deployment.revisions.get(service));
        revisions.max().map_or(1, |revision| revision + 1)
    }

    /// What has to be written to come from here to there.
    fn changes(&self, after: &Book) -> Result<Vec<Change>> {
        let mut changes = vec![];
        let put = |key: String, json: serde_json::Result<Vec<u8>>| {
            let value = json.map_err(|error| Error::new(codes::INTERNAL, error.to_string()))?;
            let to = To::Put {
                value: value.into(),
                ttl: None,
                expect: 0,
            };
            Ok::<_, Error>(Change { key, to })
        };
        for (id, deployment) in &after.deployments {
            if self.deployments.get(id) != Some(deployment) {
                changes.push(put(
                    format!("{DEPLOYMENT}{id}"),
                    serde_json::to_vec(&**deployment),
                )?);
            }
        }
        for (service, changed) in &after.changed {
            if self.changed.get(service) != Some(changed) {
                changes.push(put(format!("{SERVICE}{service}"), serde_json::to_vec(changed))?);
            }
        }
        let gone = self
            .deployments
            .keys()
            .filter(|id| !after.deployments.contains_key(*id));
        changes.extend(gone.map(|id| Change {
            key: format!("{DEPLOYMENT}{id}"),
            to: To::Remove { expect: 0 },
        }));
        Ok(changes)
    }
}

impl Found {
    /// How long what is kept.
    pub(crate) fn rules(&self, idempotent: bool) -> Rules {
        let result_ms = match (self.kind, idempotent) {
            (TargetKind::Workflow, _) => self.workflow_ms,
            (_, true) => self.idempotency_ms,
            (_, false) => self.journal_ms,
        };
        Rules {
            result_ms,
            journal_ms: self.journal_ms.min(result_ms),
            ..self.rules
        }
    }

    /// The error is what clients are told.
    pub(crate) fn check_input(&self, content_type: Option<&str>, body: &Bytes) -> Result<(), String> {
        let Some(handler) = self.handler.handler() else {
            return Ok(());
        };
        handler.input.check(content_type, body.is_empty())
    }

    pub(crate) fn output_type(&self, empty: bool) -> Option<String> {
        match self.handler.handler() {
            Some(handler) => handler.output.content_type(empty),
            None => Output::default().content_type(empty),
        }
    }
}

impl Chosen {
    pub(crate) fn invoke(&self, id: &Id, origin: &Origin) -> Result<Ask, Failure> {
        let target = &origin.target;
        let bad = |error: String| Failure::new("RT0010", format!("{} cannot be called: {error}", self.uri));
        let base = self.uri.trim_end_matches('/');
        let path = format!("/invoke/{}/{}", target.service, target.handler);
        let uri: Uri = format!("{base}{path}")
            .parse()
            .map_err(|error: http::uri::InvalidUri| bad(error.to_string()))?;
        let mut headers = self.headers.clone();
        let text = |text: &str| HeaderValue::from_str(text).map_err(|error| bad(error.to_string()));
        let content_type = text(&self.version.content_type())?;
        headers.insert(http::header::CONTENT_TYPE, content_type.clone());
        headers.insert(http::header::ACCEPT, content_type);
        headers.insert("x-restate-invocation-id", text(&id::encode(id))?);
        if target.kind() != TargetKind::Service {
            let key = percent_encoding::utf8_percent_encode(&target.key, percent_encoding::NON_ALPHANUMERIC);
            headers.insert("x-restate-service-key", text(&key.to_string())?);
        }
        Ok(Ask {
            method: Method::POST,
            uri,
            headers,
            path,
        })
    }

    /// Errors: what the answer's head means where it is not the protocol's.
    pub(crate) async fn check_answer(&self, answer: &mut Answer) -> Result<(), Failure> {
        let status = answer.status.as_u16();
        let content_type = answer
            .headers
            .get(http::header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        if status == 200 && content_type == Some(self.version.content_type().as_str()) {
            return Ok(());
        }
        let seen = content_type.unwrap_or("none").to_owned();
        let body = answer
            .body(64 << 10, Duration::from_secs(5))
            .await
            .unwrap_or_default();
        let body = String::from_utf8_lossy(&body);
        Err(match status {
            200 => Failure::new("RT0012", format!("it answered with content type {seen}")),
            413 => Failure::new("RT0019", "it refused the size of the request"),
            415 => Failure::new(
                NOT_SPOKEN,
                format!("it does not speak {} any more", self.version.content_type()),
            ),
            429 | 503 => Failure {
                delay: retry_after(&answer.headers),
                ..Failure::new("RT0023", format!("it is busy: status {status} {body}"))
            },
            502 | 504 => Failure::new("RT0010", format!("it cannot be reached: status {status} {body}")),
            _ => Failure::new("RT0012", format!("it answered with status {status} {body}")),
        })
    }
}

/// In seconds; a date is left to the retry policy.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
    let seconds = text.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
