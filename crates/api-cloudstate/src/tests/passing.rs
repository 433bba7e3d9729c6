//! Entities that pass away and come back: passivation, functions that die, histories that are long.

use std::time::{Duration, Instant};

use tonic::Code;
use wire::cloudstate::EntitySpec;

use super::say::*;
use super::world::World;

fn passivating(milliseconds: i64) -> EntitySpec {
    let entities = vec![
        passivated_after(milliseconds, entity(EVENT_SOURCED, "Log", "log")),
        passivated_after(milliseconds, entity(VALUE, "Val", "val")),
    ];
    spec_of(PROTO, (0, 2), entities)
}

#[tokio::test]
async fn what_has_nothing_to_do_for_long_enough_is_ended() {
    let world = World::of(passivating(100)).await;
    let asked = world.ask("Log/Do", "e", "x");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "x")).await;
    let said = Instant::now();
    talk.says(es_out(emitting(es(1, reply("ok")), &["a"])));
    asked.is("ok").await;
    talk.hears_the_end().await;
    assert!(said.elapsed() >= Duration::from_millis(100));
    talk.ends();
    world.is_quiet().await;
    let _asked = world.ask("Log/Do", "e", "again");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(event(1, kept("a"))).await;
    talk.hears(es_command(1, "e", "again")).await;
}

#[tokio::test]
async fn the_time_counts_from_the_last_message() {
    let world = World::of(passivating(1_000)).await;
    let mut talk = world.log("e").await;
    // Longer than that in sum.
    for id in 2..5 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let asked = world.ask("Log/Do", "e", "x");
        talk.hears(es_command(id, "e", "x")).await;
        talk.says(es_out(es(id, reply("ok"))));
        asked.is("ok").await;
    }
    let answered = Instant::now();
    talk.hears_the_end().await;
    // The answer was there a moment before its client has seen it.
    assert!(answered.elapsed() >= Duration::from_millis(700));
}

#[tokio::test]
async fn nothing_is_passivated_during_a_command() {
    let world = World::of(passivating(20)).await;
    let asked = world.ask("Log/Do", "e", "x");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "x")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    talk.says(es_out(es(1, reply("ok"))));
    asked.is("ok").await;
    assert_eq!(world.fake.streams(), 1);
    talk.hears_the_end().await;
}

#[tokio::test]
async fn a_command_that_comes_while_a_stream_ends_waits_for_the_next_one() {
    let world = World::of(passivating(20)).await;
    let mut talk = world.log("e").await;
    talk.hears_the_end().await;
    let asked = world.ask("Log/Do", "e", "x");
    world.has_waiting(1).await;
    assert_eq!(world.fake.streams(), 1);
    talk.ends();
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "x")).await;
    talk.says(es_out(es(1, reply("ok"))));
    asked.is("ok").await;
}

#[tokio::test]
async fn a_function_that_never_ends_its_side_is_cut_off() {
    let world = World::of(passivating(20)).await;
    let mut talk = world.log("e").await;
    talk.hears_the_end().await;
    let _asked = world.ask("Log/Do", "e", "x");
    let mut next = world.fake.events().await;
    next.hears(init("e", None)).await;
    talk.is_cancelled().await;
}

#[tokio::test]
async fn a_stream_that_ends_while_idle_harms_nobody() {
    let world = World::new().await;
    for breaks in [false, true] {
        let mut talk = world.log("e").await;
        match breaks {
            true => talk.resets(),
            false => talk.ends(),
        }
        world.is_quiet().await;
    }
}

#[tokio::test]
async fn a_function_that_dies_finds_everything_again() {
    let mut world = World::new().await;
    let mut talk = world.log("e").await;
    let asked = world.ask("Log/Do", "e", "x");
    talk.hears(es_command(2, "e", "x")).await;
    talk.says(es_out(emitting(es(2, reply("ok")), &["a"])));
    asked.is("ok").await;
    let asked = world.ask("Log/Do", "e", "y");
    talk.hears(es_command(3, "e", "y")).await;
    world.fake.die().await;
    asked.crashes("Unexpected entity termination").await;
    let asked = world.ask("Log/Do", "e", "z");
    asked.fails_with(Code::Unavailable).await;
    world.fake.come().await;
    world.served().await;
    let asked = world.ask("Log/Do", "e", "again");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(event(1, kept("a"))).await;
    talk.hears(es_command(1, "e", "again")).await;
    talk.says(es_out(es(1, reply("ok"))));
    asked.is("ok").await;
}

