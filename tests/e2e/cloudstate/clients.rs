//! Published clients at the front door: grpcurl, which knows nothing but what reflection tells it, and the programs in
//! `tests/cloudstate/clients`. The user function is the one in Go.

use std::path::PathBuf;

use serde_json::{Deserializer, Value, json};
use tests::sdk;
use tokio::process::Command;

use super::function::GO;
use super::world::World;

/// What a program has printed, and how it ended.
struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

async fn run(command: &mut Command) -> Said {
    let output = tokio::time::timeout(tests::PATIENCE, command.kill_on_drop(true).output()).await;
    let output = output.expect("it ends in time").expect("it starts");
    Said {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn built(path: &str, advice: &str) -> PathBuf {
    let found = sdk::folder("cloudstate").join(path);
    assert!(found.exists(), "{} is not there: {advice}", found.display());
    found
}

/// `grpcurl`: what it knows of the services is what reflection has told.
struct Grpcurl {
    program: PathBuf,
    address: String,
}

impl Grpcurl {
    fn of(world: &World) -> Grpcurl {
        let advice = "run `go build -o target/grpcurl github.com/fullstorydev/grpcurl/cmd/grpcurl` in tests/cloudstate/grpcurl";
        Grpcurl {
            program: built("grpcurl/target/grpcurl", advice),
            address: world.belay.functions.clone(),
        }
    }

    async fn run(&self, before: &[&str], after: &[&str]) -> Said {
        let mut command = Command::new(&self.program);
        run(command
            .arg("-plaintext")
            .args(before)
            .arg(&self.address)
            .args(after))
        .await
    }

    async fn asks(&self, question: &[&str]) -> String {
        let said = self.run(&[], question).await;
        assert_eq!(said.code, Some(0), "{question:?}: {}", said.err);
        said.out
    }

    /// Messages as JSON, one after the other, both ways.
    async fn calls(&self, method: &str, messages: &str) -> Vec<Value> {
        let said = self.run(&["-d", messages], &[method]).await;
        assert_eq!(said.code, Some(0), "{method}: {}", said.err);
        let heard = Deserializer::from_str(&said.out).into_iter();
        heard.map(|message| message.expect("JSON")).collect()
    }

    async fn fails(&self, method: &str, message: &str) -> String {
        let said = self.run(&["-d", message], &[method]).await;
        assert_ne!(said.code, Some(0), "{method}: {}", said.out);
        said.err
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpcurl_needs_nothing_but_reflection() {
    let world = World::start(&GO).await;
    let grpcurl = Grpcurl::of(&world);
    let listed = grpcurl.asks(&["list"]).await;
    let listed: Vec<&str> = listed.lines().collect();
    let expected = [
        "com.example.cartactions.CartActions",
        "com.example.numbers.Numbers",
        "com.example.shoppingcart.ShoppingCart",
        "com.example.valueentity.shoppingcart.ShoppingCart",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ];
    assert_eq!(listed, expected);
    // Of every service, with every message in it: it fails if one is missing.
    let all = grpcurl.asks(&["describe"]).await;
    for service in listed {
        assert!(
            all.contains(&format!("{service} is a service:")),
            "{service}: {all}"
        );
    }
    let item = grpcurl
        .asks(&["describe", "com.example.shoppingcart.AddLineItem"])
        .await;
    assert!(
        item.contains("string user_id = 1 [(.cloudstate.entity_key) = true];"),
        "{item}"
    );
    let add = grpcurl
        .asks(&["describe", "com.example.shoppingcart.ShoppingCart.AddItem"])
        .await;
    assert!(add.contains(r#"post: "/cart/{user_id}/items/add""#), "{add}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grpcurl_calls_in_every_way() {
    let mut world = World::start(&GO).await;
    let grpcurl = Grpcurl::of(&world);
    let cart = |method: &str| format!("com.example.shoppingcart.ShoppingCart/{method}");
    let numbers = |method: &str| format!("com.example.numbers.Numbers/{method}");
    let tea = json!({"userId": "ann", "productId": "tea", "name": "Tea", "quantity": 3});
    assert_eq!(
        grpcurl.calls(&cart("AddItem"), &tea.to_string()).await,
        [json!({})]
    );
    let kept = json!({"items": [{"productId": "tea", "name": "Tea", "quantity": 3}]});
    let get = r#"{"userId": "ann"}"#;
    assert_eq!(grpcurl.calls(&cart("GetCart"), get).await, [kept]);
    let absent = r#"{"userId": "ann", "productId": "milk"}"#;
    let failure = grpcurl.fails(&cart("RemoveItem"), absent).await;
    assert!(
        failure.contains("Code: Unknown") && failure.contains("Message: milk is not in the cart"),
        "{failure}"
    );

    let value = |value: u32| json!({ "value": value.to_string() });
    let two = r#"{"value": 3} {"value": 4}"#;
    let three = r#"{"value": 3}"#;
    assert_eq!(grpcurl.calls(&numbers("Double"), three).await, [value(6)]);
    assert_eq!(grpcurl.calls(&numbers("Sum"), two).await, [value(7)]);
    assert_eq!(
        grpcurl.calls(&numbers("Count"), three).await,
        [1, 2, 3].map(value)
    );
    assert_eq!(
        grpcurl.calls(&numbers("DoubleEach"), two).await,
        [6, 8].map(value)
    );

    let health = "grpc.health.v1.Health/Check";
    let numbers = r#"{"service": "com.example.numbers.Numbers"}"#;
    for what in ["{}", numbers] {
        assert_eq!(
            grpcurl.calls(health, what).await,
            [json!({"status": "SERVING"})],
            "{what}"
        );
    }
    let failure = grpcurl
        .fails(health, r#"{"service": "com.example.Nobody"}"#)
        .await;
    assert!(failure.contains("Code: NotFound"), "{failure}");
    world.function.kill().await;
    tests::eventually("the services not to be served", || async {
        let told = grpcurl.calls(health, numbers).await;
        (told == [json!({"status": "NOT_SERVING"})]).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_for_browsers_and_one_that_compresses() {
    let world = World::start(&GO).await;
    let folder = sdk::folder("cloudstate").join("clients");
    built(
        "clients/node_modules/grpc-web",
        "run `npm ci` in tests/cloudstate/clients",
    );
    let mut command = Command::new("node");
    let address = format!("http://{}", world.belay.functions);
    let said = run(command.current_dir(folder).args(["clients.js", &address])).await;
    assert_eq!(said.code, Some(0), "{}{}\n{}", said.out, said.err, world.said());
    let checks: Vec<&str> = said.out.lines().collect();
    assert!(checks.iter().all(|line| line.starts_with("ok ")), "{}", said.out);
    // Three of each of six clients.
    assert_eq!(checks.len(), 18, "{}", said.out);
}
