//! Traps of the protocol and cases of users: see `docs/protocols/restate-traps.md`.

use base::limits;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::BufMut;
use wire::restate::appended as pb;

use super::played::*;
use super::*;

/// The first signal that is not reserved.
const AWAKEABLE: u32 = 17;

fn awakeable(start: &pb::StartMessage) -> String {
    let mut raw = start.id.to_vec();
    raw.put_u32(AWAKEABLE);
    format!("sign_1{}", BASE64_URL_SAFE_NO_PAD.encode(raw))
}

fn promise(id: u32) -> pb::GetPromiseCommandMessage {
    pb::GetPromiseCommandMessage {
        key: "ok".into(),
        result_completion_id: id,
        ..pb::GetPromiseCommandMessage::default()
    }
}

impl Attempt {
    /// Nothing but what is owed for a step comes next.
    async fn takes_a_step(&mut self, id: u32) {
        self.say(RUN, 0, &run(id));
        self.say(PROPOSE_RUN, 0, &found(id, "1"));
        let came: pb::RunCompletionNotificationMessage = self.expect(RUN_CAME, 0).await;
        assert_eq!(came.completion_id, id);
    }
}

/// Trap 7.
#[tokio::test]
async fn an_answer_of_another_version_is_a_failure() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let id = world.sent("/Plain/run").await;
    let (mut attempt, _) = world.started().await;
    attempt.content_type = "application/vnd.restate.invocation.v5".into();
    attempt.answer(200);
    let text = world.failed(&id, "RT0012").await;
    assert!(text.contains("invocation.v5"), "{text}");
    world.started().await.0.finish("1");
    world.until(&id, "completed").await;
}

/// Trap 9.
#[tokio::test]
async fn a_key_is_raw_in_the_start_and_encoded_in_the_header() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let id = world.sent("/Counter/a%2Fb%20%C3%A4/add").await;
    let (attempt, start) = world.started().await;
    assert_eq!(start.key, "a/b ä");
    assert_eq!(attempt.headers["x-restate-service-key"], "a%2Fb%20%C3%A4");
    attempt.finish("1");
    world.until(&id, "completed").await;
}

/// Traps 19 and 30: a field of the future, number 100.
#[tokio::test]
async fn what_is_not_known_of_a_command_is_kept() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let id = world.sent("/Counter/k/add").await;
    let (mut attempt, _) = world.started().await;
    let mut command = set("a", "x").encode_to_vec();
    command.extend(b"\xa2\x06\x03new");
    let mut bytes = BytesMut::new();
    frame::put_raw(&mut bytes, SET_STATE, 0, &command.clone().into());
    attempt.say_bytes(bytes.freeze());
    attempt.stumble();
    let (mut attempt, start) = world.started().await;
    assert_eq!(start.known_entries, 2);
    let (kind, _, body) = attempt.heard().await.expect("the command");
    assert_eq!((kind, &body[..]), (SET_STATE, &command[..]));
    attempt.finish("1");
    world.until(&id, "completed").await;
}

/// Trap 37: each commit takes longer than user code may be silent.
#[tokio::test]
async fn while_belay_owes_an_answer_nobody_is_asked_to_suspend() {
    let clock = Arc::new(SystemClock::starting(Timestamp(0)));
    let kv = testkit::Faulty::new(Arc::new(testkit::Memory::new(clock)));
    let mut world = World::over(kv.clone(), (VERSION, VERSION)).await;
    world.register().await;
    world
        .patch("/services/Plain", "{\"inactivity_timeout\":\"100ms\"}")
        .await;
    let id = world.sent("/Plain/run").await;
    let (mut attempt, _) = world.started().await;
    let by = Duration::from_millis(400);
    kv.inject([testkit::Fault::Delay { by }]);
    attempt.takes_a_step(1).await;
    kv.inject([]);
    assert_eq!(attempt.heard().await, None, "now it is user code that is silent");
    attempt.finish("1");
    world.until(&id, "completed").await;
}

