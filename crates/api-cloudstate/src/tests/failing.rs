//! Functions, stores and connections that fail.

use std::time::{Duration, Instant};

use testkit::Fault;
use tonic::{Code, Status};

use super::fake::Fake;
use super::say::*;
use super::world::World;

#[tokio::test]
async fn a_failure_before_any_command_is_told_as_a_failure() {
    let mut world = World::new().await;
    let mut talk = world.log("e").await;
    let asked = world.ask("Log/Do", "e", "x");
    talk.hears(es_command(2, "e", "x")).await;
    let many = ["a"; 3_000];
    talk.says(es_out(emitting(es(2, reply("ok")), &many)));
    asked.is("ok").await;
    world.restart().await;
    let asked = world.ask("Log/Do", "e", "x");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(event(1, kept("a"))).await;
    talk.says(es_failure(0, "an event that nobody handles"));
    // It may have been too late for the command, which then is what has failed.
    asked.crashes("Unexpected entity failure").await;
    while let Some(Ok(_)) = talk.next().await {}
}

#[tokio::test]
async fn a_function_that_closes_each_connection_is_not_asked_in_a_circle() {
    let fake = Fake::new(new_spec()).await;
    fake.hangs_up();
    let mut world = World::unserved(fake, crate::Rules::default()).await;
    let began = Instant::now();
    for _ in 0..3 {
        world.served().await;
    }
    assert!(began.elapsed() >= 2 * base::limits::FUNCTION_PAUSE_MIN);
}

#[tokio::test]
async fn messages_that_are_too_large_fail_their_command() {
    let world = World::new().await;
    let mut talk = world.log("e").await;
    let asked = world.ask("Log/Do", "e", "x");
    talk.hears(es_command(2, "e", "x")).await;
    talk.says(es_out(emitting(es(2, reply("ok")), &[&"a".repeat(13 << 20)])));
    asked.crashes("Unexpected entity termination").await;
    talk.is_left().await;
    let large = world.ask("Log/Do", "e", &"a".repeat(5 << 20));
    large.fails_with(Code::OutOfRange).await;
    let asked = world.ask("Log/Do", "e", "y");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "y")).await;
    let event = "a".repeat(11 << 20);
    talk.says(es_out(emitting(es(1, reply("ok")), &[&event])));
    asked.is("ok").await;
    talk.ends();
    world.is_quiet().await;
    let _asked = world.ask("Log/Do", "e", "again");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(super::say::event(1, kept(&event))).await;
}

#[tokio::test]
async fn nothing_is_answered_before_it_is_stored() {
    let world = World::new().await;
    let mut talk = world.log("e").await;
    let asked = world.ask("Log/Do", "e", "x");
    talk.hears(es_command(2, "e", "x")).await;
    let by = Duration::from_millis(300);
    world.kv.inject([Fault::Delay { by }]);
    let said = Instant::now();
    talk.says(es_out(emitting(es(2, reply("ok")), &["a"])));
    asked.is("ok").await;
    assert!(said.elapsed() >= by);
}

#[tokio::test]
async fn what_could_not_be_stored_fails_and_the_entity_begins_anew() {
    let world = World::new().await;
    let mut talk = world.log("e").await;
    let asked = world.ask("Log/Do", "e", "x");
    let waiting = world.ask("Log/Do", "e", "y");
    talk.hears(es_command(2, "e", "x")).await;
    world.has_waiting(1).await;
    world.kv.inject([Fault::NearlyFull]);
    talk.says(es_out(emitting(es(2, reply("ok")), &["lost"])));
    let status = asked.answer().await.expect_err("it is not stored");
    assert_ne!(status.code(), Code::Unknown, "{status}");
    waiting.crashes("Entity terminated").await;
    talk.is_left().await;
    world.kv.inject([]);
    let asked = world.ask("Log/Do", "e", "again");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "again")).await;
    talk.says(es_out(emitting(es(1, reply("ok")), &["kept"])));
    asked.is("ok").await;
}

#[tokio::test]
async fn a_restart_waits_only_so_long_for_the_end_of_the_stream() {
    let world = World::new().await;
    let mut talk = world.log("e").await;
    let asked = world.ask("Log/Do", "e", "x");
    talk.hears(es_command(2, "e", "x")).await;
    talk.says(es_out(emitting(es(2, restarting("no")), &["lost"])));
    asked.fails(Code::Unknown, "no").await;
    talk.hears_the_end().await;
    // It never ends its side.
    let mut next = world.fake.events().await;
    next.hears(init("e", None)).await;
    talk.is_cancelled().await;
}

