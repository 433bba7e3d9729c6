//! What people change: state, services, deployments, and invocations that begin anew.

use wire::restate::appended as pb;

use super::played::*;
use super::*;

#[tokio::test]
async fn state_is_edited_behind_what_holds_its_key() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let edit = |key: &str, version: Option<&str>, value: &str| {
        let state = serde_json::json!({ "count": value.as_bytes() });
        serde_json::json!({ "object_key": key, "version": version, "new_state": state }).to_string()
    };
    let path = "/v4/services/Counter/state";
    let first = world.sent("/Counter/a/add").await;
    let (attempt, start) = world.started().await;
    assert!(start.state_map.is_empty());
    for body in [
        edit("a", None, "10"),
        edit("a", Some("what was there before"), "lost"),
    ] {
        assert_eq!(world.admin("POST", path, &body).await.0, StatusCode::ACCEPTED);
    }
    let second = world.sent("/Counter/a/add").await;
    attempt.finish("1");
    let (attempt, start) = world.started().await;
    let state = &start.state_map[..];
    assert_eq!(state.len(), 1);
    assert_eq!(
        (&state[0].key[..], &state[0].value[..]),
        (&b"count"[..], &b"10"[..])
    );
    attempt.finish("1");
    for id in [first, second] {
        world.until(&id, "completed").await;
    }

    // What is left of a service that is gone.
    let body = serde_json::json!({ "object_key": "a", "new_state": {} }).to_string();
    assert_eq!(
        world.admin("POST", "/services/Gone/state", &body).await.0,
        StatusCode::ACCEPTED
    );
    let body = edit("a", None, "1");
    let (status, refused) = world.admin("POST", "/services/Plain/state", &body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
    let (status, _) = world.admin("POST", "/services/None/state", &body).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let (status, _) = world.admin("POST", path, "{\"object_key\":\"a\"}").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn what_holds_for_a_service_is_changed() {
    let world = World::registered((VERSION, VERSION)).await;
    let (_, service) = world.admin("GET", "/services/Counter", "").await;
    for (name, value) in [
        ("journal_retention", "1d"),
        ("idempotency_retention", "1d"),
        ("inactivity_timeout", "1m"),
        ("abort_timeout", "10m"),
    ] {
        assert_eq!(service[name], value, "{name}");
    }
    assert_eq!(service["retry_policy"]["max_attempts"], 70);
    let change = "{\"public\":false,\"journal_retention\":\"2h\",\"abort_timeout\":\"0s\"}";
    let (status, changed) = world.patch("/v4/services/Counter", change).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    for (name, value) in [
        ("public", Value::Bool(false)),
        ("journal_retention", "2h".into()),
        ("idempotency_retention", "1d".into()),
        ("abort_timeout", "0s".into()),
    ] {
        assert_eq!(changed[name], value, "{name}");
    }
    let (status, refused) = world.post("/Counter/a/add", "1").await;
    assert_eq!(
        (status, refused["message"].as_str()),
        (StatusCode::BAD_REQUEST, Some("the invoked service is not public"))
    );
    // A new revision keeps what people have said.
    let body = serde_json::json!({ "uri": world.uri, "force": true }).to_string();
    world.admin("POST", "/deployments", &body).await;
    let (_, service) = world.admin("GET", "/services/Counter", "").await;
    assert_eq!(
        (&service["journal_retention"], &service["revision"]),
        (&"2h".into(), &2.into())
    );

    let (status, refused) = world
        .patch("/services/Counter", "{\"abort_timeout\":\"soon\"}")
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        refused["message"]
            .as_str()
            .is_some_and(|text| text.contains("abort_timeout")),
        "{refused}"
    );
    assert_eq!(world.patch("/services/None", "{}").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn tools_are_told_what_can_be_asked() {
    let world = World::registered((VERSION, VERSION)).await;
    let (status, api) = world.admin("GET", "/v4/openapi", "").await;
    assert_eq!((status, api["openapi"].as_str()), (StatusCode::OK, Some("3.1.0")));
    // Whatever is described is answered, if only with what is wrong.
    for (path, methods) in api["paths"].as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys() {
            let asked = path.replace("{service}", "Counter").replace("{handler}", "add");
            let (status, _) = world
                .admin(&method.to_uppercase(), &format!("/v2{asked}"), "")
                .await;
            assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        }
    }
    let (status, counter) = world.admin("GET", "/services/Counter/openapi", "").await;
    assert_eq!(status, StatusCode::OK);
    let call = &counter["paths"]["/Counter/{key}/add"]["post"];
    assert_eq!(call["parameters"][0]["name"], "key", "{counter}");
    let send = &counter["paths"]["/Counter/{key}/add/send"]["post"];
    assert!(send["responses"]["202"].is_object());
    let (_, plain) = world.admin("GET", "/services/Plain/openapi", "").await;
    assert!(plain["paths"]["/Plain/run"].is_object(), "{plain}");
    assert_eq!(
        world.admin("GET", "/services/None/openapi", "").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_deployment_is_changed_where_it_is() {
    let world = World::registered((VERSION, VERSION)).await;
    let (_, all) = world.admin("GET", "/deployments", "").await;
    let id = all["deployments"][0]["id"].as_str().expect("an id").to_owned();
    let path = format!("/deployments/{id}");
    let headers = "{\"additional_headers\":{\"x-own\":\"1\"}}";
    let (status, changed) = world.patch(&path, headers).await;
    assert_eq!(status, StatusCode::OK, "{changed}");
    assert_eq!(changed["additional_headers"]["x-own"], "1");
    assert_eq!(
        (&changed["id"], &changed["services"][0]["revision"]),
        (&id.clone().into(), &1.into())
    );

    // Another program at another place.
    let other = World::new((5, VERSION)).await;
    let uri = serde_json::json!({ "uri": other.uri }).to_string();
    let (status, refused) = world.patch(&path, &uri).await;
    assert_eq!(
        (status, &refused["restate_code"]),
        (StatusCode::CONFLICT, &"META0016".into())
    );
    let dry = serde_json::json!({ "uri": other.uri, "overwrite": true, "dry_run": true }).to_string();
    let (status, would) = world.patch(&path, &dry).await;
    assert_eq!(
        (status, &would["uri"]),
        (StatusCode::OK, &other.uri.clone().into())
    );
    assert_eq!(world.admin("GET", &path, "").await.1["uri"], world.uri);
    let overwrite = serde_json::json!({ "uri": other.uri, "overwrite": true }).to_string();
    assert_eq!(
        world.admin("PUT", &format!("/v2{path}"), &overwrite).await.0,
        StatusCode::OK
    );
    assert_eq!(world.admin("GET", &path, "").await.1["uri"], other.uri);

    assert_eq!(
        world.admin("PUT", &path, &overwrite).await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(
        world.patch("/deployments/dp_1", "{}").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn an_invocation_begins_anew_as_another_one() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let id = world.sent("/Plain/run").await;
    let (mut attempt, first) = world.started().await;
    let restart = |from: &str| format!("/invocations/{id}/restart-as-new{from}");
    assert_eq!(world.patch(&restart(""), "").await.0, StatusCode::CONFLICT);
    let run = pb::RunCommandMessage {
        result_completion_id: 1,
        name: "step".into(),
    };
    attempt.say(RUN, 0, &run);
    let proposal = pb::ProposeRunCompletionMessage {
        result_completion_id: 1,
        result: Some(pb::propose_run_completion_message::Result::Value("1".into())),
    };
    attempt.say(PROPOSE_RUN, 0, &proposal);
    let _: pb::RunCompletionNotificationMessage = attempt.expect(RUN_CAME, 0).await;
    attempt.say(SLEEP, 0, &sleep(u64::MAX, 2));
    attempt.finish("1");
    world.until(&id, "completed").await;

    // From the beginning, and from the run on, with its result.
    for (from, known) in [("", 1), ("?from=1", 3)] {
        let (status, new) = world.patch(&restart(from), "").await;
        assert_eq!(status, StatusCode::OK, "{new}");
        let new = new["new_invocation_id"].as_str().expect("an id").to_owned();
        assert_ne!(new, id);
        let (mut attempt, start) = world.started().await;
        assert_eq!(
            (start.known_entries, start.random_seed == first.random_seed),
            (known, known > 1)
        );
        if known > 1 {
            let copied: pb::RunCommandMessage = attempt.expect(RUN, 0).await;
            assert_eq!(copied, run);
            let _: pb::RunCompletionNotificationMessage = attempt.expect(RUN_CAME, 0).await;
        }
        attempt.finish("1");
        world.until(&new, "completed").await;
    }
    // The sleep's end has not come.
    let (status, refused) = world.patch(&restart("?from=3"), "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{refused}");
    for from in [
        "?from=99",
        "?from=x",
        "?from=1&deployment=dp_1",
        "?deployment=dp_1",
    ] {
        assert_eq!(
            world.patch(&restart(from), "").await.0,
            StatusCode::BAD_REQUEST,
            "{from}"
        );
    }
    assert_eq!(
        world
            .patch(&format!("/invocations/{id}/purge-journal"), "")
            .await
            .0,
        StatusCode::OK
    );
    assert_eq!(world.patch(&restart(""), "").await.0, StatusCode::GONE);
}

#[tokio::test]
async fn many_invocations_are_told_the_same_at_once() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let mut ids = vec![];
    for _ in 0..3 {
        ids.push(world.sent("/Plain/run").await);
        drop(world.attempt().await);
    }
    let gone = "inv_1a1mlWikgvPI7LEEaFf73AaPyC5x2TxAna";
    let mut all: Vec<_> = ids.iter().map(String::as_str).collect();
    all.extend([gone, "inv_x"]);
    let body = serde_json::json!({ "invocation_ids": all }).to_string();
    let (status, done) = world
        .admin("POST", "/v4/internal/invocations_batch_operations/kill", &body)
        .await;
    assert_eq!(status, StatusCode::OK, "{done}");
    assert_eq!(done["successful"], serde_json::json!(ids));
    let failed = done["failed"].as_array().expect("a list");
    assert_eq!((failed.len(), &failed[0]["invocation_id"]), (2, &gone.into()));
    for id in &ids {
        world.until(id, "completed").await;
    }
    let body = serde_json::json!({ "invocation_ids": vec!["x"; 1_001] }).to_string();
    let path = "/internal/invocations_batch_operations/kill";
    assert_eq!(
        world.admin("POST", path, &body).await.0,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let path = "/internal/invocations_batch_operations/rest";
    assert_eq!(
        world.admin("POST", path, "{\"invocation_ids\":[]}").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn a_paused_one_goes_on_with_another_deployment() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let mut other = World::new((5, VERSION)).await;
    let id = world.sent("/Plain/run").await;
    let (mut attempt, _) = world.started().await;
    attempt.say(SLEEP, 0, &sleep(u64::MAX, 1));
    let body = serde_json::json!({ "uri": other.uri }).to_string();
    let (_, registered) = world.admin("POST", "/deployments", &body).await;
    let name = registered["id"].as_str().expect("an id");
    let resume = |on: &str| format!("/invocations/{id}/resume?deployment={on}");
    world.until(&id, "running").await;
    loop {
        let (_, json) = world.admin("GET", &format!("/invocations/{id}"), "").await;
        if json["deployment_id"].is_string() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.patch(&resume(name), "").await.0, StatusCode::CONFLICT);
    assert_eq!(
        world.patch(&format!("/invocations/{id}/pause"), "").await.0,
        StatusCode::ACCEPTED
    );
    assert_eq!(world.patch(&resume("dp_1"), "").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(world.patch(&resume("latest"), "").await.0, StatusCode::OK);
    let (_, start) = other.started().await;
    assert_eq!(start.known_entries, 2);
}
