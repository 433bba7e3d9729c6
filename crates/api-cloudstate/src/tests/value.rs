//! What streams of value entities carry, and what is stored of it.

use prost_types::Any;
use tonic::Code;
use wire::cloudstate::client_action::Action;
use wire::cloudstate::valueentity::{ValueEntityReply, ValueEntityStreamOut};

use super::fake::Values;
use super::say::*;
use super::world::World;

#[tokio::test]
async fn a_command_is_an_init_with_an_empty_state_and_a_command() {
    let world = World::new().await;
    let mut talk = world.val("e").await;
    talk.ends();
    talk.hears_the_end().await;
    assert_eq!(world.fake.streams(), 1);
}

/// The next command on a stream, and what the function makes of it.
async fn next(world: &World, talk: &mut Values, id: i64, said: ValueEntityReply) {
    let fails = matches!(
        said.client_action
            .as_ref()
            .and_then(|action| action.action.as_ref()),
        Some(Action::Failure(_))
    );
    let asked = world.ask("Val/Do", "e", "x");
    talk.hears(ve_command(id, "e", "x")).await;
    talk.says(ve_out(said));
    match fails {
        true => asked.fails(Code::Unknown, "no").await,
        false => asked.is("ok").await,
    }
}

/// What the entity holds when it is active again.
async fn holds(world: &World, value: Option<Any>) -> Values {
    world.is_quiet().await;
    let asked = world.ask("Val/Do", "e", "look");
    let mut talk = world.fake.values().await;
    talk.hears(ve_init("e", value)).await;
    talk.hears(ve_command(1, "e", "look")).await;
    talk.says(ve_out(ve(1, reply("ok"))));
    asked.is("ok").await;
    talk
}

async fn end(talk: &mut Values) {
    talk.ends();
    talk.hears_the_end().await;
}

#[tokio::test]
async fn updates_and_deletes_are_kept_and_nothing_changes_nothing() {
    let world = World::new().await;
    let mut talk = world.val("e").await;
    next(
        &world,
        &mut talk,
        2,
        updating(ve(2, reply("ok")), Some(kept("a"))),
    )
    .await;
    next(
        &world,
        &mut talk,
        3,
        updating(ve(3, reply("ok")), Some(kept("b"))),
    )
    .await;
    next(&world, &mut talk, 4, ve(4, reply("ok"))).await;
    end(&mut talk).await;
    let mut talk = holds(&world, Some(kept("b"))).await;
    next(&world, &mut talk, 2, deleting(ve(2, reply("ok")))).await;
    end(&mut talk).await;
    holds(&world, None).await;
}

/// C57
#[tokio::test]
async fn what_was_deleted_is_empty_and_can_be_written_again() {
    let mut world = World::new().await;
    let mut talk = world.val("e").await;
    next(
        &world,
        &mut talk,
        2,
        updating(ve(2, reply("ok")), Some(kept("a"))),
    )
    .await;
    // The stream goes on: no other init.
    next(&world, &mut talk, 3, deleting(ve(3, reply("ok")))).await;
    next(&world, &mut talk, 4, ve(4, reply("ok"))).await;
    next(&world, &mut talk, 5, deleting(ve(5, reply("ok")))).await;
    end(&mut talk).await;
    holds(&world, None).await;
    world.restart().await;
    let mut talk = holds(&world, None).await;
    next(
        &world,
        &mut talk,
        2,
        updating(ve(2, reply("ok")), Some(kept("b"))),
    )
    .await;
    next(&world, &mut talk, 3, deleting(ve(3, failing("no")))).await;
    end(&mut talk).await;
    let mut talk = holds(&world, None).await;
    next(
        &world,
        &mut talk,
        2,
        updating(ve(2, failing("no")), Some(kept("c"))),
    )
    .await;
    world.restart().await;
    holds(&world, Some(kept("c"))).await;
}

#[tokio::test]
async fn a_restart_is_nothing_that_values_know() {
    let world = World::new().await;
    let mut talk = world.val("e").await;
    next(
        &world,
        &mut talk,
        2,
        updating(ve(2, restarting("no")), Some(kept("a"))),
    )
    .await;
    next(&world, &mut talk, 3, ve(3, reply("ok"))).await;
    end(&mut talk).await;
    holds(&world, Some(kept("a"))).await;
}

#[tokio::test]
async fn empty_values_are_values() {
    let world = World::new().await;
    let mut talk = world.val("e").await;
    let empty = any("p.cloudstate.io/string", b"");
    next(
        &world,
        &mut talk,
        2,
        updating(ve(2, reply("ok")), Some(empty.clone())),
    )
    .await;
    end(&mut talk).await;
    holds(&world, Some(empty)).await;
}

async fn crash(said: ValueEntityStreamOut, text: &str) {
    let world = World::new().await;
    let mut talk = world.val("e").await;
    next(
        &world,
        &mut talk,
        2,
        updating(ve(2, reply("ok")), Some(kept("a"))),
    )
    .await;
    let asked = world.ask("Val/Do", "e", "x");
    let waiting = world.ask("Val/Do", "e", "y");
    talk.hears(ve_command(3, "e", "x")).await;
    world.has_waiting(1).await;
    talk.says(said);
    asked.crashes(text).await;
    waiting.crashes("Value entity terminated").await;
    talk.is_left().await;
    holds(&world, Some(kept("a"))).await;
}

#[tokio::test]
async fn what_is_no_answer_is_a_crash_and_changes_nothing() {
    let lost = || Some(kept("lost"));
    crash(ve_failure(3, "no"), "Unexpected Value entity failure").await;
    crash(ve_failure(0, "no"), "Unexpected Value entity failure").await;
    crash(
        ve_out(updating(ve(2, reply("no")), lost())),
        "Unexpected Value entity reply",
    )
    .await;
    crash(
        ve_out(updating(ve(0, reply("no")), lost())),
        "Unexpected Value entity reply",
    )
    .await;
    crash(
        ve_out(updating(ve(3, reply("no")), None)),
        "Unexpected Value entity failure",
    )
    .await;
    // Measured: the reference has no text of its own for it.
    crash(
        ValueEntityStreamOut { message: None },
        "Unexpected Value entity failure",
    )
    .await;
}

#[tokio::test]
async fn a_stream_that_ends_or_breaks_wedges_nothing() {
    let world = World::new().await;
    for breaks in [false, true] {
        let asked = world.ask("Val/Do", "e", "x");
        let waiting = world.ask("Val/Do", "e", "y");
        let mut talk = world.fake.values().await;
        talk.hears(ve_init("e", None)).await;
        talk.hears(ve_command(1, "e", "x")).await;
        world.has_waiting(1).await;
        match breaks {
            true => talk.resets(),
            false => talk.ends(),
        }
        asked.crashes("Unexpected Value entity termination").await;
        waiting.crashes("Value entity terminated").await;
    }
    holds(&world, None).await;
}
