//! The client commands of the binary, against a real server: what people read, what programs read, exit codes.

use std::ffi::OsString;

use serde_json::{Value, json};
use tests::Belay;
use tests::app::App;
use tests::belay::{Ran, belay};
use tests::sdk::free_port;
use wire::layotto::topic_event_response::TopicEventResponseStatus as Answer;

/// What `belay dev` runs, with no application beside it.
async fn dev() -> Belay {
    Belay::dev(free_port()).await
}

/// One command, which finds the server by its data directory.
async fn ask(server: &Belay, command: &str) -> Ran {
    let mut arguments: Vec<OsString> = command.split(' ').map(OsString::from).collect();
    let end = command.split(' ').position(|argument| argument == "--");
    let end = end.unwrap_or(arguments.len());
    arguments.splice(end..end, ["--data-dir".into(), server.data().into()]);
    belay(arguments).await
}

/// One object on one line.
#[track_caller]
fn object(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
fn check(ran: &Ran, code: i32, out: &str, err: &str) {
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (code, out, err));
}

#[track_caller]
fn check_json(ran: &Ran, code: i32, expected: &Value) {
    assert_eq!(
        (ran.code, &object(&ran.out), ran.err.as_str()),
        (code, expected, "")
    );
}

/// The error of a program: nothing on standard output, one object on standard error.
#[track_caller]
fn check_error(ran: &Ran, exit: i32, code: Option<&str>, message: &str, next: &str) {
    assert_eq!((ran.code, ran.out.as_str()), (exit, ""), "{}", ran.err);
    let error = &object(&ran.err)["error"];
    assert_eq!(error["code"], json!(code), "{error}");
    let more = code.map(|code| format!("belay explain {code}"));
    assert_eq!(error["more"], json!(more), "{error}");
    for (field, part) in [("message", message), ("next", next)] {
        let text = error[field].as_str().unwrap_or_default();
        assert!(text.contains(part), "'{part}' is missing in {field}: {error}");
    }
}

#[tokio::test]
async fn state_is_written_read_and_deleted() {
    let server = dev().await;
    let set = ask(&server, "state set greeting hello").await;
    check(&set, 0, "saved greeting in state_demo (5 bytes)\n", "");
    check(&ask(&server, "state get greeting").await, 0, "hello\n", "");
    check(&ask(&server, "state get greeting --raw").await, 0, "hello", "");
    let set = ask(&server, "state set other hi --ttl 1000 --json").await;
    let saved = json!({"store": "state_demo", "key": "other", "saved": true, "size": 2});
    check_json(&set, 0, &saved);
    let get = ask(&server, "state get other --json").await;
    let found = object(&get.out);
    assert_eq!((get.code, &found["value"]), (0, &json!("hi")));
    let left = found["ttl_seconds"].as_u64().expect("it will end");
    assert!((1..=1000).contains(&left), "{found}");
    let delete = ask(&server, "state delete greeting").await;
    check(&delete, 0, "deleted greeting from state_demo\n", "");
    let delete = ask(&server, "state delete other --json").await;
    let deleted = json!({"store": "state_demo", "key": "other", "deleted": true});
    check_json(&delete, 0, &deleted);
    let get = ask(&server, "state get greeting").await;
    check(&get, 1, "", "greeting has no value in state_demo\n");
    let nothing = json!({"store": "state_demo", "key": "greeting", "found": false});
    check_json(&ask(&server, "state get greeting --json").await, 1, &nothing);
}

#[tokio::test]
async fn a_wrong_etag_changes_nothing_and_says_how_to_go_on() {
    let server = dev().await;
    ask(&server, "state set k first").await;
    let found = object(&ask(&server, "state get k --json").await.out);
    let old = found["etag"].as_str().expect("a value has an etag").to_owned();
    let set = ask(&server, &format!("state set k second --etag {old}")).await;
    assert_eq!(set.code, 0, "{}", set.err);
    let set = ask(&server, &format!("state set k third --etag {old}")).await;
    assert_eq!((set.code, set.out.as_str()), (1, ""));
    for part in [
        "error BLY0050: ",
        "etag mismatch",
        "ABORTED (10)",
        "  next  Read the key again",
    ] {
        assert!(set.err.contains(part), "'{part}' is missing: {}", set.err);
    }
    for command in ["set k third", "delete k"] {
        let ran = ask(&server, &format!("state {command} --etag {old} --json")).await;
        check_error(&ran, 1, Some("BLY0050"), "etag mismatch", "Read the key again");
        let facts = object(&ran.err)["error"]["facts"].clone();
        let aborted = json!({"name": "grpc", "value": "ABORTED (10)"});
        assert!(facts.as_array().expect("a list").contains(&aborted), "{facts}");
    }
    let set = ask(&server, "state set k fourth --first-write").await;
    assert_eq!(set.code, 1, "{}", set.out);
    check(&ask(&server, "state get k").await, 0, "second\n", "");
}

