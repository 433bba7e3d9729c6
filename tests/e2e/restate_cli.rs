//! Restate's own command line, unmodified, against Belay: what is in its output is what people read.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tests::deployment::Deployment;
use tests::{Belay, eventually, greeter};
use tokio::process::Command;

const DEADLINE: Duration = Duration::from_secs(60);

struct World {
    server: Belay,
    deployment: Deployment,
    home: tempfile::TempDir,
}

impl World {
    async fn start() -> World {
        let world = World {
            server: Belay::run("components: []").await,
            deployment: greeter::deployment().await,
            home: tempfile::tempdir().expect("a temporary folder"),
        };
        let registered = world
            .good(&["deployments", "register", &world.deployment.uri])
            .await;
        for text in ["Greeter", "Counter", "dp_1"] {
            assert!(registered.contains(text), "{registered}");
        }
        world
    }

    /// Whether it went well, and all that it printed.
    async fn run(&self, arguments: &[&str]) -> (bool, String) {
        self.edit(arguments, "").await
    }

    /// The same, with an editor that does this to a file.
    async fn edit(&self, arguments: &[&str], script: &str) -> (bool, String) {
        let editor = self.home.path().join("editor");
        let lines = format!("#!/bin/sh\nsed -i '{script}' \"$1\"\n");
        tokio::fs::write(&editor, lines).await.expect("a file");
        let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        tokio::fs::set_permissions(&editor, runs)
            .await
            .expect("a file of ours");
        let folder = tests::sdk::folder("restate/cli");
        let program = folder.join("node_modules/.bin/restate");
        assert!(
            program.exists(),
            "{} is not there: run `npm ci --ignore-scripts` in {}",
            program.display(),
            folder.display()
        );
        let ran = Command::new(program)
            .arg("--yes")
            .args(arguments)
            .env("RESTATE_ADMIN_URL", format!("http://{}", self.server.admin))
            .env("HOME", self.home.path())
            .env("RESTATE_CLI_CONFIG_HOME", self.home.path())
            .env("EDITOR", &editor)
            .env("DO_NOT_TRACK", "1")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let ran = tokio::time::timeout(DEADLINE, ran)
            .await
            .expect("it ends")
            .expect("it starts");
        let text = [ran.stdout, ran.stderr].concat();
        (ran.status.success(), String::from_utf8_lossy(&text).into_owned())
    }

    async fn good(&self, arguments: &[&str]) -> String {
        let (good, text) = self.run(arguments).await;
        assert!(good, "{arguments:?}: {text}");
        assert!(!text.contains("Could not verify"), "{arguments:?}: {text}");
        text
    }