/// Trap 45.
#[tokio::test]
async fn the_first_result_of_an_awakeable_comes_first() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let id = world.sent("/Plain/run").await;
    let (mut attempt, start) = world.started().await;
    attempt.takes_a_step(1).await;
    let path = format!("/restate/awakeables/{}", awakeable(&start));
    for (what, body) in [
        ("resolve", "\"first\""),
        ("resolve", "\"second\""),
        ("reject", "third"),
    ] {
        let (status, json) = world.post(&format!("{path}/{what}"), body).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{json}");
    }
    let first: pb::SignalNotificationMessage = attempt.expect(SIGNAL, 0).await;
    let expected = pb::signal_notification_message::Result::Value(value("\"first\""));
    assert_eq!(first.result, Some(expected.clone()));
    attempt.stumble();
    let (mut attempt, _) = world.started().await;
    for kind in [RUN, RUN_CAME] {
        assert_eq!(attempt.heard().await.expect("the journal").0, kind);
    }
    let again: pb::SignalNotificationMessage = attempt.expect(SIGNAL, 0).await;
    assert_eq!(
        again.result,
        Some(expected),
        "and so it does when it is told again"
    );
    attempt.finish("1");
    world.until(&id, "completed").await;
    for unknown in [
        path.as_str(),
        "/restate/awakeables/sign_1qW7ktqy--NkBohjsifTsPNjM5GcHUT4hAAAAEQ",
    ] {
        let (status, _) = world.post(&format!("{unknown}/resolve"), "1").await;
        assert_eq!(status, StatusCode::ACCEPTED);
    }
}

/// Traps 48 and 81: more state than may be sent along.
#[tokio::test]
async fn state_that_is_not_whole_says_so() {
    const LAZY: u16 = 0x0402;
    const CAME: u16 = 0x8002;
    let mut world = World::registered((VERSION, VERSION)).await;
    let half = Bytes::from(vec![b'x'; limits::RESTATE_EAGER_STATE_BYTES_MAX / 2]);
    for (key, partial) in [("a", false), ("b", false), ("c", true)] {
        let id = world.sent("/Counter/k/add").await;
        let (mut attempt, start) = world.started().await;
        assert!(!start.partial_state, "{key}");
        attempt.say(SET_STATE, 0, &set(key, half.clone()));
        attempt.finish("1");
        world.until(&id, "completed").await;
        let id = world.sent("/Counter/k/add").await;
        let (mut attempt, start) = world.started().await;
        assert_eq!(start.partial_state, partial || key == "b", "{key}");
        let lazy = pb::GetLazyStateCommandMessage {
            key: Bytes::from_static(key.as_bytes()),
            result_completion_id: 1,
            ..pb::GetLazyStateCommandMessage::default()
        };
        attempt.say(LAZY, 0, &lazy);
        let came: pb::GetLazyStateCompletionNotificationMessage = attempt.expect(CAME, 0).await;
        let result = pb::get_lazy_state_completion_notification_message::Result::Value(value(half.clone()));
        assert!(came.result == Some(result), "{key} is there");
        attempt.finish("1");
        world.until(&id, "completed").await;
        if partial || key == "b" {
            return;
        }
    }
}

/// Trap 50.
#[tokio::test]
async fn shared_handlers_neither_wait_nor_write() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let exclusive = world.sent("/Counter/k/add").await;
    let (holder, _) = world.started().await;
    let shared = world.sent("/Counter/k/get").await;
    let (mut attempt, _) = world.started().await;
    attempt.say(SET_STATE, 0, &set("a", "x"));
    let text = world.failed(&shared, "RT0017").await;
    assert!(text.contains("cannot write state"), "{text}");
    world.started().await.0.finish("1");
    world.until(&shared, "completed").await;
    holder.finish("1");
    world.until(&exclusive, "completed").await;
}

