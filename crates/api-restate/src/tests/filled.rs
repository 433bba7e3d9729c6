//! Attempts in versions 1 and 2.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::BufMut;
use wire::restate::filled as pb;

use super::*;
use crate::frame::WANTS_ACK;

const START: u16 = 0;
const COMPLETION: u16 = 1;
const SUSPENSION: u16 = 2;
const ACK: u16 = 4;
const END: u16 = 5;
const INPUT: u16 = 0x0400;
const OUTPUT: u16 = 0x0401;
const SLEEP: u16 = 0x0c00;
const CALL: u16 = 0x0c01;
const AWAKEABLE: u16 = 0x0c03;
const RUN: u16 = 0x0c05;
const COMPLETED: u16 = 1;

fn output(json: &str) -> pb::OutputEntryMessage {
    pb::OutputEntryMessage {
        result: Some(pb::output_entry_message::Result::Value(json.to_owned().into())),
        name: String::new(),
    }
}

fn run(json: &str) -> pb::RunEntryMessage {
    pb::RunEntryMessage {
        result: Some(pb::run_entry_message::Result::Value(json.to_owned().into())),
        name: "step".into(),
    }
}

fn sleep(until: u64) -> pb::SleepEntryMessage {
    pb::SleepEntryMessage {
        wake_up_time: until,
        ..pb::SleepEntryMessage::default()
    }
}

fn call(handler: &str) -> pb::CallEntryMessage {
    pb::CallEntryMessage {
        service_name: "Plain".into(),
        handler_name: handler.into(),
        ..pb::CallEntryMessage::default()
    }
}

fn completed_with(value: &str) -> pb::completion_message::Result {
    pb::completion_message::Result::Value(value.to_owned().into())
}

fn canceled(message: &str) -> pb::completion_message::Result {
    pb::completion_message::Result::Failure(pb::Failure {
        code: 409,
        message: message.into(),
    })
}

/// As an old SDK names the awakeable of that entry.
fn awakeable(start: &pb::StartMessage, entry: u32) -> String {
    let mut raw = start.id.to_vec();
    raw.put_u32(entry);
    format!("prom_1{}", BASE64_URL_SAFE_NO_PAD.encode(raw))
}

impl World {
    /// The next attempt and what it began with: the start, and the input behind it.
    async fn begun(&mut self) -> (Attempt, pb::StartMessage) {
        let mut attempt = self.attempt().await;
        let start: pb::StartMessage = attempt.expect(START, 0).await;
        let _: pb::InputEntryMessage = attempt.expect(INPUT, 0).await;
        (attempt, start)
    }
}

impl Attempt {
    async fn completion(&mut self) -> (u32, pb::completion_message::Result) {
        let completion: pb::CompletionMessage = self.expect(COMPLETION, 0).await;
        (completion.entry_index, completion.result.expect("a result"))
    }

    async fn ack(&mut self) -> u32 {
        let ack: pb::EntryAckMessage = self.expect(ACK, 0).await;
        ack.entry_index
    }

    fn ends(mut self, json: &str) {
        self.say(OUTPUT, 0, &output(json));
        self.say(END, 0, &pb::EndMessage {});
        self.end();
    }
}

#[tokio::test]
async fn results_come_while_it_listens() {
    let mut world = World::registered((1, 2)).await;
    let answer = world.call("/Counter/k/add");
    let (mut attempt, start) = world.begun().await;
    assert_eq!(attempt.content_type, "application/vnd.restate.invocation.v2");
    assert_eq!((start.known_entries, start.key.as_str()), (1, "k"));
    attempt.say(RUN, WANTS_ACK, &run("1"));
    assert_eq!(attempt.ack().await, 1);
    attempt.say(SLEEP, 0, &sleep(1));
    let slept = (2, pb::completion_message::Result::Empty(pb::Empty {}));
    assert_eq!(attempt.completion().await, slept);
    // Its name is known before the entry is stored.
    let resolve = format!("/restate/awakeables/{}/resolve", awakeable(&start, 3));
    assert_eq!(world.post(&resolve, "\"v\"").await.0, StatusCode::ACCEPTED);
    attempt.say(AWAKEABLE, 0, &pb::AwakeableEntryMessage::default());
    assert_eq!(attempt.completion().await, (3, completed_with("\"v\"")));
    attempt.ends("\"out\"");
    let answer = answer.await.expect("an answer");
    assert_eq!(answer, (StatusCode::OK, "out".into()));
}