    async fn rows(&self, query: &str) -> Vec<Value> {
        let text = self.good(&["sql", "--json", query]).await;
        let rows = &text[text.find('[').expect("a list")..=text.rfind(']').expect("a list")];
        serde_json::from_str(rows).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The id of a new invocation, once it stands so.
    async fn send(&self, path: &str, status: &str) -> String {
        let id = greeter::send(&self.server, path).await;
        self.stands(&id, status).await;
        id
    }

    /// What the only state of that name is.
    async fn counts(&self, value: Option<&str>) {
        eventually("the state", || async {
            let rows = self
                .rows("SELECT value_utf8 FROM state WHERE key = 'count'")
                .await;
            let seen: Vec<_> = rows.iter().filter_map(|row| row["value_utf8"].as_str()).collect();
            (seen.len() == rows.len() && seen == Vec::from_iter(value)).then_some(())
        })
        .await;
    }

    async fn stands(&self, id: &str, status: &str) {
        eventually(status, || async {
            let rows = self
                .rows(&format!("SELECT status FROM sys_invocation WHERE id = '{id}'"))
                .await;
            (rows.first()?["status"] == status).then_some(())
        })
        .await;
    }
}

#[track_caller]
fn has(text: &str, all: &[&str]) {
    for part in all {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
}

#[tokio::test]
async fn deployments_and_services() {
    let world = World::start().await;
    world.send("Counter/a/add", "completed").await;
    world.send("Greeter/fail", "backing-off").await;
    let list = world.good(&["deployments", "list"]).await;
    has(&list, &[&world.deployment.uri, "Greeter [1]", "Counter [1]"]);
    has(
        &world.good(&["services", "list"]).await,
        &["Greeter", "Counter", "virtual object"],
    );
    has(
        &world.good(&["services", "describe", "Counter"]).await,
        &["VirtualObject", "add", "hold"],
    );
    has(
        &world.good(&["services", "status"]).await,
        &["Greeter", "backing-off", "Counter (1 active keys)"],
    );
    has(
        &world.good(&["services", "status", "Counter"]).await,
        &["Recent Invocations", "Counter/a/add"],
    );
    has(
        &world.good(&["subscriptions", "list"]).await,
        &["No subscriptions"],
    );
    let id = world.rows("SELECT id FROM sys_deployment").await[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    has(
        &world.good(&["deployments", "describe", &id]).await,
        &[&id, "Greeter", "Counter"],
    );
    has(
        &world.good(&["deployments", "remove", &id, "--force"]).await,
        &["removed successfully"],
    );
    assert_eq!(world.rows("SELECT id FROM sys_deployment").await.len(), 0);
}

#[tokio::test]
async fn invocations_are_listed_and_described() {
    let world = World::start().await;
    let done = world.send("Counter/a/add", "completed").await;
    let failing = world.send("Greeter/fail", "backing-off").await;
    let resting = world.send("Greeter/rest", "running").await;
    let list = world.good(&["invocations", "list"]).await;
    has(
        &list,
        &[&failing, &resting, "backing-off", "on purpose", "Showing 2/2"],
    );
    let all = world.good(&["invocations", "list", "--all"]).await;
    has(
        &all,
        &[&done, "completed with success", "Invoked by:", "Showing 4/4"],
    );
    let described = world.good(&["invocations", "describe", &done]).await;
    has(
        &described,
        &[
            "Counter/a/add",
            "#0",
            "Command: Input",
            "Command: SetState",
            "Command: Call",
            "Command: Output",
            ">> completed",
        ],
    );
    let described = world.good(&["invocations", "describe", &resting]).await;
    has(&described, &["Command: Sleep until 2033-05-18", ">> running"]);
    let described = world.good(&["invocations", "describe", &failing]).await;
    has(&described, &["[500] on purpose"]);
}

#[tokio::test]
async fn invocations_are_told_what_to_do() {
    let world = World::start().await;
    // By id, by service, by handler, by key.
    let id = world.send("Greeter/rest", "running").await;
    has(&world.good(&["invocations", "pause", &id]).await, &[&id]);
    world.stands(&id, "paused").await;
    world.good(&["invocations", "resume", &id]).await;
    world.stands(&id, "running").await;
    has(
        &world.good(&["invocations", "cancel", "Greeter/rest"]).await,
        &["Cancelled 1 invocations"],
    );
    world.stands(&id, "completed").await;
    has(
        &world.good(&["invocations", "purge", "Greeter"]).await,
        &["Purged 1 invocations"],
    );
    let done = world.send("Greeter/greet", "completed").await;
    let restarted = world.good(&["invocations", "restart-as-new", &done]).await;
    has(&restarted, &[&done]);
    eventually("a second one", || async {
        let again =
            format!("SELECT id FROM sys_invocation WHERE restarted_from = '{done}' AND status = 'completed'");
        (world.rows(&again).await.len() == 1).then_some(())
    })
    .await;
    let held = world.send("Counter/b/hold", "running").await;
    has(&world.good(&["invocations", "kill", "Counter/b"]).await, &[&held]);
    world.stands(&held, "completed").await;
    let (good, text) = world.run(&["invocations", "kill", "Counter/b"]).await;
    assert!(!good && text.contains("No invocations found"), "{text}");
}

#[tokio::test]
async fn state_and_questions() {
    let world = World::start().await;
    world.send("Counter/a/add", "completed").await;
    has(
        &world.good(&["state", "get", "--binary", "Counter", "a"]).await,
        // In Base64.
        &["count", "MTA=", "raw", "_wA="],
    );
    let table = world
        .good(&[
            "sql",
            "SELECT target, created_at FROM sys_invocation WHERE target_service_key = 'a'",
        ])
        .await;
    has(&table, &["TARGET", "CREATED_AT", "Counter/a/add", "1 rows"]);
    let rows = world
        .rows("SELECT key, value_utf8, value_length FROM state WHERE key = 'count'")
        .await;
    assert_eq!(
        rows,
        [serde_json::json!({"key": "count", "value_utf8": "10", "value_length": 2})]
    );
    let (good, text) = world.run(&["sql", "SELECT * FROM nowhere"]).await;
    assert!(!good && text.contains("there is no table nowhere"), "{text}");
}

#[tokio::test]
async fn state_is_changed() {
    let world = World::start().await;
    world.send("Counter/a/add", "completed").await;
    world.counts(Some("10")).await;
    // Values are in Base64: 11 and 12.
    let patch = r#"[{"op":"replace","path":"/count","value":"MTE="}]"#;
    world
        .good(&["state", "patch", "--binary", "Counter", "a", "--patch", patch])
        .await;
    world.counts(Some("11")).await;
    let edit = ["state", "edit", "--binary", "Counter", "a"];
    let (good, text) = world.edit(&edit, "s/MTE=/MTI=/").await;
    assert!(good, "{text}");
    world.counts(Some("12")).await;
    world.good(&["state", "clear", "Counter/a"]).await;
    world.counts(None).await;

    // Behind who works on it.
    world.send("Counter/b/add", "completed").await;
    let held = world.send("Counter/b/hold", "running").await;
    world.good(&["state", "clear", "Counter/b"]).await;
    world.counts(Some("10")).await;
    world.good(&["invocations", "kill", &held]).await;
    world.counts(None).await;
}

#[tokio::test]
async fn services_are_configured() {
    let world = World::start().await;
    has(
        &world.good(&["services", "config", "view", "Counter"]).await,
        &["Public", "true", "1d"],
    );
    world
        .good(&[
            "services",
            "config",
            "patch",
            "Counter",
            "--public",
            "false",
            "--idempotency-retention",
            "2h",
        ])
        .await;
    has(
        &world.good(&["services", "config", "view", "Counter"]).await,
        &["false", "2h"],
    );
    let (status, _, body) =
        greeter::post(&world.server.ingress, "/Counter/a/add", "*/*", String::new()).await;
    assert_eq!(status, 400, "{}", String::from_utf8_lossy(&body));
}
