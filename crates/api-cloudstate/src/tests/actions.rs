//! Calls without state, in both dialects: exactly what the function is told, and what its answers become.

use axum::body::Body;
use bytes::Bytes;
use tokio::sync::mpsc;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;
use wire::cloudstate::action::ActionCommand;
use wire::cloudstate::{EntitySpec, Metadata};

use super::fake::PATIENCE;
use super::say::*;
use super::world::{Door, World, becomes, path};

#[derive(Clone, Copy, PartialEq)]
enum Dialect {
    L,
    N,
}

use Dialect::{L, N};

impl Dialect {
    fn spec(self) -> EntitySpec {
        match self {
            L => old_spec(),
            N => new_spec(),
        }
    }

    fn path(self, call: &str) -> String {
        let dialect = match self {
            L => 'L',
            N => 'N',
        };
        format!("{dialect} {call}")
    }

    /// A command that is one message.
    fn whole(self, name: &str, text: &str, metadata: &[(&str, &str)]) -> ActionCommand {
        let entries = metadata.iter().map(|(key, value)| entry(key, value));
        let metadata = Metadata {
            entries: entries.collect(),
        };
        act_command(name, Some(in_any("e", text)), (self == N).then_some(metadata))
    }
}

#[tokio::test]
async fn a_unary_call_is_one_command() {
    for dialect in [L, N] {
        let world = World::of(dialect.spec()).await;
        let asked = world.ask("Act/One", "e", "x");
        let mut talk = world.fake.actions().await;
        assert_eq!(talk.path, dialect.path("unary"));
        talk.hears(dialect.whole("One", "x", &[])).await;
        talk.hears_the_end().await;
        talk.says(response(Some(reply("ok"))));
        asked.is("ok").await;
    }
}

#[tokio::test]
async fn headers_are_metadata_of_new_commands_and_of_no_old_ones() {
    for dialect in [L, N] {
        let world = World::of(dialect.spec()).await;
        let door = world.door();
        let asking = base::task::spawn("client", async move {
            let mut request = tonic::Request::new(input("e", "x"));
            request
                .metadata_mut()
                .insert("x-user", "me".parse().expect("a value"));
            door.unary_with("Act/One", request).await
        });
        let mut talk = world.fake.actions().await;
        talk.hears(dialect.whole("One", "x", &[("x-user", "me")])).await;
        talk.says(response(Some(reply("ok"))));
        asking.await.expect("no panic").expect("an answer");
    }
}

#[tokio::test]
async fn metadata_of_replies_are_headers() {
    let world = World::new().await;
    let asking = {
        let door = world.door();
        base::task::spawn("client", async move {
            door.unary_with("Act/One", tonic::Request::new(input("e", "x")))
                .await
        })
    };
    let talk = world.fake.actions().await;
    let mut answer = reply("ok");
    if let wire::cloudstate::client_action::Action::Reply(reply) = &mut answer {
        reply.metadata = Some(Metadata {
            entries: vec![entry("x-a", "1"), entry("x-a", "2"), entry("grpc-status", "5")],
        });
    }
    talk.says(response(Some(answer)));
    let answer = asking.await.expect("no panic").expect("an answer");
    let values: Vec<_> = answer.metadata().get_all("x-a").iter().collect();
    assert_eq!(values, ["1", "2"]);
}

#[tokio::test]
async fn failures_statuses_and_nothing_at_all() {
    let world = World::new().await;
    let asked = world.ask("Act/One", "e", "x");
    let talk = world.fake.actions().await;
    talk.says(response(Some(failing("no"))));
    asked.fails(Code::Unknown, "no").await;
    let asked = world.ask("Act/One", "e", "x");
    let mut talk = world.fake.actions().await;
    talk.fails(Status::resource_exhausted("full"));
    asked.fails(Code::ResourceExhausted, "full").await;
    let asked = world.ask("Act/One", "e", "x");
    let talk = world.fake.actions().await;
    talk.says(response(None));
    let text = "t.Act/One: the user function has answered with neither a reply nor a failure";
    asked.fails(Code::Internal, text).await;
}

#[tokio::test]
async fn a_function_that_is_gone_is_unavailable() {
    let mut world = World::new().await;
    world.fake.die().await;
    world.waits().await;
    let asked = world.ask("Act/One", "e", "x");
    asked.fails_with(Code::Unavailable).await;
}

/// What goes into a call that takes several requests, and its answers.
struct Open {
    say: Option<mpsc::Sender<In>>,
    answers: tokio::task::JoinHandle<Result<Streaming<Out>, Status>>,
}

