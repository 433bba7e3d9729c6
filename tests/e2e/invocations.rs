//! Deployments and invocations for people: the commands, against a real server and a deployment of our own.

use std::collections::BTreeMap;

use futures::FutureExt;
use serde_json::Value;
use tests::belay::{Ran, belay};
use tests::deployment::{Context, Deployment};
use tests::greeter::{greet, handler, post, rest, send};
use tests::{Belay, eventually};

const SERVICES: &str = r#"[{"name":"Greeter","ty":"SERVICE","handlers":[{"name":"greet"},{"name":"rest"}]}]"#;

async fn ask(server: &Belay, command: &str) -> Ran {
    let data = server.data().into_os_string();
    let arguments = command
        .split(' ')
        .map(Into::into)
        .chain(["--data-dir".into(), data]);
    belay(arguments.collect::<Vec<_>>()).await
}

async fn deployment() -> Deployment {
    let handlers = BTreeMap::from([
        ("Greeter/greet", handler(|context| greet(context).boxed())),
        ("Greeter/rest", handler(|context| rest(context).boxed())),
    ]);
    Deployment::start(SERVICES, handlers).await
}

async fn described(server: &Belay, id: &str, status: &str) -> Value {
    eventually(status, || async {
        let ran = ask(server, &format!("invocations describe {id} --json")).await;
        let json: Value = serde_json::from_str(&ran.out).ok()?;
        (json["status"] == status).then_some(json)
    })
    .await
}

#[tokio::test]
async fn deployments_are_registered_listed_and_removed() {
    let (server, deployment) = (Belay::run("components: []").await, deployment().await);
    let none = ask(&server, "deployments list").await;
    assert!(none.out.contains("no deployment is registered"), "{}", none.out);
    let registered = ask(&server, &format!("deployments register {}", deployment.uri)).await;
    assert_eq!(registered.code, 0, "{}", registered.err);
    let id = registered.out.split(' ').next().expect("an id").to_owned();
    assert!(
        registered
            .out
            .contains("\n  Greeter  Service, revision 1\n    greet\n"),
        "{}",
        registered.out
    );
    let listed = ask(&server, "deployments list").await;
    assert_eq!(listed.out, format!("{id}  {}  Greeter\n", deployment.uri));
    // A restart is invisible.
    let server = server.restart().await;
    assert_eq!(ask(&server, "deployments list").await.out, listed.out);
    let removed = ask(&server, &format!("deployments remove {id}")).await;
    assert_eq!((removed.code, removed.out), (0, format!("removed {id}\n")));
    let gone = ask(&server, &format!("deployments describe {id}")).await;
    assert_eq!(gone.code, 1);
    let nobody = ask(&server, "deployments register http://127.0.0.1:1").await;
    assert_eq!(nobody.code, 1);
    assert!(nobody.err.contains("META0003"), "{}", nobody.err);
}

#[tokio::test]
async fn invocations_are_described_and_told_what_to_do() {
    let (server, deployment) = (Belay::run("components: []").await, deployment().await);
    ask(&server, &format!("deployments register {}", deployment.uri)).await;
    let id = send(&server, "Greeter/greet").await;
    let done = described(&server, &id, "completed").await;
    assert_eq!(done["result"]["value"], "hello");
    let entries: Vec<_> = done["journal"]
        .as_array()
        .expect("a journal")
        .iter()
        .map(|entry| entry["entry"].clone())
        .collect();
    assert_eq!(
        entries,
        [
            "Command: Input",
            "Command: Run",
            "Notification: Run",
            "Command: Output"
        ]
    );
    let text = ask(&server, &format!("invocations describe {id}")).await;
    assert!(
        text.out.starts_with(&format!("{id}  Greeter/greet  completed\n")),
        "{}",
        text.out
    );

    let id = send(&server, "Greeter/rest").await;
    for (what, status) in [("pause", "paused"), ("resume", "running"), ("kill", "completed")] {
        let told = ask(&server, &format!("invocations {what} {id}")).await;
        assert_eq!(told.code, 0, "{what}: {}", told.err);
        described(&server, &id, status).await;
    }
    let again = ask(&server, &format!("invocations cancel {id}")).await;
    assert!(
        again.code == 1 && again.err.contains("is completed already"),
        "{}",
        again.err
    );
    assert_eq!(ask(&server, &format!("invocations purge {id}")).await.code, 0);
    let gone = ask(&server, &format!("invocations describe {id}")).await;
    assert!(
        gone.code == 1 && gone.err.contains("there is no invocation"),
        "{}",
        gone.err
    );
    assert_eq!(deployment.account.lock().faults, [""; 0]);
}

/// Places of one deployment, as documented.
const PLACES: usize = 1_000;

/// Keeps its stream open, and says nothing.
async fn hang(context: Context) -> Option<()> {
    let _open = context;
    std::future::pending().await
}

/// More attempts than one deployment has places for, none of which ends.
#[tokio::test]
async fn a_deployment_that_hangs_keeps_no_other_waiting() {
    let (server, deployment) = (Belay::run("components: []").await, deployment().await);
    let hangs = BTreeMap::from([("Stuck/hang", handler(|context| hang(context).boxed()))]);
    let services = r#"[{"name":"Stuck","ty":"SERVICE","handlers":[{"name":"hang"}]}]"#;
    let stuck = Deployment::start(services, hangs).await;
    for deployment in [&deployment, &stuck] {
        let registered = ask(&server, &format!("deployments register {}", deployment.uri)).await;
        assert_eq!(registered.code, 0, "{}", registered.err);
    }
    let mut last = String::new();
    for _ in 0..=PLACES {
        last = send(&server, "Stuck/hang").await;
    }
    described(&server, &last, "running").await;

    let id = send(&server, "Greeter/greet").await;
    described(&server, &id, "completed").await;
}

#[tokio::test]
async fn many_are_killed_at_once_and_one_begins_anew() {
    let (server, deployment) = (Belay::run("components: []").await, deployment().await);
    ask(&server, &format!("deployments register {}", deployment.uri)).await;
    let mut ids = vec![];
    for _ in 0..3 {
        ids.push(send(&server, "Greeter/rest").await);
    }
    for id in &ids {
        described(&server, id, "running").await;
    }
    let body = serde_json::json!({ "invocation_ids": ids }).to_string();
    let path = "/internal/invocations_batch_operations/kill";
    let (status, _, done) = post(&server.admin, path, "application/json", body).await;
    let done: Value = serde_json::from_slice(&done).expect("JSON");
    assert_eq!((status, &done["failed"]), (200, &serde_json::json!([])));
    for id in &ids {
        let killed = described(&server, id, "completed").await;
        assert!(killed.to_string().contains("killed"), "{killed}");
    }

    let id = send(&server, "Greeter/greet").await;
    described(&server, &id, "completed").await;
    let anew = ask(&server, &format!("invocations restart {id}")).await;
    assert_eq!(anew.code, 0, "{}", anew.err);
    let new = anew
        .out
        .split_whitespace()
        .find(|word| word.starts_with("inv_1") && *word != id);
    let new = new.unwrap_or_else(|| panic!("no id in {:?}", anew.out));
    let done = described(&server, new.trim_end_matches(['.', ',']), "completed").await;
    assert_eq!(done["result"]["value"], "hello");
}
