//! What is asked when, what is served, and what is refused.

use std::time::Duration;

use tonic::{Code, Status};
use wire::cloudstate::{EntitySpec, ProxyInfo};

use super::fake::Fake;
use super::say::*;
use super::world::{World, becomes};
use crate::Rules;

#[tokio::test]
async fn a_function_is_asked_once_and_told_who_asks() {
    let fake = Fake::new(new_spec()).await;
    let mut world = World::unserved(fake, Rules::default()).await;
    let (services, library) = world.served().await;
    assert_eq!(services, ["t.Log", "t.Val", "t.Act"]);
    assert_eq!(library, "fake 1");
    let expected = ProxyInfo {
        protocol_major_version: 0,
        protocol_minor_version: 2,
        proxy_name: "belay".into(),
        proxy_version: env!("CARGO_PKG_VERSION").into(),
        supported_entity_types: [ACTION, EVENT_SOURCED, VALUE, FUNCTION].map(str::to_owned).into(),
    };
    assert_eq!(world.fake.discovered().await, expected);
    let _talk = world.log("e").await;
    assert_eq!(world.fake.left(), [0, 0, 0]);
}

#[tokio::test]
async fn no_stream_is_opened_before_a_command() {
    let world = World::new().await;
    world.door().get("/nothing").await;
    assert_eq!(world.fake.streams(), 0);
}

#[tokio::test]
async fn a_function_that_is_not_there_is_waited_for() {
    let fake = Fake::absent(new_spec()).await;
    let mut world = World::unserved(fake, Rules::default()).await;
    for _ in 0..2 {
        let why = world.waits().await;
        assert!(why.contains("cannot be reached"), "{why}");
    }
    world
        .ask("Log/Do", "e", "x")
        .fails_with(Code::Unimplemented)
        .await;
    world.fake.come().await;
    world.served().await;
    assert_eq!(world.fake.left(), [1, 0, 0]);
}

#[tokio::test]
async fn a_function_that_does_not_say_what_it_is_is_asked_again() {
    let fake = Fake::new(new_spec()).await;
    fake.says_it_is(Err(Status::unavailable("not yet")));
    let mut world = World::unserved(fake, Rules::default()).await;
    let why = world.waits().await;
    assert!(why.contains("Unavailable: not yet"), "{why}");
    world.fake.discovered().await;
    world.fake.says_it_is(Ok(new_spec()));
    world.served().await;
    // It is no error of the function's that has to be told.
    assert_eq!(world.fake.left()[1..], [0, 0]);
}

#[tokio::test]
async fn versions_that_are_served() {
    for version in [(0, 0), (0, 1), (0, 2)] {
        let world = World::of(spec_of(PROTO, version, vec![entity(ACTION, "Act", "")])).await;
        assert_eq!(world.fake.left(), [1, 0, 0]);
    }
    // No word of it at all.
    let silent = EntitySpec {
        service_info: None,
        ..old_spec()
    };
    World::of(silent).await;
}

/// One report with all of these words, and nothing else, until the function is another one.
async fn refused(spec: EntitySpec, words: &[&str]) {
    refused_by(Fake::new(spec).await, words).await;
}

async fn refused_by(fake: Fake, words: &[&str]) {
    let mut world = World::unserved(fake, Rules::default()).await;
    let report = world.fake.report().await;
    for word in words {
        assert!(report.contains(word), "{word}: {report}");
    }
    assert!(report.starts_with("BLY0125: "), "{report}");
    assert_eq!(format!("Waits({report:?})"), format!("{:?}", world.told().await));
    world.door().get("/nothing").await;
    world.fake.says_it_is(Ok(new_spec()));
    world.fake.die().await;
    world.fake.come().await;
    world.served().await;
    assert_eq!(world.fake.left(), [2, 0, 0], "{report}");
}