fn open(door: &Door, method: &'static str) -> Open {
    let (say, said) = mpsc::channel(16);
    let door = door.clone();
    let answers = base::task::spawn("client", async move {
        let answers = door.streamed(method, said).await;
        answers.map(tonic::Response::into_inner)
    });
    let say = Some(say);
    Open { say, answers }
}

impl Open {
    async fn says(&self, text: &str) {
        let say = self.say.as_ref().expect("it goes on");
        say.send(input("e", text)).await.expect("somebody listens");
    }

    async fn answers(self) -> Streaming<Out> {
        let answers = tokio::time::timeout(PATIENCE, self.answers).await;
        answers.expect("in time").expect("no panic").expect("answers")
    }
}

async fn hears(answers: &mut Streaming<Out>, expected: Option<&str>) {
    let answer = tokio::time::timeout(PATIENCE, answers.message()).await;
    let answer = answer.expect("in time").expect("no failure");
    assert_eq!(answer.map(|out| out.text).as_deref(), expected);
}

async fn fails(answers: &mut Streaming<Out>, code: Code, message: &str) {
    let answer = tokio::time::timeout(PATIENCE, answers.message()).await;
    let status = answer.expect("in time").expect_err("a failure");
    assert_eq!((status.code(), status.message()), (code, message));
}

/// The first messages of a stream of requests.
fn expected(dialect: Dialect, name: &str, texts: &[&str]) -> Vec<ActionCommand> {
    match dialect {
        L => texts.iter().map(|text| L.whole(name, text, &[])).collect(),
        N => {
            let opening = act_command(name, None, Some(Metadata::default()));
            let later = texts.iter().map(|text| ActionCommand {
                payload: Some(in_any("e", text)),
                metadata: Some(Metadata::default()),
                ..ActionCommand::default()
            });
            [opening].into_iter().chain(later).collect()
        }
    }
}

#[tokio::test]
async fn requests_in_a_stream_follow_an_opening_or_repeat_the_names() {
    for dialect in [L, N] {
        let world = World::of(dialect.spec()).await;
        let mut client = open(&world.door(), "Act/Up");
        client.says("a").await;
        client.says("b").await;
        let mut talk = world.fake.actions().await;
        assert_eq!(talk.path, dialect.path("streamed in"));
        for command in expected(dialect, "Up", &["a", "b"]) {
            talk.hears(command).await;
        }
        client.say = None;
        talk.hears_the_end().await;
        talk.says(response(Some(reply("ok"))));
        let mut answers = client.answers().await;
        hears(&mut answers, Some("ok")).await;
        hears(&mut answers, None).await;
    }
}

#[tokio::test]
async fn a_stream_of_answers_is_passed_on_in_order() {
    for dialect in [L, N] {
        let world = World::of(dialect.spec()).await;
        let mut client = open(&world.door(), "Act/Down");
        client.says("x").await;
        client.say = None;
        let mut talk = world.fake.actions().await;
        assert_eq!(talk.path, dialect.path("streamed out"));
        talk.hears(dialect.whole("Down", "x", &[])).await;
        // One without an action is nothing to clients.
        for action in [Some(reply("a")), None, Some(reply("b"))] {
            talk.says(response(action));
        }
        talk.ends();
        let mut answers = client.answers().await;
        for text in [Some("a"), Some("b"), None] {
            hears(&mut answers, text).await;
        }
    }
}

#[tokio::test]
async fn both_sides_of_a_stream_end_by_themselves() {
    for dialect in [L, N] {
        let world = World::of(dialect.spec()).await;
        let mut client = open(&world.door(), "Act/Both");
        client.says("a").await;
        let mut talk = world.fake.actions().await;
        assert_eq!(talk.path, dialect.path("streamed"));
        let mut commands = expected(dialect, "Both", &["a", "b"]);
        let last = commands.pop().expect("the second");
        for command in commands {
            talk.hears(command).await;
        }
        talk.says(response(Some(reply("1"))));
        client.says("b").await;
        talk.hears(last).await;
        client.say = None;
        talk.hears_the_end().await;
        talk.says(response(Some(reply("2"))));
        talk.ends();
        let mut answers = client.answers().await;
        for text in [Some("1"), Some("2"), None] {
            hears(&mut answers, text).await;
        }
    }
}

#[tokio::test]
async fn a_failure_ends_a_stream() {
    for method in ["Act/Down", "Act/Both"] {
        let world = World::new().await;
        let mut client = open(&world.door(), method);
        client.says("x").await;
        if method == "Act/Down" {
            client.say = None;
        }
        let talk = world.fake.actions().await;
        talk.says(response(Some(reply("a"))));
        talk.says(response(Some(failing("no"))));
        talk.says(response(Some(reply("too late"))));
        let mut answers = client.answers().await;
        hears(&mut answers, Some("a")).await;
        fails(&mut answers, Code::Unknown, "no").await;
        talk.is_cancelled().await;
    }
}