#[tokio::test]
async fn an_unknown_component_is_met_by_the_flag_that_names_another() {
    let server = dev().await;
    for (command, flag) in [
        ("state get k --store nope", "--store"),
        ("state set k v --store nope", "--store"),
        ("state delete k --store nope", "--store"),
        ("publish t d --pubsub nope", "--pubsub"),
        ("subscribe t --pubsub nope", "--pubsub"),
        ("lock l --store nope", "--store"),
        ("unlock l --owner o --store nope", "--store"),
        ("id k --store nope", "--store"),
    ] {
        let next = format!("name one of its components with {flag}; this was nope");
        let ran = ask(&server, &format!("{command} --json")).await;
        check_error(&ran, 1, None, "nope", &next);
        let ran = ask(&server, command).await;
        assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{command}");
        assert!(
            ran.err.starts_with("error: ") && ran.err.contains(&next),
            "{command}: {}",
            ran.err
        );
    }
}

#[tokio::test]
async fn where_none_runs_every_command_is_5_and_says_what_to_start() {
    let mut server = dev().await;
    server.kill().await;
    let address = server.layotto.clone();
    for command in [
        "state get k",
        "state set k v",
        "state delete k",
        "publish t d",
        "subscribe t",
        "lock l",
        "unlock l --owner o",
        "id k",
        "status",
    ] {
        // The file of the killed one still says where it was.
        let ran = ask(&server, command).await;
        assert_eq!((ran.code, ran.out.as_str()), (5, ""), "{command}: {}", ran.err);
        let start = format!("error BLY0023: no belay answers on {address}: Connection refused");
        assert!(ran.err.starts_with(&start), "{command}: {}", ran.err);
        assert!(
            ran.err.contains("next     start one: belay dev"),
            "{command}: {}",
            ran.err
        );
        let ran = ask(&server, &format!("{command} --json")).await;
        check_error(
            &ran,
            5,
            Some("BLY0023"),
            "Connection refused",
            "start one: belay dev",
        );
    }
}

#[tokio::test]
async fn events_are_published_and_printed_as_they_come() {
    let server = dev().await;
    let publish = ask(&server, "publish orders one").await;
    check(&publish, 0, "published to orders (3 bytes)\n", "");
    let publish = ask(&server, "publish orders two --json").await;
    let published = json!({"pubsub": "pub_subs_demo", "topic": "orders", "published": true, "size": 3});
    check_json(&publish, 0, &published);
    let subscribe = ask(&server, "subscribe orders --count 2").await;
    let note = "subscribed to orders as group cli, Ctrl-C to stop\n";
    check(&subscribe, 0, "one\ntwo\n", note);
    let subscribe = ask(&server, "subscribe orders --group another --count 2 --json").await;
    assert_eq!((subscribe.code, subscribe.err.as_str()), (0, ""));
    let events: Vec<Value> = subscribe.out.lines().map(object).collect();
    for (event, data) in events.iter().zip(["one", "two"]) {
        assert_eq!(
            (&event["topic"], &event["data"]),
            (&json!("orders"), &json!(data))
        );
    }
    assert_eq!(events.len(), 2);
}

#[tokio::test]
async fn what_was_settled_does_not_come_again_and_what_is_retried_does() {
    let server = dev().await;
    ask(&server, "publish orders one").await;
    let subscribe = ask(&server, "subscribe orders -n 1 --retry --json").await;
    let first = object(&subscribe.out);
    let subscribe = ask(&server, "subscribe orders -n 1 --json").await;
    assert_eq!(object(&subscribe.out)["id"], first["id"]);
    ask(&server, "publish orders two").await;
    let subscribe = ask(&server, "subscribe orders -n 1 --json").await;
    assert_eq!(object(&subscribe.out)["data"], "two");
}