async fn refused_entities(proto: &str, entities: &[(&str, &str, &str)], words: &[&str]) {
    let entities = entities
        .iter()
        .map(|(kind, service, id)| entity(kind, service, id));
    refused(spec_of(proto, (0, 2), entities.collect()), words).await;
}

#[tokio::test]
async fn other_versions_are_refused() {
    for version in [(0, 3), (1, 0), (1, 2), (-1, 0)] {
        let spec = spec_of(PROTO, version, vec![entity(ACTION, "Act", "")]);
        let said = format!("version {}.{} of the protocol", version.0, version.1);
        refused(spec, &[&said]).await;
    }
}

#[tokio::test]
async fn descriptors_that_are_none_are_refused() {
    let spec = EntitySpec {
        proto: bytes::Bytes::from_static(b"\x0a\xffnonsense"),
        ..new_spec()
    };
    refused(spec, &["descriptor"]).await;
}

#[tokio::test]
async fn nothing_to_serve_is_refused() {
    refused_entities(PROTO, &[], &["no entity or action"]).await;
}

#[tokio::test]
async fn services_that_are_not_described_are_refused() {
    refused_entities(PROTO, &[(ACTION, "Nobody", "")], &["t.Nobody", "descriptors"]).await;
    let mut bare = entity(ACTION, "Act", "");
    bare.service_name = "Act".into();
    refused(spec_of(PROTO, (0, 2), vec![bare]), &["service Act ", "package"]).await;
}

#[tokio::test]
async fn kinds_that_are_not_served_are_refused() {
    let kind = "cloudstate.nothing.Nothing";
    refused_entities(
        PROTO,
        &[(kind, "Log", "log")],
        &["t.Log", kind, EVENT_SOURCED, VALUE],
    )
    .await;
}

#[tokio::test]
async fn streams_of_entities_are_refused() {
    for kind in [EVENT_SOURCED, VALUE] {
        for signature in ["(stream In) returns (Out)", "(In) returns (stream Out)"] {
            let proto = format!(
                "message In {{ string id = 1 [(cloudstate.entity_key) = true]; }} message Out {{}} service S {{ rpc Bad{signature}; }}"
            );
            refused_entities(&proto, &[(kind, "S", "s")], &["t.S.Bad", "streams"]).await;
        }
    }
}

#[tokio::test]
async fn methods_without_a_key_are_refused() {
    for kind in [EVENT_SOURCED, VALUE] {
        let proto = "message In { string id = 1; } service S { rpc Bad(In) returns (In); }";
        refused_entities(proto, &[(kind, "S", "s")], &["t.S.Bad", "key"]).await;
    }
    let proto = "message In { double id = 1 [(cloudstate.entity_key) = true]; } service S { rpc Bad(In) returns (In); }";
    refused_entities(proto, &[(VALUE, "S", "s")], &["t.S.Bad", "id"]).await;
}

#[tokio::test]
async fn rules_of_http_that_are_wrong_are_refused() {
    let proto = r#"message In { string id = 1; }
        service S { rpc Bad(In) returns (In) { option (google.api.http) = { get: "/{nobody}" }; } }"#;
    refused_entities(proto, &[(ACTION, "S", "")], &["t.S.Bad", "nobody"]).await;
}

#[tokio::test]
async fn the_same_service_twice_is_refused() {
    refused_entities(
        PROTO,
        &[(ACTION, "Act", ""), (ACTION, "Act", "")],
        &["t.Act", "twice"],
    )
    .await;
}

#[tokio::test]
async fn persistence_ids_that_are_shared_or_too_long_are_refused() {
    let both = [(EVENT_SOURCED, "Log", "entity"), (VALUE, "Val", "entity")];
    refused_entities(PROTO, &both, &["t.Log", "t.Val", "\"entity\""]).await;
    let long = "x".repeat(256);
    refused_entities(PROTO, &[(VALUE, "Val", &long)], &["t.Val", "255"]).await;
}

