//! `kill -9` of Belay, and crashes of a deployment, while clients call objects. Against what the clients and the deployment
//! wrote down: every call that was repeated until it was answered was done once, nothing that a later step knew is lost, no
//! object stays held, and state is what the answers say.

#![allow(
    clippy::disallowed_methods,
    reason = "clients and user code are somebody else's programs"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::FutureExt;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use tests::deployment::{Context, Deployment, Handler};
use tests::{Belay, PATIENCE, eventually, long};

const KEYS: u64 = 4;
const CLIENTS: usize = 8;

pub(crate) const SERVICES: &str = r#"[
    {"name":"Counter","ty":"VIRTUAL_OBJECT","handlers":[{"name":"add","ty":"EXCLUSIVE"},{"name":"get","ty":"SHARED"}]},
    {"name":"Echo","ty":"SERVICE","handlers":[{"name":"echo"}]}]"#;

/// Attempts come soon, and a suspension too.
pub(crate) const CONFIG: &str = r"
components: []
restate:
  inactivity_timeout_ms: 100
  retry: { initial_interval_ms: 20, max_interval_ms: 100, max_attempts: 0 }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_was_done_once_whatever_is_killed() {
    let rounds = if long() { 300 } else { 20 };
    let deployment = Deployment::start(SERVICES, handlers()).await;
    let mut belay = Belay::run(CONFIG).await;
    register(&belay, &deployment.uri).await;
    let load = Arc::new(Load::new(&belay));
    let mut random = fastrand::Rng::new();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(load.clone().call_on(client)))
        .collect();
    for _ in 0..rounds {
        tokio::time::sleep(Duration::from_millis(random.u64(50..300))).await;
        let chance = random.u32(..3);
        if chance > 0 {
            deployment.crash();
        }
        if chance < 2 {
            belay = belay.restart().await;
            load.moved(&belay);
        }
    }
    load.over.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.expect("a client ends");
    }
    load.check(&deployment).await;
}

pub(crate) fn handlers() -> BTreeMap<&'static str, Handler> {
    let handler =
        |code: fn(Context) -> futures::future::BoxFuture<'static, Option<()>>| -> Handler { Arc::new(code) };
    BTreeMap::from([
        ("Counter/add", handler(|context| add(context).boxed())),
        ("Counter/get", handler(|context| get(context).boxed())),
        ("Echo/echo", handler(|context| echo(context).boxed())),
    ])
}

async fn add(mut context: Context) -> Option<()> {
    let before = context.get("count").map_or(0, |count| number(&count));
    if fastrand::u32(..20) == 0 {
        context.fail();
        return None;
    }
    context.run("one").await?;
    match context.input.first().copied().unwrap_or_default() % 3 {
        0 => drop(
            context
                .call("Echo", "echo", "", Bytes::from_static(b"hello"))
                .await?,
        ),
        1 => context.sleep(now_ms() + fastrand::u64(..300)).await?,
        _ => {}
    }
    context.run("two").await?;
    let after = Bytes::from((before + 1).to_string());
    context.set("count", after.clone());
    context.output(Ok(after));
    Some(())
}

async fn get(mut context: Context) -> Option<()> {
    let count = context.get("count").unwrap_or_else(|| Bytes::from_static(b"0"));
    context.output(Ok(count));
    Some(())
}

async fn echo(mut context: Context) -> Option<()> {
    let input = context.input.clone();
    context.output(Ok(input));
    Some(())
}

fn number(text: &[u8]) -> u64 {
    String::from_utf8_lossy(text).parse().expect("a number")
}

fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(elapsed.as_millis()).expect("it fits")
}

pub(crate) struct Load {
    http: Client<HttpConnector, Full<Bytes>>,
    ingress: Mutex<String>,
    pub(crate) over: AtomicBool,
    calls: AtomicU64,
    /// What was answered, by key.
    answers: Mutex<BTreeMap<u64, Vec<u64>>>,
}

impl Load {
    pub(crate) fn new(belay: &Belay) -> Load {
        Load {
            http: Client::builder(TokioExecutor::new()).build_http(),
            ingress: Mutex::new(belay.ingress.clone()),
            over: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            answers: Mutex::default(),
        }
    }

    pub(crate) fn moved(&self, belay: &Belay) {
        self.ingress.lock().clone_from(&belay.ingress);
    }

    /// Calls, and repeats each call with its key until it is answered.
    pub(crate) async fn call_on(self: Arc<Load>, client: usize) {
        let mut random = fastrand::Rng::with_seed(client as u64);
        while !self.over.load(Ordering::SeqCst) {
            let call = self.calls.fetch_add(1, Ordering::SeqCst);
            let key = random.u64(..KEYS);
            let path = format!("/Counter/{key}/add");
            let answer = eventually("an answer", || self.post(&path, Some(call))).await;
            self.answers.lock().entry(key).or_default().push(number(&answer));
        }
    }

    /// `None`: somebody is dead.
    async fn post(&self, path: &str, idempotency_key: Option<u64>) -> Option<Bytes> {
        let ingress = self.ingress.lock().clone();
        let mut request = Request::post(format!("http://{ingress}{path}"));
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key.to_string());
        }
        let body = idempotency_key.unwrap_or_default().to_be_bytes();
        let body = Full::new(Bytes::copy_from_slice(&body[7..]));
        let asked = self.http.request(request.body(body).expect("a request"));
        let answer = tokio::time::timeout(PATIENCE, asked)
            .await
            .expect("an answer in time")
            .ok()?;
        let status = answer.status();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        match status.as_u16() {
            200 => Some(body),
            503 => None,
            other => panic!("{path}: {other} {body:?}"),
        }
    }

    pub(crate) async fn check(&self, deployment: &Deployment) {
        let answers = self.answers.lock().clone();
        let mut sum = 0;
        for (key, counts) in answers {
            counts_each_call_once(key, &counts);
            let path = format!("/Counter/{key}/get");
            let count = eventually("the count", || self.post(&path, None)).await;
            assert_eq!(number(&count), counts.len() as u64, "object {key}");
            sum += counts.len();
        }
        let account = deployment.account.lock();
        assert_eq!(account.faults, [""; 0]);
        assert!(
            account.runs >= 2 * sum as u64 && sum > 40,
            "{sum} calls, {} runs",
            account.runs
        );
    }
}

/// Each answered add has seen another count: no two of them are one.
pub(crate) fn counts_each_call_once(key: u64, counts: &[u64]) {
    let distinct: BTreeSet<u64> = counts.iter().copied().collect();
    assert_eq!(
        distinct.len(),
        counts.len(),
        "object {key} counted one call twice: {counts:?}"
    );
}

pub(crate) async fn register(belay: &Belay, uri: &str) {
    let http: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = Request::post(format!("http://{}/deployments", belay.admin))
        .header("content-type", "application/json")
        .body(Full::new(format!(r#"{{"uri":"{uri}"}}"#).into()))
        .expect("a request");
    let answer = http.request(request).await.expect("it answers");
    assert_eq!(answer.status().as_u16(), 201);
}