#[tokio::test]
async fn what_came_while_it_was_suspended_is_filled_in() {
    let mut world = World::registered((1, 1)).await;
    let answer = world.call("/Plain/run");
    let (mut attempt, start) = world.begun().await;
    attempt.say(RUN, WANTS_ACK, &run("1"));
    attempt.say(AWAKEABLE, 0, &pb::AwakeableEntryMessage::default());
    let entry_indexes = vec![2];
    attempt.say(SUSPENSION, 0, &pb::SuspensionMessage { entry_indexes });
    let resolve = format!("/restate/awakeables/{}/resolve", awakeable(&start, 2));
    assert_eq!(world.post(&resolve, "7").await.0, StatusCode::ACCEPTED);
    assert_eq!(world.post(&resolve, "8").await.0, StatusCode::ACCEPTED);
    let (mut attempt, start) = world.begun().await;
    assert_eq!(attempt.content_type, "application/vnd.restate.invocation.v1");
    assert_eq!(start.known_entries, 3);
    assert_eq!(attempt.expect::<pb::RunEntryMessage>(RUN, 0).await, run("1"));
    let filled: pb::AwakeableEntryMessage = attempt.expect(AWAKEABLE, COMPLETED).await;
    let seven = pb::awakeable_entry_message::Result::Value("7".into());
    assert_eq!(filled.result, Some(seven));
    attempt.ends("\"out\"");
    assert_eq!(answer.await.expect("an answer").0, StatusCode::OK);
}

#[tokio::test]
async fn a_call_is_cancelled_with_its_caller() {
    let mut world = World::registered((2, 2)).await;
    let answer = world.call("/Plain/run");
    let (mut caller, start) = world.begun().await;
    caller.say(SLEEP, 0, &sleep(u64::MAX / 2));
    caller.say(CALL, WANTS_ACK, &call("callee"));
    assert_eq!(caller.ack().await, 2);
    let (mut callee, _) = world.begun().await;
    assert_eq!(callee.path, "/invoke/Plain/callee");
    callee.say(AWAKEABLE, WANTS_ACK, &pb::AwakeableEntryMessage::default());
    assert_eq!(callee.ack().await, 1);
    let cancel = format!("/invocations/{}/cancel", start.debug_id);
    assert_eq!(world.admin("PATCH", &cancel, "").await.0, StatusCode::ACCEPTED);
    assert_eq!(caller.completion().await, (1, canceled("canceled")));
    assert_eq!(callee.completion().await, (1, canceled("canceled")));
    let failure = pb::Failure {
        code: 409,
        message: "callee".into(),
    };
    let failed = pb::OutputEntryMessage {
        result: Some(pb::output_entry_message::Result::Failure(failure)),
        name: String::new(),
    };
    callee.say(OUTPUT, 0, &failed);
    callee.say(END, 0, &pb::EndMessage {});
    callee.end();
    assert_eq!(caller.completion().await, (2, canceled("callee")));
    caller.ends("\"compensated\"");
    assert_eq!(answer.await.expect("an answer").1, "compensated");
}

#[tokio::test]
async fn a_version_that_it_does_not_speak_is_not_asked_for_again() {
    let mut world = World::registered((1, 7)).await;
    for expected in [6, 5, 2] {
        if expected == 6 {
            drop(world.call("/Plain/run"));
        }
        let mut attempt = world.attempt().await;
        let content_type = format!("application/vnd.restate.invocation.v{expected}");
        assert_eq!(attempt.content_type, content_type);
        if expected > 2 {
            attempt.answer(415);
        } else {
            attempt.ends("1");
        }
    }
    let answer = world.call("/Plain/run");
    let (attempt, _) = world.begun().await;
    assert_eq!(attempt.content_type, "application/vnd.restate.invocation.v2");
    attempt.ends("\"out\"");
    assert_eq!(answer.await.expect("an answer").1, "out");
}

#[tokio::test]
async fn deployments_of_withdrawn_versions_alone_are_refused() {
    for (versions, expected) in [
        ((1, 1), StatusCode::CREATED),
        ((1, 4), StatusCode::CREATED),
        ((4, 5), StatusCode::CREATED),
        ((3, 4), StatusCode::INTERNAL_SERVER_ERROR),
        ((8, 9), StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        let (status, json) = World::new(versions).await.register().await;
        assert_eq!(status, expected, "{versions:?}");
        if status != StatusCode::CREATED {
            assert_eq!(json["restate_code"], "META0012");
            let message = json["message"].as_str().expect("a text");
            assert!(message.ends_with("Belay speaks 1, 2, 5, 6, 7"), "{message}");
        }
    }
}