/// Trap 51.
#[tokio::test]
async fn what_was_set_stays_when_it_fails() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let first = world.sent("/Counter/k/add").await;
    let (mut attempt, _) = world.started().await;
    attempt.say(SET_STATE, 0, &set("a", "x"));
    attempt.fail(failure(500, "no"));
    world.until(&first, "completed").await;
    let second = world.sent("/Counter/k/add").await;
    let (attempt, start) = world.started().await;
    assert_eq!(start.state_map.len(), 1);
    assert_eq!(start.state_map[0].value, "x");
    attempt.finish("1");
    world.until(&second, "completed").await;
}

/// Trap 82, C22, C24: a body and a message of exactly the limit, and one byte more.
#[tokio::test]
async fn what_is_as_large_as_it_may_be_works() {
    let max = limits::RESTATE_MESSAGE_BYTES_MAX;
    let mut world = World::registered((VERSION, VERSION)).await;
    let text = |bytes: usize| format!("\"{}\"", "x".repeat(bytes - 2));
    let (status, _) = world.post("/Plain/run/send", &text(max + 1)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let (status, sent) = world.post("/Plain/run/send", &text(max)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{sent}");
    let mut attempt = world.attempt().await;
    attempt.bytes(max).await;
    attempt.answer(200);
    attempt.finish("1");
    world
        .until(sent["invocationId"].as_str().expect("an id"), "completed")
        .await;
    let id = world.sent("/Plain/run").await;

    // What stands around the value in its frame.
    let frame = |bytes: usize| found(1, vec![b'x'; bytes]);
    let around = frame(max / 2).encoded_len() - max / 2;
    let (mut attempt, _) = world.started().await;
    attempt.say(RUN, 0, &run(1));
    attempt.say(PROPOSE_RUN, 0, &frame(max - around + 1));
    let text = world.failed(&id, "RT0003").await;
    assert!(text.contains(&max.to_string()), "{text}");
    let (mut attempt, _) = world.started().await;
    assert_eq!(attempt.heard().await.expect("the command").0, RUN);
    attempt.say(PROPOSE_RUN, 0, &frame(max - around));
    // It is told in a frame that is a little larger than it came in.
    attempt.bytes(max).await;
    attempt.stumble();
    let mut attempt = world.attempt().await;
    attempt.bytes(max).await;
    attempt.answer(200);
    attempt.finish("1");
    world.until(&id, "completed").await;
}

/// C01: it is kept for the run, and goes with it.
#[tokio::test]
async fn a_promise_may_be_completed_before_its_workflow_runs() {
    const COMPLETE: u16 = 0x040b;
    const COMPLETED: u16 = 0x800b;
    const GET: u16 = 0x0409;
    const GOT: u16 = 0x8009;
    let mut world = World::registered((VERSION, VERSION)).await;
    let early = world.sent("/Signup/k1/approve").await;
    let (mut attempt, _) = world.started().await;
    let complete = pb::CompletePromiseCommandMessage {
        key: "ok".into(),
        result_completion_id: 1,
        completion: Some(pb::complete_promise_command_message::Completion::CompletionValue(
            value("\"early\""),
        )),
        ..pb::CompletePromiseCommandMessage::default()
    };
    attempt.say(COMPLETE, 0, &complete);
    let _: pb::CompletePromiseCompletionNotificationMessage = attempt.expect(COMPLETED, 0).await;
    attempt.finish("1");
    world.until(&early, "completed").await;

    let ran = world.sent("/Signup/k1/run").await;
    let (mut attempt, _) = world.started().await;
    attempt.say(GET, 0, &promise(1));
    let got: pb::GetPromiseCompletionNotificationMessage = attempt.expect(GOT, 0).await;
    let result = pb::get_promise_completion_notification_message::Result::Value(value("\"early\""));
    assert_eq!(got.result, Some(result));
    attempt.finish("1");
    world.until(&ran, "completed").await;
    let (status, json) = world.patch(&format!("/invocations/{ran}/purge"), "").await;
    assert_eq!(status, StatusCode::OK, "{json}");
    let again = world.sent("/Signup/k1/run").await;
    assert_eq!(again, ran, "the key names it");
    let (mut attempt, _) = world.started().await;
    attempt.say(GET, 0, &promise(1));
    attempt.takes_a_step(2).await;
    attempt.finish("1");
    world.until(&again, "completed").await;
}

/// C03.
#[tokio::test]
async fn a_failure_reads_the_same_when_it_is_told_again() {
    let mut world = World::registered((VERSION, VERSION)).await;
    for round in 0..50_u32 {
        let id = world.sent("/Plain/run").await;
        let (mut attempt, _) = world.started().await;
        attempt.say(CALL, 0, &call("callee", (1, 2)));
        let (callee, _) = world.started().await;
        callee.fail(pb::Failure {
            metadata: vec![pb::FailureMetadata {
                key: "why".into(),
                value: format!("{round} ä"),
            }],
            ..failure(400 + round, "boom")
        });
        assert_eq!(attempt.heard().await.expect("whom it called").0, CALLED_ID);
        let live = attempt.heard().await.expect("how that ended");
        assert_eq!(live.0, CALLED);
        attempt.stumble();
        let (mut attempt, _) = world.started().await;
        for kind in [CALL, CALLED_ID] {
            assert_eq!(attempt.heard().await.expect("the journal").0, kind);
        }
        assert_eq!(attempt.heard().await.expect("the journal"), live);
        attempt.finish("1");
        world.until(&id, "completed").await;
    }
}

/// C06.
#[tokio::test]
async fn killing_needs_no_deployment() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let first = world.sent("/Counter/k/add").await;
    let queued = [
        world.sent("/Counter/k/add").await,
        world.sent("/Counter/k/add").await,
    ];
    let (mut attempt, _) = world.started().await;
    let error = pb::ErrorMessage {
        code: 500,
        next_retry_delay: Some(60_000),
        ..pb::ErrorMessage::default()
    };
    attempt.say(ERROR, 0, &error);
    attempt.end();
    world.until(&first, "backing-off").await;
    let (_, listed) = world.admin("GET", "/deployments", "").await;
    let deployment = listed["deployments"][0]["id"].as_str().expect("an id");
    let (status, _) = world
        .admin("DELETE", &format!("/deployments/{deployment}?force=true"), "")
        .await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let (status, json) = world.patch(&format!("/invocations/{first}/kill"), "").await;
    assert_eq!(status, StatusCode::OK, "{json}");
    world.until(&first, "completed").await;
    assert_eq!(world.register().await.0, StatusCode::CREATED);
    for id in queued {
        let (status, json) = world.patch(&format!("/invocations/{id}/resume"), "").await;
        assert!(status.is_success() || status == StatusCode::CONFLICT, "{json}");
        world.started().await.0.finish("1");
        world.until(&id, "completed").await;
    }
}

/// C08.
#[tokio::test]
async fn an_address_without_a_scheme_is_refused_at_once() {
    let world = World::new((VERSION, VERSION)).await;
    for (uri, meant) in [
        ("localhost:9080", "as http://localhost:9080 "),
        ("ftp://x", "as http://x "),
        ("https://x/path", "as http://x/path "),
        ("http://", "as http://localhost:9080 "),
        ("", "as http://localhost:9080 "),
        ("/path", "as http://localhost:9080 "),
        ("http://user@host:9080/p?q#f", "as http://localhost:9080 "),
    ] {
        let body = serde_json::json!({ "uri": uri }).to_string();
        let register = world.admin("POST", "/deployments", &body);
        let refused = timeout(Duration::from_secs(1), register).await;
        let (status, json) = refused.expect("nobody is asked");
        assert!(status.is_client_error(), "{uri}: {status} {json}");
        let text = json["message"].as_str().expect("a text");
        assert!(text.contains(meant), "{uri}: {text}");
    }
    let (status, json) = world
        .admin("POST", "/deployments", "{\"uri\":\"http://127.0.0.1:1\"}")
        .await;
    assert!(status.is_server_error() || status.is_client_error(), "{json}");
    assert_eq!(json["restate_code"], "META0003");
}

/// C20.
#[tokio::test]
async fn fifty_attach_to_one_without_a_key() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let id = world.sent("/Plain/run").await;
    let (attempt, _) = world.started().await;
    let attach = || {
        let (service, path) = (world.service.clone(), format!("/restate/invocation/{id}/attach"));
        task::spawn("attach", async move {
            let request = Request::builder().uri(path).body(Body::empty());
            read(service.ingress.answer(request.expect("a request")).await).await
        })
    };
    let mut attached: Vec<_> = (0..50).map(|_| attach()).collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    attached.remove(7).abort();
    attempt.finish("\"done\"");
    for attached in attached {
        let (status, json) = attached.await.expect("it is answered");
        assert_eq!((status, json), (StatusCode::OK, "done".into()));
    }
    assert_eq!(attach().await.expect("it is answered").1, "done");
}