#[tokio::test]
async fn shared_persistence_ids_may_be_allowed() {
    let entities = vec![
        entity(EVENT_SOURCED, "Log", "entity"),
        entity(EVENT_SOURCED, "Hidden", "entity"),
    ];
    let fake = Fake::new(spec_of(PROTO, (0, 0), entities)).await;
    let rules = Rules {
        shared_persistence_ids: true,
        ..Rules::default()
    };
    World::with(fake, rules).await;
}

#[tokio::test]
async fn a_report_that_fails_is_not_reported() {
    let spec = spec_of(PROTO, (9, 9), vec![]);
    let fake = Fake::new(spec).await;
    fake.fails_reports();
    refused_by(fake, &["9.9"]).await;
}

#[tokio::test]
async fn only_what_is_listed_is_served() {
    let world = World::new().await;
    let hidden = world.ask("Hidden/Do", "e", "x");
    hidden.fails_with(Code::Unimplemented).await;
    let json = [("content-type", "application/json")];
    let answer = world.door().http("POST /t.Hidden/Do", &json, "{}").await;
    let text = "nothing is served at /t.Hidden/Do; served are t.Log, t.Val, t.Act";
    answer.is(404, text);
    assert_eq!(world.fake.streams(), 0);
}

#[tokio::test]
async fn a_function_that_comes_back_is_asked_again_and_served_as_what_it_is_now() {
    let mut world = World::new().await;
    world.fake.discovered().await;
    world.fake.die().await;
    assert!(world.waits().await.contains("ended"));
    let asked = world.ask("Log/Do", "e", "x");
    asked.fails_with(Code::Unavailable).await;
    let entities = vec![entity(ACTION, "Hidden", "")];
    world.fake.says_it_is(Ok(spec_of(PROTO, (0, 2), entities)));
    world.fake.come().await;
    assert_eq!(world.served().await.0, ["t.Hidden"]);
    let gone = world.ask("Log/Do", "e", "x");
    gone.fails_with(Code::Unimplemented).await;
    let asked = world.ask("Hidden/Do", "e", "x");
    let talk = world.fake.actions().await;
    talk.says(response(Some(reply("here"))));
    asked.is("here").await;
    assert_eq!(world.fake.left(), [1, 0, 0]);
}

#[tokio::test]
async fn what_it_was_is_served_while_a_new_one_is_refused() {
    let mut world = World::new().await;
    world.fake.says_it_is(Ok(spec_of(PROTO, (0, 2), vec![])));
    world.fake.die().await;
    world.fake.come().await;
    world.fake.report().await;
    let _talk = world.log("e").await;
    world.fake.says_it_is(Ok(new_spec()));
    world.fake.die().await;
    world.fake.come().await;
    world.served().await;
}

#[tokio::test]
async fn the_same_function_again_is_only_asked() {
    let mut world = World::new().await;
    for _ in 0..3 {
        world.fake.discovered().await;
        world.fake.die().await;
        world.fake.come().await;
        world.served().await;
    }
    let _talk = world.log("e").await;
    assert_eq!(world.fake.left(), [1, 0, 0]);
}

#[tokio::test]
async fn what_it_says_when_it_comes_back_holds_for_entities_that_were_active() {
    let mut world = World::new().await;
    let _talk = world.log("e").await;
    let entities = vec![passivated_after(100, entity(EVENT_SOURCED, "Log", "log"))];
    world.fake.says_it_is(Ok(spec_of(PROTO, (0, 2), entities)));
    world.fake.die().await;
    world.fake.come().await;
    world.served().await;
    let asked = world.ask("Log/Do", "e", "x");
    let mut talk = world.fake.events().await;
    talk.hears(init("e", None)).await;
    talk.hears(es_command(1, "e", "x")).await;
    talk.says(es_out(es(1, reply("ok"))));
    asked.is("ok").await;
    talk.hears_the_end().await;
    talk.ends();
    let quiet = becomes(|| world.active() == 0);
    tokio::time::timeout(Duration::from_secs(20), quiet)
        .await
        .expect("passivated");
}