#[tokio::test]
async fn a_lock_is_held_until_its_holder_gives_it_back() {
    let server = dev().await;
    let lock = ask(&server, "lock printer --owner ann").await;
    assert_eq!(lock.code, 0, "{}", lock.err);
    for part in [
        "locked printer\n",
        "owner  ann\n",
        "belay unlock printer --owner ann\n",
    ] {
        assert!(lock.out.contains(part), "{}", lock.out);
    }
    let lock = ask(&server, "lock printer --owner bob").await;
    check(&lock, 1, "", "printer is held by another\n");
    let held = json!({"store": "lock_demo", "name": "printer", "locked": false});
    check_json(&ask(&server, "lock printer --owner bob --json").await, 1, &held);
    let unlock = ask(&server, "unlock printer --owner bob").await;
    check(&unlock, 1, "", "printer is held by another\n");
    let unlocked =
        |reason: &str| json!({"store": "lock_demo", "name": "printer", "unlocked": false, "reason": reason});
    let unlock = ask(&server, "unlock printer --owner bob --json").await;
    check_json(&unlock, 1, &unlocked("held_by_another"));
    let unlock = ask(&server, "unlock printer --owner ann").await;
    check(&unlock, 0, "unlocked printer\n", "");
    let unlock = ask(&server, "unlock printer --owner ann --json").await;
    check_json(&unlock, 1, &unlocked("not_locked"));
    let lock = object(&ask(&server, "lock printer --owner bob --json").await.out);
    assert_eq!((&lock["locked"], &lock["owner"]), (&json!(true), &json!("bob")));
    assert!(lock["token"].is_u64(), "{lock}");
}

#[tokio::test]
async fn a_command_runs_under_its_lock_and_its_exit_code_is_passed_on() {
    let server = dev().await;
    let ran = ask(&server, "lock printer -- printenv BELAY_FENCING_TOKEN").await;
    let token: u64 = ran.out.trim().parse().expect("a token is a number");
    assert_eq!(
        (ran.code, ran.err),
        (0, format!("locked printer, token {token}\n"))
    );
    let script = server.data().join("script");
    std::fs::write(&script, "exit 7\n").expect("a file");
    let script = script.to_str().expect("a text");
    let ran = ask(&server, &format!("lock printer -- sh {script}")).await;
    assert_eq!(ran.code, 7, "{}", ran.err);
    let ran = ask(&server, "lock printer -- there-is-no-such-program").await;
    assert_eq!(ran.code, 127, "{}", ran.err);
    let ran = ask(&server, &format!("lock printer -- {script}")).await;
    assert_eq!(ran.code, 126, "nobody may execute it: {}", ran.err);
    // Each of them has given it back.
    let lock = ask(&server, "lock printer --owner ann").await;
    assert_eq!(lock.code, 0, "{}", lock.err);
    let ran = ask(&server, "lock printer -- true").await;
    check(&ran, 1, "", "printer is held by another\n");
}

#[tokio::test]
async fn ids_grow() {
    let server = dev().await;
    check(&ask(&server, "id order --count 3").await, 0, "1\n2\n3\n", "");
    let id = json!({"store": "sequencer_demo", "key": "order", "id": 4});
    check_json(&ask(&server, "id order --json").await, 0, &id);
}

#[tokio::test]
async fn status_says_what_it_waits_for_and_when_all_is_ready() {
    let app_port = free_port();
    let server = Belay::dev(app_port).await;
    let status = ask(&server, "status").await;
    assert_eq!((status.code, status.err.as_str()), (1, ""));
    let process = format!("process  {}", server.pid());
    for part in [
        "serves, but not all of it is ready",
        &process,
        &server.layotto,
        &server.admin,
        &format!("127.0.0.1:{app_port}"),
    ] {
        assert!(status.out.contains(part), "'{part}' is missing: {}", status.out);
    }
    let status = ask(&server, "status --json").await;
    let found = object(&status.out);
    assert_eq!((status.code, &found["ready"]), (1, &json!(false)), "{found}");
    assert_eq!(found["waiting_for"][0]["name"], "application callback");

    let app = App::serve_at(app_port, &[], |_| Ok(Answer::Success)).await;
    let found = tests::eventually("readiness", || async {
        let status = ask(&server, "status --json").await;
        (status.code == 0).then(|| object(&status.out))
    })
    .await;
    let endpoints = json!({
        "admin": server.admin, "layotto": server.layotto,
        "primitives": server.primitives, "control": server.control, "ingress": server.ingress,
    });
    let expected = json!({
        "version": found["version"], "pid": server.pid(), "ready": true, "serving": true, "healthy": true,
        "waiting_for": [], "endpoints": endpoints,
    });
    assert_eq!(found, expected);
    let status = ask(&server, "status").await;
    assert_eq!(status.code, 0, "{}", status.out);
    assert!(status.out.contains(" is ready\n"), "{}", status.out);
    drop(app);
}
