//! Cases of users, and whatever misbehaves beside those who do not.

use std::time::Duration;

use base::limits;
use prost::Message;
use prost_types::Any;
use tonic::Code;
use wire::cloudstate::Command;
use wire::cloudstate::eventsourced::{EventSourcedReply, EventSourcedStreamIn, event_sourced_stream_in};

use super::fake::{Events, Fake};
use super::say::*;
use super::world::World;

/// Types and bytes that mean nothing to the proxy.
fn payloads() -> Vec<Any> {
    // Field 99, a string; and zeros that no canonical encoding has.
    let unknown = b"\x08\x00\x9a\x06\x02hi";
    let mut all = vec![
        any("type.googleapis.com/x.Y", b"\x0a\x01a"),
        any("json.cloudstate.io/thing", b"\x0a\x0b{\"a\": [1 ]}"),
        any("p.cloudstate.io/string", b"\x0a\x02hi"),
        any("p.cloudstate.io/string", b""),
        any("p.cloudstate.io/int64", b"\x08\x00"),
        any("type.googleapis.com/google.protobuf.Empty", b""),
        any("", b""),
        any("", b"\xff\xff\xff"),
        any("type.googleapis.com/x.Unknown", unknown),
    ];
    all.extend((all.len()..12).map(|number| any("t/n", &[u8::try_from(number).expect("it is small")])));
    all
}

/// An activation that begins with the snapshot at 5 and the events behind it.
async fn finds(world: &World, payloads: &[Any]) -> Events {
    let asked = world.ask("Log/Do", "e", "again");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", Some((5, payloads[4].clone())))).await;
    for (sequence, payload) in (1..).zip(payloads).skip(5) {
        talk.hears(event(sequence, payload.clone())).await;
    }
    talk.hears(es_command(1, "e", "again")).await;
    talk.says(es_out(es(1, reply("ok"))));
    asked.is("ok").await;
    talk
}

#[tokio::test]
async fn c55_what_was_stored_comes_back_byte_for_byte() {
    let mut world = World::new().await;
    let mut talk = world.log("e").await;
    let payloads = payloads();
    assert_eq!(payloads.len(), 12);
    for (sequence, payload) in (1..).zip(&payloads) {
        let id = sequence + 1;
        let asked = world.ask("Log/Do", "e", "x");
        talk.hears(es_command(id, "e", "x")).await;
        talk.says(es_out(EventSourcedReply {
            events: vec![payload.clone()],
            snapshot: (sequence == 5).then(|| payload.clone()),
            ..es(id, reply("ok"))
        }));
        asked.is("ok").await;
    }
    talk.ends();
    talk.hears_the_end().await;
    world.is_quiet().await;
    finds(&world, &payloads).await;
    world.restart().await;
    finds(&world, &payloads).await;
    world.fake.die().await;
    world.waits().await;
    world.fake.come().await;
    world.served().await;
    world.restart().await;
    finds(&world, &payloads).await;
}

/// What a snapshot or a value may be, one by one.
#[tokio::test]
async fn c55_values_and_snapshots_come_back_byte_for_byte() {
    let mut world = World::new().await;
    for (number, payload) in payloads().into_iter().enumerate() {
        let id = format!("v{number}");
        let mut talk = world.val(&id).await;
        let asked = world.ask("Val/Do", &id, "x");
        talk.hears(ve_command(2, &id, "x")).await;
        talk.says(ve_out(updating(ve(2, reply("ok")), Some(payload.clone()))));
        asked.is("ok").await;
        let mut talk = world.log(&id).await;
        let asked = world.ask("Log/Do", &id, "x");
        talk.hears(es_command(2, &id, "x")).await;
        talk.says(es_out(EventSourcedReply {
            events: vec![payload.clone()],
            snapshot: Some(payload),
            ..es(2, reply("ok"))
        }));
        asked.is("ok").await;
    }
    world.restart().await;
    for (number, payload) in payloads().into_iter().enumerate() {
        let id = format!("v{number}");
        let _asked = world.ask("Val/Do", &id, "x");
        let mut talk = world.fake.values().await;
        talk.hears(ve_init(&id, Some(payload.clone()))).await;
        let _asked = world.ask("Log/Do", &id, "x");
        let mut talk = world.fake.events().await;
        talk.hears(init(&id, Some((1, payload)))).await;
        talk.hears(es_command(1, &id, "x")).await;
    }
}

