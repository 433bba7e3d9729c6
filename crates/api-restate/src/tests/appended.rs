//! Attempts in versions 5 to 7.

use super::played::*;
use super::*;

#[tokio::test]
async fn completion_ids_are_dense() {
    let mut world = World::registered((VERSION, VERSION)).await;
    let id = world.sent("/Plain/run").await;
    let (mut attempt, _) = world.started().await;
    attempt.say(SLEEP, 0, &sleep(u64::MAX, 2));
    attempt.say(SLEEP, 0, &sleep(u64::MAX, 4_000_000_000));

    let text = world.failed(&id, "RT0012").await;
    assert!(text.contains("completion id 4000000000 is too large"), "{text}");
}
