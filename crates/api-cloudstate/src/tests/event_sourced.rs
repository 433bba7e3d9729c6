//! What streams of event sourced entities carry, and what is stored of it.

use tonic::Code;
use wire::cloudstate::eventsourced::{EventSourcedReply, EventSourcedStreamOut};

use super::say::*;
use super::world::World;

#[tokio::test]
async fn a_command_is_an_init_and_a_command_and_nothing_else() {
    let world = World::new().await;
    assert_eq!(world.fake.streams(), 0);
    let mut talk = world.log("e").await;
    talk.ends();
    talk.hears_the_end().await;
    assert_eq!((talk.number, world.fake.streams()), (1, 1));
}

#[tokio::test]
async fn ids_count_from_1_and_one_is_outstanding_at_a_time() {
    let world = World::new().await;
    let mut asked = vec![];
    for waiting in 0..5 {
        asked.push(world.ask("Log/Do", "e", &(waiting + 1).to_string()));
        world.has_waiting(waiting).await;
    }
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    for (id, asked) in (1..=5).zip(asked) {
        let text = id.to_string();
        talk.hears(es_command(id, "e", &text)).await;
        talk.says(es_out(es(id, reply(&text))));
        asked.is(&text).await;
    }
    assert_eq!(world.fake.streams(), 1);
}

#[tokio::test]
async fn events_come_back_in_order_when_the_proxy_was_killed() {
    let mut world = World::new().await;
    let mut talk = world.log("e").await;
    for (id, events) in [(2, vec!["a", "b"]), (3, vec![]), (4, vec!["c"])] {
        let asked = world.ask("Log/Do", "e", "x");
        talk.hears(es_command(id, "e", "x")).await;
        talk.says(es_out(emitting(es(id, reply("ok")), &events)));
        asked.is("ok").await;
    }
    // Killed right after the answer: what it belongs to was stored before.
    world.restart().await;
    let asked = world.ask("Log/Do", "e", "again");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    for (sequence, text) in [(1, "a"), (2, "b"), (3, "c")] {
        talk.hears(event(sequence, kept(text))).await;
    }
    talk.hears(es_command(1, "e", "again")).await;
    talk.says(es_out(es(1, reply("ok"))));
    asked.is("ok").await;
}

#[tokio::test]
async fn a_snapshot_comes_in_the_init_with_the_events_behind_it() {
    let mut world = World::new().await;
    let mut talk = world.log("e").await;
    let replies = [
        snapshot(emitting(es(2, reply("ok")), &["a", "b"]), "ab"),
        emitting(es(3, reply("ok")), &["c"]),
        // Of a state that has not changed: it is not taken.
        snapshot(es(4, reply("ok")), "wrong"),
    ];
    for (id, reply) in (2..).zip(replies) {
        let asked = world.ask("Log/Do", "e", "x");
        talk.hears(es_command(id, "e", "x")).await;
        talk.says(es_out(reply));
        asked.is("ok").await;
    }
    world.restart().await;
    let _asked = world.ask("Log/Do", "e", "again");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", Some((2, kept("ab"))))).await;
    talk.hears(event(3, kept("c"))).await;
    talk.hears(es_command(1, "e", "again")).await;
}

#[tokio::test]
async fn events_of_a_failure_without_restart_are_stored() {
    let world = World::new().await;
    let mut talk = world.log("e").await;
    let asked = world.ask("Log/Do", "e", "x");
    talk.hears(es_command(2, "e", "x")).await;
    talk.says(es_out(emitting(es(2, failing("no")), &["a"])));
    asked.fails(Code::Unknown, "no").await;
    talk.ends();
    talk.hears_the_end().await;
    let _asked = world.ask("Log/Do", "e", "again");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(event(1, kept("a"))).await;
    talk.hears(es_command(1, "e", "again")).await;
}

#[tokio::test]
async fn a_failure_with_restart_replays_at_once_and_stores_nothing() {
    let world = World::new().await;
    let mut talk = world.log("e").await;
    let asked = world.ask("Log/Do", "e", "x");
    talk.hears(es_command(2, "e", "x")).await;
    talk.says(es_out(emitting(es(2, reply("ok")), &["a"])));
    asked.is("ok").await;
    let asked = world.ask("Log/Do", "e", "fails");
    let waiting = [world.ask("Log/Do", "e", "w1"), world.ask("Log/Do", "e", "w2")];
    talk.hears(es_command(3, "e", "fails")).await;
    world.has_waiting(2).await;
    talk.says(es_out(emitting(es(3, restarting("no")), &["lost"])));
    asked.fails(Code::Unknown, "no").await;
    talk.hears_the_end().await;
    // The next stream is not opened before this one is over.
    assert_eq!(world.fake.streams(), 1);
    talk.ends();
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(event(1, kept("a"))).await;
    for (id, asked) in (1..).zip(waiting) {
        talk.hears(es_command(id, "e", &format!("w{id}"))).await;
        talk.says(es_out(es(id, reply("ok"))));
        asked.is("ok").await;
    }
}

#[tokio::test]
async fn a_restart_needs_no_next_command() {
    let world = World::new().await;
    let mut talk = world.log("e").await;
    let asked = world.ask("Log/Do", "e", "fails");
    talk.hears(es_command(2, "e", "fails")).await;
    talk.says(es_out(es(2, restarting("no"))));
    asked.fails(Code::Unknown, "no").await;
    talk.hears_the_end().await;
    talk.ends();
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    let _asked = world.ask("Log/Do", "e", "next");
    talk.hears(es_command(1, "e", "next")).await;
}