#[tokio::test]
async fn c59_settings_of_discovery_hold_however_an_entity_is_activated() {
    let entities = vec![
        passivated_after(100, entity(EVENT_SOURCED, "Log", "log")),
        passivated_after(60_000, entity(VALUE, "Val", "val")),
        entity(ACTION, "Act", ""),
    ];
    let mut world = World::of(spec_of(PROTO, (0, 2), entities)).await;
    for round in 0..2 {
        let value = world.val(&format!("v{round}")).await;
        // By a command, by a forward, by an effect.
        for (way, id) in ["command", "forward", "effect"].into_iter().zip(["a", "b", "c"]) {
            let asked = match way {
                "command" => world.ask("Log/Do", id, "x"),
                _ => world.ask("Act/One", "e", "x"),
            };
            if way != "command" {
                let on = in_any(id, "x");
                let talk = world.fake.actions().await;
                let mut answer = response(Some(match way {
                    "forward" => forward("t.Log", "Do", on.clone()),
                    _ => reply("ok"),
                }));
                if way == "effect" {
                    answer.side_effects = vec![effect("t.Log", "Do", on, true)];
                }
                talk.says(answer);
            }
            let mut talk = world.fake.events().await;
            talk.hears(init(id, None)).await;
            talk.hears(es_command(1, id, "x")).await;
            talk.says(es_out(es(1, reply("ok"))));
            asked.is("ok").await;
            talk.hears_the_end().await;
            talk.ends();
        }
        // The other kind has much longer.
        super::world::becomes(|| world.active() == 1).await;
        drop(value);
        world.restart().await;
    }
}

#[tokio::test]
async fn c59_what_is_kept_belongs_to_its_persistence_id() {
    let mut world = World::new().await;
    let mut talk = world.val("e").await;
    let asked = world.ask("Val/Do", "e", "x");
    talk.hears(ve_command(2, "e", "x")).await;
    talk.says(ve_out(updating(ve(2, reply("ok")), Some(kept("a")))));
    asked.is("ok").await;
    for (persistence_id, expected) in [("other", None), ("val", Some(kept("a")))] {
        let entities = vec![entity(VALUE, "Val", persistence_id)];
        world.fake.says_it_is(Ok(spec_of(PROTO, (0, 2), entities)));
        world.restart().await;
        let _asked = world.ask("Val/Do", "e", "x");
        let mut talk = world.fake.values().await;
        talk.hears(ve_init("e", expected)).await;
    }
}

#[tokio::test]
async fn ids_are_any_text_and_none_is_another_one() {
    let mut world = World::new().await;
    let ids = [
        "a", "a/b", "a b", "a%2Fb", "a+b", "..", "\0", "a\nb", "\u{e9}", "e\u{301}", "-", "A",
    ];
    for id in ids {
        let mut talk = world.val(id).await;
        let asked = world.ask("Val/Do", id, "x");
        talk.hears(ve_command(2, id, "x")).await;
        talk.says(ve_out(updating(ve(2, reply("ok")), Some(kept(id)))));
        asked.is("ok").await;
    }
    world.restart().await;
    for id in ids {
        let _asked = world.ask("Val/Do", id, "x");
        let mut talk = world.fake.values().await;
        talk.hears(ve_init(id, Some(kept(id)))).await;
        talk.hears(ve_command(1, id, "x")).await;
    }
}

/// Does what it is told until its stream ends.
async fn obey(mut talk: Events) {
    while let Some(Ok(EventSourcedStreamIn { message })) = talk.next().await {
        let Some(event_sourced_stream_in::Message::Command(command)) = message else {
            continue;
        };
        let Command { id, payload, .. } = command;
        let said = In::decode(payload.unwrap_or_default().value.as_slice()).expect("an input");
        match said.text.as_str() {
            "end before" => return talk.ends(),
            "reset" => return talk.resets(),
            "reply and end" => {
                talk.says(es_out(es(id, reply("last"))));
                return talk.ends();
            }
            "say more" => {
                talk.says(es_out(es(id, reply("first"))));
                talk.says(es_out(es(id, reply("more"))));
                talk.ends();
                return talk.is_left().await;
            }
            text => talk.says(es_out(es(id, reply(text)))),
        }
    }
}

