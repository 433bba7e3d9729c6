//! A Belay, the services of one SDK, and a plain HTTP client.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::Belay;

use super::sdk::{self, Program, Sdk};

pub(super) struct World {
    pub(super) belay: Belay,
    pub(super) services: Program,
    work: TempDir,
    http: Client<HttpConnector, Full<Bytes>>,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) text: String,
}

impl Answer {
    /// What a handler has answered, if it has.
    #[track_caller]
    pub(super) fn value(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        if self.text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&self.text).expect("JSON")
    }

    /// Status and message of a failure.
    #[track_caller]
    pub(super) fn failure(&self) -> (u16, String) {
        let failure: Value = serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("{self:?}"));
        (
            self.status,
            failure["message"].as_str().unwrap_or_default().to_owned(),
        )
    }
}

impl World {
    pub(super) async fn start(sdk: &Sdk) -> World {
        let (world, deployment) = World::start_with(sdk, sdk.config).await;
        assert_eq!(deployment.status, 201, "{deployment:?}\n{}", world.said());
        if sdk.is_silent {
            let change = json!({"inactivity_timeout": "100ms"});
            let changed = world.admin("PATCH", "services/Idle", &change).await;
            assert_eq!(changed.status, 200, "{changed:?}");
        }
        world
    }

    /// A Belay of that configuration, and what it says to the registration.
    pub(super) async fn start_with(sdk: &Sdk, config: &str) -> (World, Answer) {
        let work = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(sdk::notes(work.path()), "").expect("a file");
        let services = Program::start(sdk, work.path()).await;
        let world = World {
            belay: Belay::run(config).await,
            services,
            work,
            http: Client::builder(hyper_util::rt::TokioExecutor::new()).build_http(),
        };
        let uri = format!("http://127.0.0.1:{}", world.services.port);
        let request = json!({"uri": uri, "use_http_11": sdk.http_11});
        let deployment = world.admin("POST", "deployments", &request).await;
        (world, deployment)
    }

    /// The versions of the protocol that were spoken.
    pub(super) async fn protocols(&self) -> Vec<u32> {
        let question = "SELECT DISTINCT pinned_service_protocol_version AS version FROM sys_invocation \
                        WHERE pinned_service_protocol_version IS NOT NULL";
        let answer = self.admin("POST", "query", &json!({"query": question})).await;
        let rows = answer.value()["rows"].clone();
        let rows = rows.as_array().expect("rows").iter();
        rows.map(|row| row["version"].as_u64().expect("a number") as u32)
            .collect()
    }

    /// What is not over, for people.
    pub(super) async fn unfinished(&self) -> String {
        let question = "SELECT * FROM sys_invocation WHERE status <> 'completed'";
        let answer = self.admin("POST", "query", &json!({"query": question})).await;
        format!("{:#}", answer.value()["rows"])
    }

    /// Starts the services again, where they were.
    pub(super) async fn start_services(&mut self, sdk: &Sdk) {
        let services = Program::start_at(sdk, self.work.path(), self.services.port).await;
        self.services = services.unwrap_or_else(|| panic!("its port is its own: {}", self.said()));
    }

    /// Calls a handler without a key of idempotency and waits for its answer.
    pub(super) async fn call(&self, path: &str, input: impl Into<Value>) -> Answer {
        let url = format!("http://{}/{path}", self.belay.ingress);
        self.request("POST", &url, &input.into(), None).await
    }

    /// The same, under that key.
    pub(super) async fn call_once(&self, path: &str, input: impl Into<Value>, key: &str) -> Answer {
        let url = format!("http://{}/{path}", self.belay.ingress);
        self.request("POST", &url, &input.into(), Some(key)).await
    }

    /// Sends to a handler; the invocation's id.
    pub(super) async fn send(&self, path: &str, input: impl Into<Value>) -> String {
        let sent = self.call(&format!("{path}/send"), input).await;
        assert_eq!(sent.status, 202, "{sent:?}");
        sent.value()["invocationId"].as_str().expect("an id").to_owned()
    }

    /// Waits for what an invocation answers.
    pub(super) async fn attach(&self, id: &str) -> Answer {
        self.get(&format!("restate/invocation/{id}/attach")).await
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        let url = format!("http://{}/{path}", self.belay.ingress);
        self.request("GET", &url, &Value::Null, None).await
    }

    /// A text as it is, no JSON.
    pub(super) async fn post_text(&self, path: &str, text: &'static str) -> Answer {
        let request = http::Request::post(format!("http://{}/{path}", self.belay.ingress));
        let request = request
            .header("content-type", "text/plain")
            .body(Full::from(text));
        self.answer(request.expect("a request")).await
    }

    pub(super) async fn admin(&self, method: &str, path: &str, body: &Value) -> Answer {
        let url = format!("http://{}/{path}", self.belay.admin);
        self.request(method, &url, body, None).await
    }

    /// An answer in JSON instead of Arrow.
    pub(super) async fn query(&self, question: &str) -> Value {
        let request = http::Request::post(format!("http://{}/query", self.belay.admin))
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(Full::from(json!({"query": question}).to_string()));
        self.answer(request.expect("a request")).await.value()
    }

    async fn request(&self, method: &str, url: &str, body: &Value, key: Option<&str>) -> Answer {
        let mut request = http::Request::builder().method(method).uri(url);
        let mut bytes = Bytes::new();
        if !body.is_null() {
            request = request
                .header("content-type", "application/json")
                .header("accept", "application/json");
            bytes = body.to_string().into();
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.answer(request.body(Full::new(bytes)).expect("a request"))
            .await
    }

    async fn answer(&self, request: http::Request<Full<Bytes>>) -> Answer {
        let answer = self.http.request(request);
        let answer = tokio::time::timeout(tests::PATIENCE, answer)
            .await
            .expect("an answer in time");
        let answer = answer.expect("it listens");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(body.to_vec()).expect("a text");
        Answer { status, text }
    }

    /// How often handlers have noted that of a key.
    pub(super) fn count(&self, key: &str, what: &str) -> usize {
        let line = format!("{key} {what}");
        self.notes().lines().filter(|found| **found == line).count()
    }

    /// Waits until handlers have noted something of a key that starts so; what comes after.
    pub(super) async fn noted(&self, key: &str, what: &str) -> String {
        let start = format!("{key} {what}");
        let find = async || {
            let notes = self.notes();
            // The last line may be half written.
            let whole = notes.rfind('\n').map_or("", |end| &notes[..end]);
            let line = whole.lines().find_map(|line| line.strip_prefix(&start));
            line.map(|rest| rest.trim().to_owned())
        };
        tests::eventually(&format!("`{start}` to be noted"), find).await
    }

    pub(super) fn notes_path(&self) -> std::path::PathBuf {
        sdk::notes(self.work.path())
    }

    fn notes(&self) -> String {
        std::fs::read_to_string(sdk::notes(self.work.path())).expect("the notes are readable")
    }

    /// For the reader of a failure.
    pub(super) fn said(&self) -> String {
        let services = sdk::said(self.work.path());
        format!("services:\n{services}\nbelay:\n{}", self.belay.log())
    }
}