#[tokio::test]
async fn statuses_of_streams_are_passed_on() {
    let world = World::new().await;
    let client = open(&world.door(), "Act/Both");
    client.says("x").await;
    let mut talk = world.fake.actions().await;
    talk.says(response(Some(reply("a"))));
    talk.fails(Status::data_loss("gone"));
    let mut answers = client.answers().await;
    hears(&mut answers, Some("a")).await;
    fails(&mut answers, Code::DataLoss, "gone").await;
}

#[tokio::test]
async fn clients_that_go_away_cancel_their_calls() {
    let world = World::new().await;
    let asked = world.ask("Act/One", "e", "x");
    let talk = world.fake.actions().await;
    world.drops(asked).await;
    talk.is_cancelled().await;
    for method in ["Act/Up", "Act/Down", "Act/Both"] {
        let mut client = open(&world.door(), method);
        client.says("x").await;
        if method == "Act/Down" {
            client.say = None;
        }
        let mut talk = world.fake.actions().await;
        if method == "Act/Both" {
            // Its answers have begun.
            talk.says(response(Some(reply("a"))));
            let mut answers = client.answers().await;
            hears(&mut answers, Some("a")).await;
            drop(answers);
        } else {
            client.answers.abort();
        }
        talk.is_cancelled().await;
        if method != "Act/Down" {
            while let Some(Ok(_)) = talk.next().await {}
        }
    }
}

/// A function must not take half of a stream for all of it.
#[tokio::test]
async fn a_stream_of_requests_that_breaks_is_no_end_of_it() {
    let world = World::new().await;
    let payload = prost::Message::encode_to_vec(&input("e", "a"));
    let length = u8::try_from(payload.len()).expect("it is short");
    let frame = [&[0, 0, 0, 0, length], payload.as_slice()].concat();
    let (pieces, body) = mpsc::channel::<Result<Bytes, std::io::Error>>(4);
    let body = Body::from_stream(tokio_stream::wrappers::ReceiverStream::new(body));
    let request = http::Request::post("/t.Act/Up").header("content-type", "application/grpc");
    let request = request.body(body).expect("a request");
    let door = world.door();
    let asking = base::task::spawn("client", async move { door.answer(request).await });
    pieces.send(Ok(frame.into())).await.expect("it is read");
    let mut talk = world.fake.actions().await;
    for command in expected(N, "Up", &["a"]) {
        talk.hears(command).await;
    }
    let broken = Err(std::io::Error::other("the client's connection broke"));
    pieces.send(broken).await.expect("it is read");
    becomes(|| pieces.capacity() == pieces.max_capacity()).await;
    // Another call on the same connection: an end that was said before would be here before it.
    let asked = world.ask("Act/One", "e", "x");
    let other = world.fake.actions().await;
    other.says(response(Some(reply("ok"))));
    asked.is("ok").await;
    assert!(talk.has_nothing_to_hear());
    // Its connection takes the call along.
    asking.abort();
    talk.is_cancelled().await;
}

#[tokio::test]
async fn a_forward_inside_a_stream_is_answered_at_its_place() {
    let world = World::new().await;
    let mut client = open(&world.door(), "Act/Down");
    client.says("x").await;
    client.say = None;
    let mut talk = world.fake.actions().await;
    talk.says(response(Some(reply("a"))));
    talk.says(response(Some(forward("t.Val", "Do", in_any("v", "on")))));
    talk.says(response(Some(reply("c"))));
    talk.ends();
    let mut answers = client.answers().await;
    hears(&mut answers, Some("a")).await;
    let mut value = world.fake.values().await;
    value.hears(ve_init("v", None)).await;
    value.hears(ve_command(1, "v", "on")).await;
    value.says(ve_out(ve(1, reply("b"))));
    for text in [Some("b"), Some("c"), None] {
        hears(&mut answers, text).await;
    }
}

#[tokio::test]
async fn one_request_of_a_typed_client() {
    let world = World::new().await;
    let codec = ProstCodec::<In, Out>::default();
    let mut grpc = world.door().grpc();
    let request = tonic::Request::new(input("e", "x"));
    let asked = base::task::spawn("client", async move {
        grpc.server_streaming(request, path("Act/Down"), codec).await
    });
    let mut talk = world.fake.actions().await;
    talk.ends();
    let mut answers = asked
        .await
        .expect("no panic")
        .expect("a stream without answers")
        .into_inner();
    hears(&mut answers, None).await;
}