#[tokio::test]
async fn c61_one_that_misbehaves_harms_none_of_fifty() {
    let world = World::new().await;
    let fake = world.fake.clone();
    let played = base::task::spawn("function", async move {
        loop {
            let talk = fake.events().await;
            drop(base::task::spawn("entity", obey(talk)));
        }
    });
    for order in ["reply and end", "end before", "reset", "say more"] {
        let others: Vec<_> = (0..49)
            .map(|number| world.ask("Log/Do", &format!("e{number}"), "ok"))
            .collect();
        let one = world.ask("Log/Do", "one", order);
        match order {
            "reply and end" => one.is("last").await,
            "say more" => one.is("first").await,
            _ => one.crashes("Unexpected entity termination").await,
        }
        for other in others {
            other.is("ok").await;
        }
        becomes_itself(&world).await;
    }
    // None of the others had more than one stream: the one had several.
    let streams = world.fake.streams();
    assert!((49 + 4..=49 + 16).contains(&streams), "{streams}");
    played.abort();
}

/// It works again; whether the first command still meets the end of the old stream is a matter of time.
async fn becomes_itself(world: &World) {
    for _ in 0..3 {
        match world.ask("Log/Do", "one", "ok").answer().await {
            Ok(_) => return,
            Err(status) => assert!(
                ["Entity terminated", "Unexpected entity termination"].contains(&status.message())
                    || status.message().starts_with("Unexpected entity"),
                "{status}"
            ),
        }
    }
    panic!("it does not work any more");
}

#[tokio::test]
async fn c63_repeated_query_parameters_are_the_message_that_grpc_has() {
    let proto = r#"message Sub { int32 x = 1; }
        message In { repeated string tag = 1; repeated int64 n = 2; Sub sub = 3; } message Out { string text = 1; }
        service S { rpc One(In) returns (Out) { option (google.api.http) = { get: "/q" }; } }"#;
    let world = World::of(spec_of(proto, (0, 2), vec![entity(ACTION, "S", "")])).await;
    for (query, expected) in [
        (
            "tag=a&tag=b&n=1&n=2&sub.x=7",
            &b"\x0a\x01a\x0a\x01b\x12\x02\x01\x02\x1a\x02\x08\x07"[..],
        ),
        ("tag=&tag=a%2Cb", b"\x0a\x00\x0a\x03a,b"),
    ] {
        let door = world.door();
        let asking = base::task::spawn("client", async move { door.get(&format!("/q?{query}")).await });
        let mut talk = world.fake.actions().await;
        let heard = talk.next().await.expect("a command").expect("a command");
        assert_eq!(heard.payload, Some(any("type.googleapis.com/t.In", expected)));
        talk.says(response(Some(reply("ok"))));
        asking.await.expect("no panic").is(200, r#"{"text":"ok"}"#);
    }
}

#[tokio::test]
async fn c65_paths_that_look_alike_lead_to_their_own_methods() {
    let proto = r#"message In { string id = 1; string p = 2; } message Out { string text = 1; }
        service S {
          rpc Get(In) returns (Out) { option (google.api.http) = { get: "/v1/items/{id}" }; }
          rpc Restock(In) returns (Out) { option (google.api.http) = { post: "/v1/items/{id}:restock" body: "*" }; }
          rpc Part(In) returns (Out) { option (google.api.http) = { get: "/v1/items/{id}/parts/{p}" }; }
          rpc Put(In) returns (Out) { option (google.api.http) = { post: "/v1/items" body: "*" }; }
        }"#;
    let world = World::of(spec_of(proto, (0, 2), vec![entity(ACTION, "S", "")])).await;
    let json = "application/json; charset=utf-8";
    for (line, name, expected) in [
        ("GET /v1/items/a", "Get", ("a", "")),
        ("GET /v1/items/a%2Fb", "Get", ("a/b", "")),
        ("GET /v1/items/", "Get", ("", "")),
        ("POST /v1/items/a:restock", "Restock", ("a", "")),
        ("GET /v1/items/a/parts/7", "Part", ("a", "7")),
        ("POST /v1/items", "Put", ("", "")),
    ] {
        let door = world.door();
        let asking = base::task::spawn("client", async move {
            door.http(line, &[("content-type", json)], "{}").await
        });
        let mut talk = world.fake.actions().await;
        let heard = talk.next().await.expect("a command").expect("a command");
        let payload = heard.payload.unwrap_or_default().value;
        let found = In::decode(payload.as_slice()).expect("an input");
        assert_eq!(
            (heard.name.as_str(), found),
            (name, input(expected.0, expected.1)),
            "{line}"
        );
        talk.says(response(Some(reply("ok"))));
        asking.await.expect("no panic").is(200, r#"{"text":"ok"}"#);
    }
    let before = world.fake.streams();
    for (line, kind, status) in [
        ("POST /v1/items/a", json, 405),
        ("GET /v1/items/a:restock", json, 405),
        ("DELETE /v1/items", json, 405),
        ("GET /v1/items/a/", json, 404),
        ("POST /v1/items/", json, 405),
        ("GET /v1/items/a/parts", json, 404),
        ("POST /v1/items", "", 400),
        ("POST /v1/items", "text/json", 400),
    ] {
        let headers = [("content-type", kind)];
        let headers = headers.get(usize::from(kind.is_empty())..).unwrap_or_default();
        let answer = world.door().http(line, headers, "{}").await;
        assert_eq!(answer.status.as_u16(), status, "{line}");
    }
    assert_eq!(world.fake.streams(), before);
}

#[tokio::test]
async fn a_full_queue_is_told_at_once() {
    let world = World::new().await;
    let first = world.ask("Log/Do", "e", "first");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "first")).await;
    let mut waiting = vec![];
    for _ in 0..limits::ENTITY_COMMANDS_WAITING_MAX {
        waiting.push(world.ask("Log/Do", "e", "x"));
    }
    world.has_waiting(limits::ENTITY_COMMANDS_WAITING_MAX).await;
    let status = world.ask("Log/Do", "e", "y").answer().await.expect_err("full");
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("log/e"), "{status}");
    talk.says(es_out(es(1, reply("ok"))));
    first.is("ok").await;
    for (id, asked) in (2..).zip(waiting) {
        talk.hears(es_command(id, "e", "x")).await;
        talk.says(es_out(es(id, reply("ok"))));
        asked.is("ok").await;
    }
}

