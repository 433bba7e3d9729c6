//! What a deployment of version 6 hears and says, in short.

use wire::restate::appended as pb;

use super::*;

pub(super) const START: u16 = 0;
pub(super) const ERROR: u16 = 2;
pub(super) const END: u16 = 3;
pub(super) const PROPOSE_RUN: u16 = 5;
pub(super) const INPUT: u16 = 0x0400;
pub(super) const OUTPUT: u16 = 0x0401;
pub(super) const SET_STATE: u16 = 0x0403;
pub(super) const SLEEP: u16 = 0x040c;
pub(super) const CALL: u16 = 0x040d;
pub(super) const RUN: u16 = 0x0411;
pub(super) const SLEPT: u16 = 0x800c;
pub(super) const CALLED: u16 = 0x800d;
pub(super) const CALLED_ID: u16 = 0x800e;
pub(super) const RUN_CAME: u16 = 0x8011;
pub(super) const SIGNAL: u16 = 0xfbff;
pub(super) const VERSION: u32 = 6;

pub(super) fn value(bytes: impl Into<Bytes>) -> pb::Value {
    pb::Value {
        content: bytes.into(),
    }
}

pub(super) fn failure(code: u32, message: &str) -> pb::Failure {
    pb::Failure {
        code,
        message: message.into(),
        ..pb::Failure::default()
    }
}

pub(super) fn output(json: &'static str) -> pb::OutputCommandMessage {
    pb::OutputCommandMessage {
        result: Some(pb::output_command_message::Result::Value(value(json))),
        ..pb::OutputCommandMessage::default()
    }
}

pub(super) fn fails(failure: pb::Failure) -> pb::OutputCommandMessage {
    pb::OutputCommandMessage {
        result: Some(pb::output_command_message::Result::Failure(failure)),
        ..pb::OutputCommandMessage::default()
    }
}

pub(super) fn sleep(until: u64, id: u32) -> pb::SleepCommandMessage {
    pb::SleepCommandMessage {
        wake_up_time: until,
        result_completion_id: id,
        ..pb::SleepCommandMessage::default()
    }
}

pub(super) fn run(id: u32) -> pb::RunCommandMessage {
    pb::RunCommandMessage {
        result_completion_id: id,
        name: "step".into(),
    }
}

pub(super) fn found(id: u32, bytes: impl Into<Bytes>) -> pb::ProposeRunCompletionMessage {
    pb::ProposeRunCompletionMessage {
        result_completion_id: id,
        result: Some(pb::propose_run_completion_message::Result::Value(bytes.into())),
    }
}

pub(super) fn set(key: &'static str, bytes: impl Into<Bytes>) -> pb::SetStateCommandMessage {
    pb::SetStateCommandMessage {
        key: Bytes::from_static(key.as_bytes()),
        value: Some(value(bytes)),
        ..pb::SetStateCommandMessage::default()
    }
}

pub(super) fn call(handler: &str, ids: (u32, u32)) -> pb::CallCommandMessage {
    pb::CallCommandMessage {
        service_name: "Plain".into(),
        handler_name: handler.into(),
        invocation_id_notification_idx: ids.0,
        result_completion_id: ids.1,
        ..pb::CallCommandMessage::default()
    }
}

impl World {
    /// The next attempt and what it began with: the start, and the input behind it.
    pub(super) async fn started(&mut self) -> (Attempt, pb::StartMessage) {
        let mut attempt = self.attempt().await;
        let start: pb::StartMessage = attempt.expect(START, 0).await;
        let _: pb::InputCommandMessage = attempt.expect(INPUT, 0).await;
        (attempt, start)
    }

    pub(super) async fn sent(&self, path: &str) -> String {
        let (status, sent) = self.post(&format!("{path}/send"), "\"in\"").await;
        assert_eq!(status, StatusCode::ACCEPTED, "{sent}");
        sent["invocationId"].as_str().expect("an id").to_owned()
    }

    pub(super) async fn until(&self, id: &str, status: &str) {
        self.stands(id, |json| json["status"] == status).await;
    }

    /// Until its last attempt failed with that code; the text.
    pub(super) async fn failed(&self, id: &str, code: &str) -> String {
        let json = self.stands(id, |json| json["last_failure"]["restate_code"] == code);
        json.await["last_failure"]["message"]
            .as_str()
            .expect("a text")
            .to_owned()
    }

    async fn stands(&self, id: &str, so: impl Fn(&Value) -> bool) -> Value {
        let path = format!("/invocations/{id}");
        let stands = async {
            loop {
                let (_, json) = self.admin("GET", &path, "").await;
                if so(&json) {
                    return json;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        match timeout(PATIENCE, stands).await {
            Ok(json) => json,
            Err(_) => panic!("{:?}", self.admin("GET", &path, "").await),
        }
    }

    pub(super) async fn patch(&self, path: &str, body: &str) -> (StatusCode, Value) {
        self.admin("PATCH", path, body).await
    }
}

impl Attempt {
    pub(super) fn finish(mut self, json: &'static str) {
        self.say(OUTPUT, 0, &output(json));
        self.say(END, 0, &pb::EndMessage {});
        self.end();
    }

    pub(super) fn fail(mut self, failure: pb::Failure) {
        self.say(OUTPUT, 0, &fails(failure));
        self.say(END, 0, &pb::EndMessage {});
        self.end();
    }

    /// It is tried again.
    pub(super) fn stumble(mut self) {
        let error = pb::ErrorMessage {
            code: 500,
            message: "no".into(),
            next_retry_delay: Some(1),
            ..pb::ErrorMessage::default()
        };
        self.say(ERROR, 0, &error);
        self.end();
    }
}
