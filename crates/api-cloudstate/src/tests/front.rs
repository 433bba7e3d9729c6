//! What clients see: gRPC, gRPC-Web, HTTP/JSON, probes, reflection, health.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, Version};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::{v1, v1alpha};
use wire::cloudstate::client_action::Action;

use super::fake::PATIENCE;
use super::say::*;
use super::world::{Answer, Door, World};

/// A request of HTTP whose command the function answers like this.
async fn answered(world: &World, line: &str, body: &str, expected: In, action: Option<Action>) -> Answer {
    let (door, line, body) = (world.door(), line.to_owned(), body.to_owned());
    let asking = base::task::spawn("client", async move {
        let headers = [("content-type", "application/json; charset=utf-8")];
        door.http(&line, &headers, &body).await
    });
    let mut talk = world.fake.actions().await;
    let heard = talk.next().await.expect("a command").expect("a command");
    let payload = heard.payload.expect("a payload");
    assert_eq!(In::decode(payload.value.as_slice()), Ok(expected));
    talk.says(response(action));
    talk.ends();
    tokio::time::timeout(PATIENCE, asking)
        .await
        .expect("in time")
        .expect("no panic")
}

#[tokio::test]
async fn replies_are_json_and_failures_are_their_text() {
    let world = World::new().await;
    let line = "POST /t.Act/One";
    let body = r#"{"id":"e","text":"x"}"#;
    let expected = || input("e", "x");
    let answer = answered(&world, line, body, expected(), Some(reply("hi"))).await;
    answer.is(200, r#"{"text":"hi","number":"0"}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let answer = answered(&world, line, body, expected(), Some(reply(""))).await;
    answer.is(200, r#"{"text":"","number":"0"}"#);
    let answer = answered(&world, line, body, expected(), Some(failing("bad quantity"))).await;
    answer.is(500, "bad quantity");
    let text = "t.Act/One: the user function has answered with neither a reply nor a failure";
    let answer = answered(&world, line, body, expected(), None).await;
    answer.is(500, text);
}

#[tokio::test]
async fn entities_answer_http_and_their_crashes_are_500() {
    let world = World::new().await;
    let door = world.door();
    let asking = base::task::spawn("client", async move { door.get("/log/a%20b?text=x").await });
    let mut talk = world.fake.events().await;
    talk.hears(init("a b", None)).await;
    let mut get = command(1, "a b", "Get", "x");
    talk.hears(wire::cloudstate::eventsourced::EventSourcedStreamIn {
        message: Some(wire::cloudstate::eventsourced::event_sourced_stream_in::Message::Command(get.clone())),
    })
    .await;
    talk.says(es_out(es(1, reply("hi"))));
    let answer = asking.await.expect("no panic");
    answer.is(200, r#"{"text":"hi","number":"0"}"#);
    let door = world.door();
    let asking = base::task::spawn("client", async move { door.get("/log/a%20b/text").await });
    get.id = 2;
    get.payload = Some(in_any("a b", ""));
    talk.hears(wire::cloudstate::eventsourced::EventSourcedStreamIn {
        message: Some(wire::cloudstate::eventsourced::event_sourced_stream_in::Message::Command(get)),
    })
    .await;
    talk.says(es_out(es(2, reply("hi"))));
    asking.await.expect("no panic").is(200, "\"hi\"");
    let door = world.door();
    let asking = base::task::spawn("client", async move { door.get("/log/a%20b").await });
    drop(talk.next().await);
    talk.ends();
    asking
        .await
        .expect("no panic")
        .is(500, "Unexpected entity termination");
}

#[tokio::test]
async fn what_never_becomes_a_command() {
    let world = World::new().await;
    let door = world.door();
    let json = [("content-type", "application/json")];
    let check = |answer: Answer, status: u16, words: &str| {
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status.as_u16(), status, "{body}");
        assert!(body.contains(words), "{body}");
    };
    let post = |headers, body| door.http("POST /t.Act/One", headers, body);
    check(post(&[], "{}").await, 400, "application/json");
    check(
        post(&[("content-type", "text/plain")], "{}").await,
        400,
        "text/plain",
    );
    check(post(&json, "{").await, 400, "");
    check(post(&json, r#"{"nobody":1}"#).await, 400, "nobody");
    check(door.get("/log/e?nobody=1").await, 400, "nobody");
    check(door.get("/log/").await, 400, "id");
    check(door.get("/nowhere").await, 404, "/nowhere");
    let answer = door.http("PUT /log/e", &[], "").await;
    assert_eq!(answer.header("allow"), Some("GET"));
    check(answer, 405, "GET");
    let up = door.http("POST /t.Act/Up", &json, "{}").await;
    check(up, 501, "gRPC");
    let large = format!(r#"{{"text":"{}"}}"#, "a".repeat(5 << 20));
    check(post(&json, &large).await, 413, "larger");
    assert_eq!(world.fake.streams(), 0);
}

#[tokio::test]
async fn streams_are_lines_or_events() {
    let world = World::new().await;
    for (accept, expected) in [
        (
            "*/*",
            "{\"text\":\"a\",\"number\":\"0\"}\n{\"text\":\"b\",\"number\":\"0\"}\n",
        ),
        (
            "text/event-stream",
            "data:{\"text\":\"a\",\"number\":\"0\"}\n\ndata:{\"text\":\"b\",\"number\":\"0\"}\n\n",
        ),
    ] {
        let door = world.door();
        let asking = base::task::spawn("client", async move {
            door.http("GET /down/e", &[("accept", accept)], "").await
        });
        let mut talk = world.fake.actions().await;
        talk.says(response(Some(reply("a"))));
        talk.says(response(Some(reply("b"))));
        talk.ends();
        asking.await.expect("no panic").is(200, expected);
    }
    // One that fails before its first answer still has a status.
    let door = world.door();
    let asking = base::task::spawn("client", async move { door.get("/down/e").await });
    let talk = world.fake.actions().await;
    talk.says(response(Some(failing("no"))));
    asking.await.expect("no panic").is(500, "no");
}

#[tokio::test]
async fn headers_go_in_and_metadata_come_out_of_http() {
    let world = World::new().await;
    let door = world.door();
    let asking = base::task::spawn("client", async move {
        let headers = [("content-type", "application/json"), ("x-user", "me")];
        door.http("POST /t.Act/One", &headers, "{}").await
    });
    let mut talk = world.fake.actions().await;
    let heard = talk.next().await.expect("a command").expect("a command");
    assert_eq!(heard.metadata.expect("metadata").entries, [entry("x-user", "me")]);
    let mut answer = reply("ok");
    if let Action::Reply(reply) = &mut answer {
        reply.metadata = Some(wire::cloudstate::Metadata {
            entries: vec![entry("x-a", "1")],
        });
    }
    talk.says(response(Some(answer)));
    assert_eq!(asking.await.expect("no panic").header("x-a"), Some("1"));
}

fn framed(message: &impl Message) -> Vec<u8> {
    let payload = message.encode_to_vec();
    let length = u32::try_from(payload.len()).expect("it is short");
    [&[0], &length.to_be_bytes()[..], &payload].concat()
}

/// A call as browsers make it.
async fn web(world: &World, version: Version, is_text: bool, action: Action) -> (Option<String>, Vec<u8>) {
    let kind = match is_text {
        true => "application/grpc-web-text+proto",
        false => "application/grpc-web+proto",
    };
    let body = framed(&input("e", "x"));
    let body = match is_text {
        true => STANDARD.encode(body).into_bytes(),
        false => body,
    };
    let request = Request::post("/t.Act/One")
        .header("content-type", kind)
        .header("accept", kind)
        .header("origin", "http://localhost:3000")
        .body(Body::from(body))
        .expect("a request");
    let mut door = world.door();
    door.version = version;
    let asking = base::task::spawn(
        "client",
        async move { Answer::of(door.answer(request).await).await },
    );
    let talk = world.fake.actions().await;
    talk.says(response(Some(action)));
    let answer = asking.await.expect("no panic");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some(kind));
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("http://localhost:3000")
    );
    let body = match is_text {
        true => decode_all(&answer.body),
        false => answer.body.to_vec(),
    };
    (answer.header("grpc-status").map(str::to_owned), body)
}

/// Pieces of base64, each with an end of its own.
fn decode_all(text: &[u8]) -> Vec<u8> {
    let pieces = text.chunks(4).map(|four| STANDARD.decode(four).expect("base64"));
    pieces.collect::<Vec<_>>().concat()
}

#[tokio::test]
async fn browsers_call_over_both_versions_of_http() {
    let world = World::new().await;
    let expected = Out {
        text: "hi".into(),
        number: 0,
    };
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for is_text in [false, true] {
            let (_, body) = web(&world, version, is_text, reply("hi")).await;
            let message = framed(&expected);
            assert_eq!(body.get(..message.len()), Some(message.as_slice()));
            let trailers = body.get(message.len()..).unwrap_or_default();
            assert_eq!(trailers.first(), Some(&0x80));
            let trailers = String::from_utf8_lossy(trailers.get(5..).unwrap_or_default());
            assert_eq!(trailers.replace(' ', "").trim_end(), "grpc-status:0");
            let (status, body) = web(&world, version, is_text, failing("no")).await;
            let body = String::from_utf8_lossy(&body).replace(' ', "");
            assert!(
                status.as_deref() == Some("2") || body.contains("grpc-status:2"),
                "{status:?} {body:?}"
            );
        }
    }
}

#[tokio::test]
async fn probes_and_the_root_are_answered() {
    let world = World::new().await;
    let door = world.door();
    let probe = |value| {
        let door = door.clone();
        async move { door.http("GET /", &[("k-network-probe", value)], "").await }
    };
    probe("queue").await.is(200, "queue");
    probe("autoscaler").await.is(400, "unknown probe");
    let text = "nothing is served at /; served are t.Log, t.Val, t.Act";
    door.get("/").await.is(404, text);
}

#[tokio::test]
async fn web_pages_of_this_machine_may_call_and_others_may_not() {
    let world = World::new().await;
    for (origin, allowed) in [
        ("http://localhost:3000", Some("http://localhost:3000")),
        ("https://example.com", None),
    ] {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        let answer = world.door().http("OPTIONS /t.Act/One", &headers, "").await;
        assert_eq!(answer.status, 204);
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
        assert_eq!(answer.header("access-control-allow-methods"), Some("POST"));
        let answer = world.door().http("GET /", &[("origin", origin)], "").await;
        assert_eq!(answer.header("access-control-allow-origin"), allowed);
    }
}

async fn reflected(door: &Door, question: MessageRequest) -> MessageResponse {
    let asked = ServerReflectionRequest {
        host: "here".into(),
        message_request: Some(question),
    };
    let requests = futures::stream::iter([asked.clone()]);
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(door.clone());
    let answers = client.server_reflection_info(requests).await.expect("answers");
    let told = answers.into_inner().message().await.expect("an answer");
    let told = told.expect("an answer");
    assert_eq!(
        (told.valid_host.as_str(), told.original_request),
        ("here", Some(asked.clone()))
    );
    // The older version says the same.
    let old = v1alpha::ServerReflectionRequest::decode(asked.encode_to_vec().as_slice()).expect("the same");
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(door.clone());
    let answers = client.server_reflection_info(futures::stream::iter([old])).await;
    let old = answers.expect("answers").into_inner().message().await;
    let old = old.expect("an answer").expect("an answer");
    let old = v1::ServerReflectionResponse::decode(old.encode_to_vec().as_slice()).expect("the same");
    assert_eq!(old.message_response, told.message_response);
    told.message_response.expect("an answer")
}

fn files(told: MessageResponse) -> Vec<String> {
    let MessageResponse::FileDescriptorResponse(files) = told else {
        panic!("no files: {told:?}");
    };
    let files = files.file_descriptor_proto.into_iter();
    let files = files.map(|file| prost_types::FileDescriptorProto::decode(file.as_slice()).expect("a file"));
    files.map(|file| file.name().to_owned()).collect()
}

#[tokio::test]
async fn reflection_lists_itself_and_what_is_served_in_order() {
    let world = World::new().await;
    let door = world.door();
    let told = reflected(&door, MessageRequest::ListServices(String::new())).await;
    let MessageResponse::ListServicesResponse(list) = told else {
        panic!("no list: {told:?}");
    };
    let names: Vec<String> = list.service.into_iter().map(|service| service.name).collect();
    assert_eq!(
        names,
        [
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
            "grpc.health.v1.Health",
            "t.Act",
            "t.Log",
            "t.Val"
        ]
    );
}

#[tokio::test]
async fn reflection_finds_files_and_what_is_unknown_is_an_empty_list() {
    let world = World::new().await;
    let door = world.door();
    let symbol = |name: &str| MessageRequest::FileContainingSymbol(name.into());
    for name in ["t.Log", "t.Log.Do", "t.In", "t.In.id", "t.Hidden"] {
        assert_eq!(files(reflected(&door, symbol(name)).await), ["t.proto"], "{name}");
    }
    for name in ["t.Nobody", ""] {
        assert_eq!(files(reflected(&door, symbol(name)).await), [""; 0], "{name}");
    }
    let own = [
        ("grpc.health.v1.Health.Check", "health.proto"),
        ("grpc.reflection.v1.ServerReflection", "reflection_v1.proto"),
        (
            "grpc.reflection.v1alpha.ServerReflection",
            "reflection_v1alpha.proto",
        ),
    ];
    for (name, file) in own {
        assert_eq!(files(reflected(&door, symbol(name)).await), [file], "{name}");
    }
    let named = MessageRequest::FileByFilename("google/api/http.proto".into());
    assert_eq!(files(reflected(&door, named).await), ["google/api/http.proto"]);
    let named = MessageRequest::FileByFilename("nobody.proto".into());
    assert_eq!(files(reflected(&door, named).await), [""; 0]);
}

async fn health(door: &Door, service: &str) -> Result<i32, Code> {
    let request = HealthCheckRequest {
        service: service.into(),
    };
    let answer = HealthClient::new(door.clone()).check(request).await;
    answer
        .map(|answer| answer.into_inner().status)
        .map_err(|status: Status| status.code())
}

#[tokio::test]
async fn health_follows_the_function() {
    let mut world = World::new().await;
    let door = world.door();
    let serving = Ok(ServingStatus::Serving.into());
    let gone = Ok(ServingStatus::NotServing.into());
    let reaches = async |expected| {
        tokio::time::timeout(PATIENCE, async {
            while health(&door, "t.Log").await != expected {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("it becomes so");
    };
    reaches(serving).await;
    assert_eq!(health(&door, "").await, serving);
    assert_eq!(health(&door, "t.Hidden").await, Err(Code::NotFound));
    world.fake.die().await;
    world.waits().await;
    reaches(gone).await;
    world.fake.come().await;
    world.served().await;
    reaches(serving).await;
}

#[tokio::test]
async fn messages_may_be_compressed() {
    let world = World::new().await;
    let text = "a".repeat(10_000);
    let (door, long) = (world.door(), text.clone());
    let asking = base::task::spawn("client", async move {
        let codec = tonic_prost::ProstCodec::<In, Out>::default();
        let mut grpc = door.grpc().send_compressed(Gzip).accept_compressed(Gzip);
        let request = tonic::Request::new(input("e", &long));
        grpc.unary(request, super::world::path("Act/One"), codec).await
    });
    let mut talk = world.fake.actions().await;
    let heard = talk.next().await.expect("a command").expect("a command");
    assert_eq!(heard.payload, Some(in_any("e", &text)));
    talk.says(response(Some(reply(&text))));
    let answer = asking.await.expect("no panic").expect("an answer");
    let encoding = answer.metadata().get("grpc-encoding");
    assert_eq!(encoding.and_then(|value| value.to_str().ok()), Some("gzip"));
    assert_eq!(answer.into_inner().text, text);
}

#[tokio::test]
async fn an_empty_entity_id_is_refused_by_its_fields_name() {
    let world = World::new().await;
    let text = "BLY0003: t.Log/Do: the entity key id is empty";
    let status = world.ask("Log/Do", "", "x").answer().await.expect_err("no id");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message().get(7..), text.get(7..));
    let long = world.ask("Log/Do", &"x".repeat(4_097), "x");
    long.fails_with(Code::InvalidArgument).await;
    let longest = "x".repeat(4_096);
    let _asked = world.ask("Log/Do", &longest, "x");
    let mut talk = world.fake.events().await;
    talk.hears(init(&longest, None)).await;
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused() {
    let world = World::new().await;
    let body = Bytes::from_static(b"\0\0\0\0\x02\x0a\xff");
    let request = Request::post("/t.Log/Do").header("content-type", "application/grpc");
    let request = request.body(Body::from(body)).expect("a request");
    let answer = world.door().answer(request).await;
    let status = answer
        .headers()
        .get("grpc-status")
        .map(|status| status.to_str().ok());
    assert_eq!(status, Some(Some("3")));
    assert_eq!(world.fake.streams(), 0);
}

#[tokio::test]
async fn one_port_takes_both_versions_of_http() {
    let world = World::new().await;
    let address = world.door().listen().await;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("it is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("text");
    assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    assert!(
        answer.ends_with("nothing is served at /; served are t.Log, t.Val, t.Act"),
        "{answer}"
    );
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    let channel = endpoint.expect("an address").connect().await.expect("HTTP/2");
    let asking = base::task::spawn("client", async move {
        let mut grpc = tonic::client::Grpc::new(channel);
        grpc.ready().await.expect("a connection");
        let codec = tonic_prost::ProstCodec::<In, Out>::default();
        let request = tonic::Request::new(input("e", "x"));
        grpc.unary(request, super::world::path("Act/One"), codec).await
    });
    let talk = world.fake.actions().await;
    talk.says(response(Some(reply("ok"))));
    let answer = asking.await.expect("no panic").expect("an answer");
    assert_eq!(answer.into_inner().text, "ok");
}

/// As it is seen through sockets on both sides.
#[tokio::test]
async fn a_client_that_hangs_up_cancels_its_call() {
    let world = World::new().await;
    let address = world.door().listen().await;
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = b"POST /t.Act/One HTTP/1.1\r\nhost: here\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(request).await.expect("it is sent");
    let talk = world.fake.actions().await;
    drop(stream);
    talk.is_cancelled().await;
}
