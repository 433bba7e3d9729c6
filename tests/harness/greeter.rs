//! User code that several tests call: a service and an object, and calls of them through the ingress.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use http_body_util::BodyExt;
use serde_json::Value;

use crate::Belay;
use crate::deployment::{Context, Deployment, Handler};

const SERVICES: &str = r#"[
    {"name":"Greeter","ty":"SERVICE","handlers":[{"name":"greet"},{"name":"rest"},{"name":"fail"},{"name":"refuse"}]},
    {"name":"Counter","ty":"VIRTUAL_OBJECT","handlers":[{"name":"add"},{"name":"hold"}]}]"#;

pub fn handler(code: fn(Context) -> BoxFuture<'static, Option<()>>) -> Handler {
    Arc::new(code)
}

pub async fn deployment() -> Deployment {
    let handlers = BTreeMap::from([
        ("Greeter/greet", handler(|context| greet(context).boxed())),
        ("Greeter/rest", handler(|context| rest(context).boxed())),
        ("Greeter/fail", handler(|context| fail(context).boxed())),
        ("Greeter/refuse", handler(|context| refuse(context).boxed())),
        ("Counter/add", handler(|context| add(context).boxed())),
        ("Counter/hold", handler(|context| rest(context).boxed())),
    ]);
    Deployment::start(SERVICES, handlers).await
}

pub async fn greet(mut context: Context) -> Option<()> {
    let greeting = context.run("hello").await?;
    context.output(Ok(greeting));
    Some(())
}

/// For years.
pub async fn rest(mut context: Context) -> Option<()> {
    context.sleep(2_000_000_000_000).await?;
    context.output(Ok(Bytes::new()));
    Some(())
}

async fn fail(context: Context) -> Option<()> {
    context.fail();
    None
}

async fn refuse(mut context: Context) -> Option<()> {
    context.output(Err(409));
    Some(())
}

async fn add(mut context: Context) -> Option<()> {
    context.set("count", Bytes::from_static(b"10"));
    context.set("raw", Bytes::from_static(&[0xff, 0]));
    context.call("Greeter", "greet", "", Bytes::new()).await?;
    context.output(Ok(Bytes::new()));
    Some(())
}

/// Status, content type and body.
pub async fn post(address: &str, path: &str, accept: &str, body: String) -> (u16, String, Bytes) {
    let stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream))
            .await
            .expect("it speaks HTTP");
    let asking = async {
        let request = http::Request::post(path)
            .header("host", "belay")
            .header("accept", accept)
            .body(http_body_util::Full::new(Bytes::from(body)))
            .expect("a request");
        let answer = sender.send_request(request).await.expect("an answer");
        let content_type = answer.headers().get("content-type");
        let content_type = content_type
            .map_or("", |value| value.to_str().expect("ASCII"))
            .to_owned();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a body");
        (status, content_type, body.to_bytes())
    };
    tokio::select! {
        answer = asking => answer,
        _ = connection => panic!("the connection has gone"),
    }
}

/// The id of a new invocation.
pub async fn send(server: &Belay, path: &str) -> String {
    let (_, _, body) = post(&server.ingress, &format!("/{path}/send"), "*/*", String::new()).await;
    let json: Value = serde_json::from_slice(&body).expect("JSON");
    json["invocationId"].as_str().expect("an id").to_owned()
}