#[tokio::test]
async fn passivation_may_be_further_away_than_anybody_waits() {
    for milliseconds in [i64::MAX, 0, -1] {
        let entities = vec![passivated_after(
            milliseconds,
            entity(EVENT_SOURCED, "Log", "log"),
        )];
        let world = World::of(spec_of(PROTO, (0, 2), entities)).await;
        let mut talk = world.log("e").await;
        let asked = world.ask("Log/Do", "e", "x");
        talk.hears(es_command(2, "e", "x")).await;
        talk.says(es_out(es(2, reply("ok"))));
        asked.is("ok").await;
    }
}

#[tokio::test]
async fn functions_forward_to_each_other() {
    let log = spec_of(PROTO, (0, 0), vec![entity(EVENT_SOURCED, "Log", "log")]);
    let act = spec_of(PROTO, (0, 2), vec![entity(ACTION, "Act", "")]);
    let other = Fake::new(act).await;
    let mut world = World::pair(Fake::new(log).await, other.clone()).await;
    world.served().await;
    world.served().await;
    let asked = world.ask("Act/One", "a", "x");
    let talk = other.actions().await;
    talk.says(response(Some(forward("t.Log", "Do", in_any("e", "on")))));
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "on")).await;
    talk.says(es_out(es(1, forward("t.Act", "None", in_any("e", "on")))));
    asked.fails_with(Code::FailedPrecondition).await;
    // Whoever forwards wrongly is told, not who began.
    let report = world.fake.report().await;
    assert!(report.contains("t.Act/One -> t.Log/Do"), "{report}");
    assert_eq!(other.left()[1..], [0, 0]);
}

#[tokio::test]
async fn a_service_of_two_functions_is_the_first_ones() {
    let act = || spec_of(PROTO, (0, 2), vec![entity(ACTION, "Act", "")]);
    let other = Fake::absent(act()).await;
    let mut world = World::pair(Fake::new(act()).await, other.clone()).await;
    world.served().await;
    other.come().await;
    let report = other.report().await;
    assert!(report.contains("t.Act is served by the function at"), "{report}");
    let asked = world.ask("Act/One", "e", "x");
    let talk = world.fake.actions().await;
    talk.says(response(Some(reply("ok"))));
    asked.is("ok").await;
    assert_eq!(other.left(), [1, 0, 0]);
}

#[tokio::test]
async fn an_activation_that_is_refused_with_a_status_fails_its_command() {
    let world = World::new().await;
    let asked = world.ask("Log/Do", "e", "x");
    let mut talk = world.fake.events().await;
    talk.fails(Status::unimplemented("no such service"));
    asked.crashes("Unexpected entity termination").await;
    let _talk = world.log("e").await;
}

/// However much of the history is on its way when the function stops to read: nobody waits for ever.
#[tokio::test]
async fn a_function_that_stops_reading_is_given_up() {
    let mut world = World::new().await;
    let large = "a".repeat(100 << 10);
    let ahead = base::limits::ENTITY_MESSAGES_AHEAD;
    let counts = || ahead + 4..ahead + 20;
    for count in counts() {
        let id = count.to_string();
        let asked = world.ask("Log/Do", &id, "x");
        let mut talk = world.fake.events().await;
        talk.hears(init(&id, None)).await;
        talk.hears(es_command(1, &id, "x")).await;
        talk.says(es_out(emitting(es(1, reply("ok")), &vec![large.as_str(); count])));
        asked.is("ok").await;
    }
    world.rules.answer = Duration::from_millis(200);
    world.restart().await;
    for count in counts() {
        let asked = world.ask("Log/Do", &count.to_string(), "x");
        let _unread = world.fake.events().await;
        asked.fails_with(Code::DeadlineExceeded).await;
    }
}

/// Its stream is one too many for the function, which says nothing of it: whoever is idle makes room.
#[tokio::test]
async fn a_long_history_finds_a_place_in_a_narrow_function() {
    let fake = Fake::narrow(new_spec(), 1).await;
    let rules = crate::Rules {
        answer: Duration::from_secs(5),
        ..crate::Rules::default()
    };
    let world = World::with(fake, rules).await;
    let mut talk = world.log("long").await;
    let large = "a".repeat(100 << 10);
    let asked = world.ask("Log/Do", "long", "x");
    talk.hears(es_command(2, "long", "x")).await;
    talk.says(es_out(emitting(es(2, reply("ok")), &[large.as_str(); 80])));
    asked.is("ok").await;
    talk.ends();
    talk.hears_the_end().await;
    drop(talk);
    world.is_quiet().await;
    let mut idle = world.log("idle").await;
    let asked = world.ask("Log/Do", "long", "again");
    idle.hears_the_end().await;
    idle.ends();
    drop(idle);
    let mut talk = world.fake.events().await;
    talk.hears(init("long", None)).await;
    for sequence in 1..=80 {
        talk.hears(event(sequence, kept(&large))).await;
    }
    talk.hears(es_command(1, "long", "again")).await;
    talk.says(es_out(es(1, reply("ok"))));
    asked.is("ok").await;
}
