//! What follows from answers: effects and forwards, in which order, and what is wrong with some of them.

use base::limits;
use prost_types::Any;
use tonic::Code;
use wire::cloudstate::SideEffect;
use wire::cloudstate::client_action::Action;
use wire::cloudstate::valueentity::ValueEntityReply;

use super::fake::Values;
use super::say::*;
use super::world::{Asked, World};

/// An action that answers like this.
async fn answered(world: &World, action: Option<Action>, effects: Vec<SideEffect>) -> Asked {
    let asked = world.ask("Act/One", "e", "x");
    let talk = world.fake.actions().await;
    let mut answer = response(action);
    answer.side_effects = effects;
    talk.says(answer);
    asked
}

/// An effect on the value entity of that id.
fn on(id: &str, synchronous: bool) -> SideEffect {
    effect("t.Val", "Do", in_any(id, "effect"), synchronous)
}

async fn effected(world: &World, id: &str) -> Values {
    let mut talk = world.fake.values().await;
    talk.hears(ve_init(id, None)).await;
    talk.hears(ve_command(1, id, "effect")).await;
    talk
}

#[tokio::test]
async fn synchronous_effects_are_awaited_one_after_the_other() {
    let world = World::new().await;
    let asked = answered(
        &world,
        Some(reply("ok")),
        vec![on("v1", true), on("v2", true), on("v3", true)],
    )
    .await;
    for (count, id) in (2..).zip(["v1", "v2", "v3"]) {
        let talk = effected(&world, id).await;
        assert_eq!(world.fake.streams(), count);
        // Whatever they answer.
        talk.says(match id {
            "v1" => ve_out(ve(1, failing("no"))),
            "v2" => ve_failure(1, "crash"),
            _ => ve_out(ve(1, reply("ok"))),
        });
    }
    asked.is("ok").await;
    assert_eq!(world.fake.left()[1], 0);
}

#[tokio::test]
async fn other_effects_are_not_awaited() {
    let world = World::new().await;
    let effects = vec![on("v1", false), on("v2", true), on("v3", false)];
    let asked = answered(&world, Some(reply("ok")), effects).await;
    // None of them is answered but the one that is waited for.
    let mut talks = vec![];
    while talks.len() < 2 {
        let mut talk = world.fake.values().await;
        let Some(Ok(init)) = talk.next().await else {
            panic!("no init");
        };
        if init == ve_init("v2", None) {
            talk.says(ve_out(ve(1, reply("ok"))));
        }
        talks.push(talk);
    }
    asked.is("ok").await;
    effected(&world, "v3").await;
}

#[tokio::test]
async fn effects_beside_a_failure_happen() {
    let world = World::new().await;
    let asked = answered(&world, Some(failing("no")), vec![on("v", true)]).await;
    let talk = effected(&world, "v").await;
    talk.says(ve_out(ve(1, reply("ok"))));
    asked.fails(Code::Unknown, "no").await;
}

#[tokio::test]
async fn what_is_stored_is_stored_before_effects() {
    let mut world = World::new().await;
    let _asked = world.ask("Log/Do", "e", "x");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "x")).await;
    let mut said = emitting(es(1, reply("ok")), &["a"]);
    said.side_effects = vec![on("v", true)];
    talk.says(es_out(said));
    effected(&world, "v").await;
    world.restart().await;
    let _asked = world.ask("Log/Do", "e", "again");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(event(1, kept("a"))).await;
}

#[tokio::test]
async fn an_entity_may_have_an_effect_on_itself() {
    let world = World::new().await;
    let mut talk = world.val("e").await;
    let asked = world.ask("Val/Do", "e", "x");
    talk.hears(ve_command(2, "e", "x")).await;
    talk.says(ve_out(ValueEntityReply {
        side_effects: vec![on("e", true)],
        ..ve(2, reply("ok"))
    }));
    talk.hears(ve_command(3, "e", "effect")).await;
    talk.says(ve_out(ve(3, reply("ok"))));
    asked.is("ok").await;
}

/// What may not be sent on: where to, and words of the report.
fn wrong() -> Vec<(&'static str, &'static str, Any, &'static [&'static str])> {
    let payload = || in_any("e", "x");
    vec![
        ("t.Nobody", "Do", payload(), &["t.Nobody/Do", "no service"]),
        ("t.Hidden", "Do", payload(), &["t.Hidden/Do", "no service"]),
        ("t.Val", "Undo", payload(), &["t.Val/Undo", "no such command"]),
        (
            "t.Val",
            "Do",
            any("type.googleapis.com/t.Other", b"\x0a\x01e"),
            &["t.Val/Do", "t.Other", "t.In"],
        ),
        ("t.Val", "Do", Any::default(), &["t.Val/Do", "\"\"", "t.In"]),
        ("t.Act", "Down", payload(), &["t.Act/Down", "streamed"]),
        ("t.Act", "Up", payload(), &["t.Act/Up", "streamed"]),
    ]
}

