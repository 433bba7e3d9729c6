//! A mix of what handlers do, under load, while Belay, the services, or both are killed at random. Judged by what clients were
//! answered and what handlers noted: every call that was repeated until it was answered was done once, no run whose result
//! a later step knew is executed again, counters equal the answered adds, no key stays locked, nothing is left running.

#![allow(clippy::disallowed_methods, reason = "clients are somebody else's programs")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tests::{PATIENCE, eventually, long};

use super::sdk::Sdk;
use super::world::World;
use crate::invocations_crash::counts_each_call_once;

const CLIENTS: usize = 6;
const OBJECTS: u64 = 3;

/// Attempts come soon, and never end.
const CONFIG: &str = "restate: {retry: {initial_interval_ms: 20, max_interval_ms: 100, max_attempts: 0}}";

/// Runs of one handler, in the order of its code.
const STEPS: &[&[&str]] = &[
    &["one", "two", "three"],
    &["before", "after"],
    &["one", "slow", "three"],
];

mod js {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn typescript_under_load_whatever_is_killed() {
        super::whatever_is_killed(&super::super::sdk::TYPESCRIPT_1_17).await;
    }
}

mod rust {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn rust_under_load_whatever_is_killed() {
        super::whatever_is_killed(&super::super::sdk::RUST).await;
    }
}

async fn whatever_is_killed(sdk: &Sdk) {
    let rounds = if long() { 300 } else { 20 };
    let (mut world, deployment) = World::start_with(sdk, CONFIG).await;
    assert_eq!(deployment.status, 201, "{deployment:?}\n{}", world.said());
    let mut random = fastrand::Rng::new();
    let load = Arc::new(Load::new(&world));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| tokio::spawn(load.clone().call_on(fastrand::Rng::with_seed(random.u64(..)))))
        .collect();
    for _ in 0..rounds {
        tokio::time::sleep(Duration::from_millis(random.u64(50..300))).await;
        let chance = random.u32(..3);
        if chance > 0 {
            world.services.kill().await;
        }
        if chance < 2 {
            world.belay = world.belay.restart().await;
            load.ingress.lock().clone_from(&world.belay.ingress);
        }
        if chance > 0 {
            world.start_services(sdk).await;
        }
    }
    load.over.store(true, Ordering::SeqCst);
    for client in clients {
        if let Err(panic) = client.await {
            panic!("{panic:?}\n{}\n{}", world.unfinished().await, world.said());
        }
    }
    load.check(&world).await;
}

struct Load {
    http: Client<HttpConnector, Full<Bytes>>,
    ingress: Mutex<String>,
    notes: PathBuf,
    over: AtomicBool,
    calls: AtomicU64,
    /// What `Counter/add` has answered, by object.
    sums: Mutex<BTreeMap<u64, Vec<u64>>>,
    /// How often `Greeter/oneWay` was answered, by object.
    sends: Mutex<BTreeMap<u64, u64>>,
    /// Index into `STEPS` of what was answered, by key.
    stepped: Mutex<BTreeMap<String, usize>>,
}

impl Load {
    fn new(world: &World) -> Load {
        Load {
            http: Client::builder(TokioExecutor::new()).build_http(),
            ingress: Mutex::new(world.belay.ingress.clone()),
            notes: world.notes_path(),
            over: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            sums: Mutex::default(),
            sends: Mutex::default(),
            stepped: Mutex::default(),
        }
    }

    async fn call_on(self: Arc<Load>, mut random: fastrand::Rng) {
        while !self.over.load(Ordering::SeqCst) {
            let key = format!("mix-{}", self.calls.fetch_add(1, Ordering::SeqCst));
            let (object, ms) = (random.u64(..OBJECTS), random.u64(..300));
            match random.u32(..9) {
                0 => {
                    let path = format!("Counter/{object}/add");
                    let sum = self.call(&path, &json!(1), &key).await;
                    let sum = sum.as_u64().expect("a number");
                    self.sums.lock().entry(object).or_default().push(sum);
                }
                1 => {
                    let input = json!(format!("sent-{object}"));
                    self.call("Greeter/oneWay", &input, &key).await;
                    *self.sends.lock().entry(object).or_default() += 1;
                }
                2 => self.step(0, "Greeter/three", &json!(key), &key, &json!(6)).await,
                3 | 4 => {
                    let service = if ms % 2 == 0 { "Greeter" } else { "Idle" };
                    let input = json!({"key": key, "ms": ms});
                    self.step(1, &format!("{service}/nap"), &input, &key, &json!("slept"))
                        .await;
                }
                5 => {
                    let input = json!({"key": key, "ms": ms / 2});
                    self.step(2, "Greeter/slow", &input, &key, &json!("done")).await;
                }
                6 => self.complete_awakeable(&key).await,
                7 => self.complete_workflow(&key).await,
                _ => {
                    let greeting = self.call("Greeter/chain", &json!(key), &key).await;
                    assert_eq!(greeting, format!("Hello {key}"));
                    let attempts = self
                        .call("Greeter/flaky", &json!(key), &format!("{key}-flaky"))
                        .await;
                    assert!(attempts.as_u64() >= Some(3), "{key}: {attempts}");
                }
            }
        }
    }

