//! Attempts in versions 5 to 7.

use wire::restate::appended as pb;

use super::*;

const START: u16 = 0;
const INPUT: u16 = 0x0400;
const SLEEP: u16 = 0x040c;
const VERSION: u32 = 6;

#[tokio::test]
async fn completion_ids_are_dense() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let (_, sent) = world.post("/Plain/run/send", "\"in\"").await;
    let id = sent["invocationId"].as_str().expect("an id").to_owned();

    let mut attempt = world.attempt().await;
    let _: pb::StartMessage = attempt.expect(START, 0).await;
    let _: pb::InputCommandMessage = attempt.expect(INPUT, 0).await;
    let sleep = |completion| pb::SleepCommandMessage {
        wake_up_time: u64::MAX,
        result_completion_id: completion,
        ..pb::SleepCommandMessage::default()
    };
    attempt.say(SLEEP, 0, &sleep(2));
    attempt.say(SLEEP, 0, &sleep(4_000_000_000));

    let path = format!("/invocations/{id}");
    let failed = async {
        loop {
            let (_, json) = world.admin("GET", &path, "").await;
            if json["last_failure"]["restate_code"] == "RT0012" {
                return json;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let failed = timeout(PATIENCE, failed).await.expect("it fails");
    let text = failed["last_failure"]["message"].as_str().expect("a text");
    assert!(text.contains("completion id 4000000000 is too large"), "{text}");
}