async fn reported(world: &World, words: &[&str]) {
    let report = world.fake.report().await;
    for word in words {
        assert!(report.contains(word), "{word}: {report}");
    }
}

#[tokio::test]
async fn what_may_not_be_forwarded_fails_and_is_reported_once() {
    let world = World::new().await;
    let wrong = wrong();
    let count = wrong.len();
    for (service, command, payload, words) in wrong {
        let asked = answered(&world, Some(forward(service, command, payload)), vec![]).await;
        asked.fails_with(Code::FailedPrecondition).await;
        reported(&world, words).await;
    }
    assert_eq!(world.fake.left()[1..], [0, 0]);
    assert_eq!(world.fake.streams(), count);
}

#[tokio::test]
async fn effects_that_may_not_be_fail_their_caller_when_it_waits() {
    let world = World::new().await;
    world.fake.fails_reports();
    for (service, command, payload, words) in wrong() {
        let effects = |synchronous| vec![effect(service, command, payload.clone(), synchronous)];
        let asked = answered(&world, Some(reply("ok")), effects(true)).await;
        asked.fails_with(Code::FailedPrecondition).await;
        reported(&world, words).await;
        let asked = answered(&world, Some(reply("ok")), effects(false)).await;
        asked.is("ok").await;
        reported(&world, words).await;
    }
    assert_eq!(world.fake.left()[1..], [0, 0]);
    assert_eq!(world.fake.streams(), 2 * wrong().len());
}

#[tokio::test]
async fn forwards_follow_each_other_and_the_last_one_answers() {
    let world = World::new().await;
    let asked = world.ask("Log/Do", "e", "x");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "x")).await;
    let to_action = forward("t.Act", "One", in_any("a", "on"));
    talk.says(es_out(emitting(es(1, to_action), &["a"])));
    let mut action = world.fake.actions().await;
    let metadata = Some(wire::cloudstate::Metadata::default());
    action
        .hears(act_command("One", Some(in_any("a", "on")), metadata))
        .await;
    action.says(response(Some(forward("t.Val", "Do", in_any("v", "effect")))));
    effected(&world, "v").await.says(ve_out(ve(1, reply("from far"))));
    asked.is("from far").await;
}

#[tokio::test]
async fn a_failure_behind_a_forward_is_the_answer() {
    let world = World::new().await;
    let asked = answered(
        &world,
        Some(forward("t.Val", "Do", in_any("v", "effect"))),
        vec![],
    )
    .await;
    effected(&world, "v").await.says(ve_out(ve(1, failing("no"))));
    asked.fails(Code::Unknown, "no").await;
}

#[tokio::test]
async fn a_forward_does_not_wait_for_effects_beside_it() {
    let world = World::new().await;
    let on_forward = forward("t.Log", "Do", in_any("f", "on"));
    let asked = answered(&world, Some(on_forward), vec![on("v", true)]).await;
    let mut forwarded = world.fake.events().await;
    forwarded.hears(init("f", None)).await;
    forwarded.hears(es_command(1, "f", "on")).await;
    forwarded.says(es_out(es(1, reply("ok"))));
    // The effect has had no answer.
    asked.is("ok").await;
    effected(&world, "v").await;
}

#[tokio::test]
async fn forwards_in_a_circle_end_with_a_report() {
    let world = World::new().await;
    let asked = world.ask("Act/One", "e", "x");
    for _ in 0..=limits::FORWARDS_MAX {
        let talk = world.fake.actions().await;
        talk.says(response(Some(forward("t.Act", "One", in_any("e", "x")))));
    }
    asked.fails_with(Code::FailedPrecondition).await;
    reported(&world, &["BLY0126", "16 times", "t.Act/One -> t.Act/One"]).await;
    assert_eq!(world.fake.left()[1..], [0, 0]);
    assert_eq!(world.fake.streams(), limits::FORWARDS_MAX + 1);
}

#[tokio::test]
async fn effects_in_a_circle_end_too() {
    let world = World::new().await;
    let asked = world.ask("Act/One", "e", "x");
    let again = || vec![effect("t.Act", "One", in_any("e", "x"), false)];
    for _ in 0..=limits::FORWARDS_MAX {
        let talk = world.fake.actions().await;
        let mut answer = response(Some(reply("ok")));
        answer.side_effects = again();
        talk.says(answer);
    }
    asked.is("ok").await;
    reported(&world, &["BLY0126"]).await;
    assert_eq!(world.fake.streams(), limits::FORWARDS_MAX + 1);
}

#[tokio::test]
async fn a_reply_of_another_type_is_delivered_and_reported() {
    let world = World::new().await;
    let strange = Any {
        type_url: "type.googleapis.com/t.Other".into(),
        ..out_any("delivered")
    };
    let asked = answered(&world, Some(reply_with(strange)), vec![]).await;
    asked.is("delivered").await;
    reported(&world, &["t.Act.One", "t.Other", "t.Out"]).await;
    assert_eq!(world.fake.left()[1..], [0, 0]);
}