    async fn step(&self, steps: usize, path: &str, input: &Value, key: &str, expected: &Value) {
        assert_eq!(&self.call(path, input, key).await, expected, "{key}");
        self.stepped.lock().insert(key.to_owned(), steps);
    }

    async fn complete_awakeable(&self, key: &str) {
        let sent = self.call("Idle/awakeable/send", &json!(key), key).await;
        let start = format!("{key} id ");
        let find = async || {
            let notes = self.notes();
            notes
                .lines()
                .find_map(|line| line.strip_prefix(&start))
                .map(str::to_owned)
        };
        let id = eventually("an awakeable", find).await;
        self.call(&format!("restate/awakeables/{id}/resolve"), &json!("woken"), "")
            .await;
        let invocation = sent["invocationId"].as_str().expect("an id");
        let path = format!("restate/invocation/{invocation}/attach");
        assert_eq!(self.call(&path, &Value::Null, "").await, "woken", "{key}");
    }

    async fn complete_workflow(&self, key: &str) {
        self.call(&format!("Wf/{key}/run/send"), &json!("order"), "")
            .await;
        self.call(&format!("Wf/{key}/finish"), &json!("paid"), key).await;
        let attached = self
            .call(&format!("restate/workflow/Wf/{key}/attach"), &Value::Null, "")
            .await;
        assert_eq!(attached, "order:paid", "{key}");
    }

    /// Repeats a call with its key of idempotency, if it has one, until it is answered. Without an input: GET.
    async fn call(&self, path: &str, input: &Value, key: &str) -> Value {
        eventually(path, || self.ask(path, input, key)).await
    }

    /// `None`: somebody is dead.
    async fn ask(&self, path: &str, input: &Value, key: &str) -> Option<Value> {
        let url = format!("http://{}/{path}", self.ingress.lock());
        let (mut request, mut body) = (http::Request::get(&url), Bytes::new());
        if !input.is_null() {
            request = http::Request::post(&url).header("content-type", "application/json");
            body = input.to_string().into();
        }
        if !key.is_empty() {
            request = request.header("idempotency-key", key);
        }
        let asked = self
            .http
            .request(request.body(Full::new(body)).expect("a request"));
        let answer = tokio::time::timeout(PATIENCE, asked).await;
        let answer = answer
            .unwrap_or_else(|_| panic!("{path} {key}: no answer in time"))
            .ok()?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        match status {
            200 | 202 if body.is_empty() => Some(Value::Null),
            200 | 202 => Some(serde_json::from_slice(&body).expect("JSON")),
            503 => None,
            other => panic!("{path} {key}: {other} {body:?}"),
        }
    }

    /// Whole lines only: the last one may be half written.
    fn notes(&self) -> String {
        let mut notes = std::fs::read_to_string(&self.notes).expect("the notes are readable");
        notes.truncate(notes.rfind('\n').map_or(0, |end| end + 1));
        notes
    }

    async fn check(&self, world: &World) {
        let sums = self.sums.lock().clone();
        for (object, sums) in &sums {
            counts_each_call_once(*object, sums);
            // Exclusive: the key is free.
            let sum = self.call(&format!("Counter/{object}/add"), &json!(0), "").await;
            assert_eq!(sum, sums.len() as u64, "object {object}");
        }
        let question = "SELECT id, target, status FROM sys_invocation WHERE status != 'completed'";
        let left = async || {
            let left = world.query(question).await;
            (left["rows"] == json!([])).then_some(())
        };
        eventually("the last invocation to end", left).await;
        let sends = self.sends.lock().clone();
        for (object, count) in sends {
            let sum = self
                .call(&format!("Counter/sent-{object}/add"), &json!(0), "")
                .await;
            assert_eq!(sum, count, "sent to object {object}");
        }
        self.check_steps();
        let calls = self.calls.load(Ordering::SeqCst);
        assert!(calls > 50, "{calls} calls");
    }

    /// A step that has begun knew the results of those before it: none of them begins again.
    fn check_steps(&self) {
        // How many steps have begun, by key.
        let mut begun: BTreeMap<String, usize> = BTreeMap::new();
        let stepped = self.stepped.lock();
        for line in self.notes().lines() {
            let Some((key, what)) = line.split_once(' ') else {
                continue;
            };
            let Some(steps) = stepped.get(key).map(|index| STEPS[*index]) else {
                continue;
            };
            let Some(index) = steps.iter().position(|step| *step == what) else {
                continue;
            };
            let begun = begun.entry(key.to_owned()).or_default();
            assert!(
                index == *begun || index + 1 == *begun,
                "{key}: `{what}` when {begun} had begun"
            );
            *begun = index + 1;
        }
        for (key, index) in stepped.iter() {
            let begun = begun.get(key).copied();
            assert_eq!(begun, Some(STEPS[*index].len()), "steps of {key}");
        }
    }
}