/// Python serves ten at once, of entities and of `discover`.
#[tokio::test]
async fn entities_with_a_lot_to_do_give_others_their_turn() {
    let fake = Fake::narrow(new_spec(), 2).await;
    let world = World::with(fake, crate::Rules::default()).await;
    let fake = world.fake.clone();
    let played = base::task::spawn("function", async move {
        loop {
            let talk = fake.events().await;
            drop(base::task::spawn("entity", obey(talk)));
        }
    });
    let mut busy = vec![];
    for number in 0..2 {
        let door = world.door();
        busy.push(base::task::spawn("client", async move {
            loop {
                let asked = door.unary("Log/Do", input(&format!("busy{number}"), "ok")).await;
                asked.expect("an answer");
            }
        }));
    }
    super::world::becomes(|| world.fake.streams() >= 2).await;
    let others: Vec<_> = (0..5)
        .map(|number| world.ask("Log/Do", &format!("e{number}"), "ok"))
        .collect();
    for other in others {
        other.is("ok").await;
    }
    for busy in busy {
        assert!(!busy.is_finished());
        busy.abort();
    }
    played.abort();
}

/// The end of a stream stands between its answers and whoever comes next.
#[tokio::test]
async fn a_stream_that_ends_behind_each_answer_works() {
    let world = World::new().await;
    for number in 0..20 {
        let asked = world.ask("Log/Do", "e", "x");
        let mut talk = world.fake.events().await;
        talk.hears(init("e", None)).await;
        talk.hears(es_command(1, "e", "x")).await;
        talk.says(es_out(es(1, reply(&number.to_string()))));
        talk.ends();
        asked.is(&number.to_string()).await;
        world.is_quiet().await;
    }
}

/// Replies of other entities are not mixed up, in whatever order they come.
#[tokio::test]
async fn entities_answer_in_any_order() {
    let world = World::new().await;
    let mut open = vec![];
    for number in 0..10 {
        let id = number.to_string();
        let asked = world.ask("Log/Do", &id, "x");
        let mut talk = world.fake.events().await;
        talk.hears(init(&id, None)).await;
        talk.hears(es_command(1, &id, "x")).await;
        open.push((id, asked, talk));
    }
    for (id, asked, talk) in open.into_iter().rev() {
        talk.says(es_out(es(1, reply(&id))));
        asked.is(&id).await;
    }
}

/// A connection that says nothing for long is none that is cut: only its keep-alive speaks.
#[tokio::test]
async fn silence_under_a_command_is_borne() {
    let world = World::new().await;
    let asked = world.ask("Log/Do", "e", "x");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "x")).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    talk.says(es_out(es(1, reply("ok"))));
    asked.is("ok").await;
}