/// C28.
#[tokio::test]
async fn sleeping_for_nothing_is_sleeping() {
    let mut world = World::registered((VERSION, VERSION)).await;
    for until in [0, 1] {
        let id = world.sent("/Plain/run").await;
        let (mut attempt, _) = world.started().await;
        attempt.say(SLEEP, 0, &sleep(until, 1));
        let live = attempt.heard().await.expect("it is over");
        assert_eq!(live.0, SLEPT);
        attempt.stumble();
        let (mut attempt, start) = world.started().await;
        assert_eq!(start.known_entries, 3);
        assert_eq!(attempt.heard().await.expect("the journal").0, SLEEP);
        assert_eq!(attempt.heard().await.expect("the journal"), live);
        attempt.finish("1");
        world.until(&id, "completed").await;
    }
    let (status, sent) = world.post("/Plain/run/send?delay=0s", "1").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{sent}");
    world.started().await.0.finish("1");
}

/// C30: by the one who called it, and through that one, twice each.
#[tokio::test]
async fn cancelled_twice_is_cancelled_once() {
    const SEND: u16 = 0x0410;
    const CANCEL: u32 = 1;
    let mut world = World::registered((VERSION, VERSION)).await;
    for _ in 0..20 {
        let parent = world.sent("/Plain/run").await;
        let (mut calling, _) = world.started().await;
        calling.say(CALL, 0, &call("callee", (1, 2)));
        let id: pb::CallInvocationIdCompletionNotificationMessage = calling.expect(CALLED_ID, 0).await;
        let (mut called, _) = world.started().await;
        let cancel = pb::SendSignalCommandMessage {
            target_invocation_id: id.invocation_id.clone(),
            signal_id: Some(pb::send_signal_command_message::SignalId::Idx(CANCEL)),
            result: Some(pb::send_signal_command_message::Result::Void(pb::Void {})),
            ..pb::SendSignalCommandMessage::default()
        };
        calling.say(SEND, 0, &cancel);
        for _ in 0..2 {
            let path = format!("/invocations/{parent}/cancel");
            let (status, json) = world.patch(&path, "").await;
            assert!(status.is_success() || status == StatusCode::CONFLICT, "{json}");
        }
        let _: pb::SignalNotificationMessage = called.expect(SIGNAL, 0).await;
        called.fail(failure(409, "canceled"));
        let mut ends = 0;
        while ends == 0 {
            match calling.heard().await.expect("what came").0 {
                CALLED => ends += 1,
                kind => assert_eq!(kind, SIGNAL),
            }
        }
        calling.fail(failure(409, "canceled"));
        for id in [&parent, &id.invocation_id] {
            world.until(id, "completed").await;
        }
    }
}