#[tokio::test]
async fn a_failure_of_the_command_is_an_answer_in_the_old_dialect() {
    let world = World::of(old_spec()).await;
    let mut talk = world.log("e").await;
    let asked = world.ask("Log/Do", "e", "x");
    talk.hears(es_command(2, "e", "x")).await;
    talk.says(es_failure(2, "['bad quantity']"));
    asked.fails(Code::Unknown, "['bad quantity']").await;
    // The entity lives on.
    let asked = world.ask("Log/Do", "e", "y");
    talk.hears(es_command(3, "e", "y")).await;
    talk.says(es_out(es(3, reply("ok"))));
    asked.is("ok").await;
}

#[tokio::test]
async fn an_old_function_may_end_the_stream_behind_a_failure() {
    let world = World::of(old_spec()).await;
    let mut talk = world.log("e").await;
    let asked = world.ask("Log/Do", "e", "x");
    let waiting = world.ask("Log/Do", "e", "y");
    talk.hears(es_command(2, "e", "x")).await;
    talk.says(es_failure(2, "no"));
    talk.ends();
    asked.fails(Code::Unknown, "no").await;
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "y")).await;
    talk.says(es_out(es(1, reply("ok"))));
    waiting.is("ok").await;
}

/// What is said in answer to a command that others wait behind; then all of them fail, and the next one finds a new stream.
async fn crash(world: World, said: EventSourcedStreamOut, text: &str) {
    let mut talk = world.log("e").await;
    let asked = world.ask("Log/Do", "e", "x");
    let waiting = [world.ask("Log/Do", "e", "y"), world.ask("Log/Do", "e", "z")];
    talk.hears(es_command(2, "e", "x")).await;
    world.has_waiting(2).await;
    talk.says(said);
    asked.crashes(text).await;
    for waiting in waiting {
        waiting.crashes("Entity terminated").await;
    }
    talk.is_left().await;
    let _next = world.ask("Log/Do", "e", "next");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "next")).await;
}

#[tokio::test]
async fn a_failure_that_names_the_command_is_a_crash_in_the_new_dialect() {
    crash(
        World::new().await,
        es_failure(2, "no"),
        "Unexpected entity failure",
    )
    .await;
}

#[tokio::test]
async fn a_failure_of_no_command_is_a_crash() {
    for id in [0, 1, 3] {
        crash(
            World::new().await,
            es_failure(id, "no"),
            "Unexpected entity failure",
        )
        .await;
        let old = World::of(old_spec()).await;
        crash(old, es_failure(id, "no"), "Unexpected entity failure").await;
    }
}

#[tokio::test]
async fn a_reply_to_another_command_is_a_crash_and_stores_nothing() {
    for id in [0, 1, 3, -1] {
        let said = es_out(emitting(es(id, reply("no")), &["lost"]));
        crash(World::new().await, said, "Unexpected entity reply").await;
    }
}

#[tokio::test]
async fn an_empty_message_is_a_crash() {
    let said = EventSourcedStreamOut { message: None };
    crash(World::new().await, said, "Unexpected entity message").await;
}

#[tokio::test]
async fn an_unasked_message_ends_the_stream() {
    let world = World::new().await;
    let mut talk = world.log("e").await;
    talk.says(es_out(emitting(es(1, reply("again")), &["lost"])));
    talk.is_left().await;
    let _next = world.ask("Log/Do", "e", "next");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "next")).await;
}

#[tokio::test]
async fn a_reply_without_an_action_is_internal() {
    let world = World::new().await;
    let mut talk = world.log("e").await;
    let asked = world.ask("Log/Do", "e", "x");
    talk.hears(es_command(2, "e", "x")).await;
    talk.says(es_out(EventSourcedReply {
        command_id: 2,
        ..EventSourcedReply::default()
    }));
    let text = "t.Log/Do: the user function has answered with neither a reply nor a failure";
    asked.fails(Code::Internal, text).await;
}

#[tokio::test]
async fn a_stream_that_ends_under_a_command_fails_it() {
    let world = World::new().await;
    for breaks in [false, true] {
        let asked = world.ask("Log/Do", "e", "x");
        let waiting = world.ask("Log/Do", "e", "y");
        let mut talk = world.fake.events().await;
        talk.hears(init("e", None)).await;
        talk.hears(es_command(1, "e", "x")).await;
        world.has_waiting(1).await;
        match breaks {
            true => talk.resets(),
            false => talk.ends(),
        }
        asked.crashes("Unexpected entity termination").await;
        waiting.crashes("Entity terminated").await;
    }
    let mut talk = world.log("e").await;
    talk.ends();
    talk.hears_the_end().await;
}

#[tokio::test]
async fn a_function_that_hangs_is_given_up() {
    let fake = super::fake::Fake::new(new_spec()).await;
    let rules = crate::Rules {
        answer: std::time::Duration::from_millis(300),
        ..crate::Rules::default()
    };
    let world = World::with(fake, rules).await;
    let asked = world.ask("Log/Do", "e", "x");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    let status = asked.answer().await.expect_err("it is late");
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(status.message().contains("log/e"), "{status}");
    talk.hears(es_command(1, "e", "x")).await;
    talk.is_left().await;
}