#[tokio::test]
async fn long_histories_are_told_to_functions_that_read_slowly() {
    let mut world = World::new().await;
    let mut talk = world.log("e").await;
    let texts: Vec<String> = (1..=10_000).map(|number| number.to_string()).collect();
    for (id, some) in (2..).zip(texts.chunks(2_500)) {
        let some: Vec<&str> = some.iter().map(String::as_str).collect();
        let asked = world.ask("Log/Do", "e", "x");
        talk.hears(es_command(id, "e", "x")).await;
        talk.says(es_out(emitting(es(id, reply("ok")), &some)));
        asked.is("ok").await;
    }
    world.restart().await;
    let asked = world.ask("Log/Do", "e", "again");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    for (sequence, text) in (1..).zip(&texts) {
        if sequence % 1_000 == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        talk.hears(event(sequence, kept(text))).await;
    }
    talk.hears(es_command(1, "e", "again")).await;
    talk.says(es_out(es(1, reply("ok"))));
    asked.is("ok").await;
}

#[tokio::test]
async fn more_events_than_are_stored_at_once_fail_and_store_nothing() {
    let world = World::new().await;
    let mut talk = world.log("e").await;
    let asked = world.ask("Log/Do", "e", "x");
    talk.hears(es_command(2, "e", "x")).await;
    talk.says(es_out(emitting(es(2, reply("ok")), &["a"; 4_001])));
    let status = asked.answer().await.expect_err("too many");
    assert!(status.message().contains("4001 events"), "{status}");
    talk.is_left().await;
    let _asked = world.ask("Log/Do", "e", "again");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "again")).await;
}

#[tokio::test]
async fn a_command_whose_client_went_away_before_its_turn_is_not_said() {
    let world = World::new().await;
    let mut talk = world.log("e").await;
    let first = world.ask("Log/Do", "e", "x");
    talk.hears(es_command(2, "e", "x")).await;
    let gone = world.ask("Log/Do", "e", "gone");
    world.has_waiting(1).await;
    let last = world.ask("Log/Do", "e", "z");
    world.has_waiting(2).await;
    world.drops(gone).await;
    talk.says(es_out(es(2, reply("ok"))));
    first.is("ok").await;
    talk.hears(es_command(3, "e", "z")).await;
    talk.says(es_out(es(3, reply("ok"))));
    last.is("ok").await;
}

#[tokio::test]
async fn what_a_client_that_went_away_has_begun_is_done() {
    let world = World::new().await;
    let mut talk = world.log("e").await;
    let gone = world.ask("Log/Do", "e", "x");
    talk.hears(es_command(2, "e", "x")).await;
    world.drops(gone).await;
    let next = world.ask("Log/Do", "e", "y");
    let mut done = emitting(es(2, reply("ok")), &["a"]);
    done.side_effects = vec![effect("t.Val", "Do", in_any("v", "effect"), false)];
    talk.says(es_out(done));
    talk.hears(es_command(3, "e", "y")).await;
    talk.says(es_out(es(3, reply("ok"))));
    next.is("ok").await;
    let mut effected = world.fake.values().await;
    effected.hears(ve_init("v", None)).await;
    effected.hears(ve_command(1, "v", "effect")).await;
    talk.ends();
    talk.hears_the_end().await;
    let _asked = world.ask("Log/Do", "e", "again");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(event(1, kept("a"))).await;
}

#[tokio::test]
async fn entities_of_a_function_with_few_places_all_get_on() {
    let fake = super::fake::Fake::narrow(new_spec(), 10).await;
    let world = World::with(fake, crate::Rules::default()).await;
    let asked: Vec<_> = (0..30)
        .map(|number| world.ask("Log/Do", &format!("e{number}"), "x"))
        .collect();
    let fake = world.fake.clone();
    let played = base::task::spawn("function", async move {
        loop {
            let mut talk = fake.events().await;
            drop(base::task::spawn("entity", async move {
                let mut id = 0;
                while let Some(Ok(heard)) = talk.next().await {
                    if !matches!(
                        &heard.message,
                        Some(wire::cloudstate::eventsourced::event_sourced_stream_in::Message::Command(_))
                    ) {
                        continue;
                    }
                    id += 1;
                    talk.says(es_out(es(id, reply("ok"))));
                }
            }));
        }
    });
    for asked in asked {
        asked.is("ok").await;
    }
    assert_eq!(world.fake.streams(), 30);
    played.abort();
}
