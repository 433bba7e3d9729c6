//! The shopping cart of every SDK, over gRPC and over HTTP.

use serde_json::json;
use tonic::Code;

use super::function::{GO, JAVASCRIPT, PYTHON, PYTHON_WITH_SNAPSHOTS, Sdk};
use super::world::{Grpc, World};

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct AddLineItem {
    #[prost(string, tag = "1")]
    pub(crate) user_id: String,
    #[prost(string, tag = "2")]
    pub(crate) product_id: String,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(int32, tag = "4")]
    pub(crate) quantity: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RemoveLineItem {
    #[prost(string, tag = "1")]
    user_id: String,
    #[prost(string, tag = "2")]
    product_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct GetShoppingCart {
    #[prost(string, tag = "1")]
    pub(crate) user_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct LineItem {
    #[prost(string, tag = "1")]
    product_id: String,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(int32, tag = "3")]
    quantity: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Cart {
    #[prost(message, repeated, tag = "1")]
    items: Vec<LineItem>,
}

pub(crate) const ADD: &str = "/com.example.shoppingcart.ShoppingCart/AddItem";
const REMOVE: &str = "/com.example.shoppingcart.ShoppingCart/RemoveItem";
pub(crate) const GET: &str = "/com.example.shoppingcart.ShoppingCart/GetCart";

pub(crate) fn item(user: &str, product: &str, quantity: i32) -> AddLineItem {
    AddLineItem {
        user_id: user.into(),
        product_id: product.into(),
        name: format!("A {product}"),
        quantity,
    }
}

impl Cart {
    /// Products and quantities.
    pub(crate) fn lines(&self) -> Vec<(&str, i32)> {
        let lines = self.items.iter();
        lines
            .map(|item| (item.product_id.as_str(), item.quantity))
            .collect()
    }
}

pub(crate) async fn cart(grpc: &mut Grpc, user: &str) -> Cart {
    let get = GetShoppingCart { user_id: user.into() };
    grpc.call(GET, get).await.expect("a cart")
}

pub(crate) async fn all_pass(sdk: &Sdk) {
    let mut world = World::start(sdk).await;
    a_cart_over_http(&world, sdk).await;
    a_cart_over_grpc(&world, sdk).await;
    both_answer_the_same(&world).await;
    more_entities_than_streams(&world).await;
    world = snapshots_and_replay(world).await;
    the_function_comes_back(&mut world, sdk).await;
    if sdk.name == JAVASCRIPT.name {
        super::actions::in_both_dialects(&world).await;
    }
    if sdk.name == GO.name {
        super::actions::all_pass(&world).await;
        a_value_is_kept(world).await;
    }
}

fn add(product: &str, quantity: i32) -> String {
    json!({"productId": product, "name": format!("A {product}"), "quantity": quantity}).to_string()
}

async fn a_cart_over_http(world: &World, sdk: &Sdk) {
    let (cart, to_add) = ("/carts/test1", "/cart/test1/items/add");
    let ok = (200, "{}".to_owned());
    let failed = |text: &str| (500, (sdk.failure)(text));
    assert_eq!(world.call("GET", cart, "").await, (200, r#"{"items":[]}"#.into()));
    assert_eq!(world.call("POST", to_add, &add("foo", 10)).await, ok);
    let one = r#"{"items":[{"productId":"foo","name":"A foo","quantity":10}]}"#;
    assert_eq!(world.call("GET", cart, "").await, (200, one.into()));
    let bare = r#"[{"productId":"foo","name":"A foo","quantity":10}]"#;
    assert_eq!(
        world.call("GET", "/carts/test1/items", "").await,
        (200, bare.into())
    );
    assert_eq!(world.call("POST", to_add, &add("foo", 5)).await, ok);
    let refused = world.call("POST", to_add, &add("foo", 0)).await;
    assert_eq!(refused, failed("the quantity must be positive"));
    // Emitted, and then failed: nothing of it stays.
    let too_much = world.call("POST", to_add, &add("foo", 1001)).await;
    assert_eq!(too_much, failed("the quantity is too large"));
    let removed = world.call("POST", "/cart/test1/items/bar/remove", "").await;
    assert_eq!(removed, failed("bar is not in the cart"));
    let crashed = world.call("POST", to_add, &add("crash", 1)).await;
    assert_eq!(crashed, (500, sdk.crash.to_owned()));
    assert_eq!(world.json(cart).await["items"][0]["quantity"], 15);
    assert_eq!(world.call("POST", "/cart/test1/items/foo/remove", "").await, ok);
    assert_eq!(world.json(cart).await, json!({"items": []}));
    let (status, text) = world.call("POST", to_add, r#"{"productId": 1}"#).await;
    assert_eq!(status, 400, "{text}");
}

async fn a_cart_over_grpc(world: &World, sdk: &Sdk) {
    let mut grpc = world.grpc().await;
    let mut add = async |item: AddLineItem| grpc.call::<_, ()>(ADD, item).await;
    add(item("g", "foo", 10)).await.expect("it is added");
    add(item("g", "bar", 1)).await.expect("it is added");
    let refused = add(item("g", "foo", -1)).await.expect_err("it is negative");
    assert_eq!(refused.code(), Code::Unknown);
    assert_eq!(refused.message(), (sdk.failure)("the quantity must be positive"));
    let nameless = add(item("", "foo", 1)).await.expect_err("nobody's cart");
    assert_eq!(nameless.code(), Code::InvalidArgument);
    assert!(nameless.message().contains("user_id"), "{nameless}");
    let remove = RemoveLineItem {
        user_id: "g".into(),
        product_id: "foo".into(),
    };
    grpc.call::<_, ()>(REMOVE, remove).await.expect("it is removed");
    assert_eq!(cart(&mut grpc, "g").await.lines(), [("bar", 1)]);
    let unknown = grpc
        .call::<_, ()>("/com.example.shoppingcart.ShoppingCart/Nothing", ())
        .await;
    assert_eq!(unknown.expect_err("no such method").code(), Code::Unimplemented);
}

async fn both_answer_the_same(world: &World) {
    let mut grpc = world.grpc().await;
    for product in ["a", "b", "c"] {
        grpc.call::<_, ()>(ADD, item("both", product, 3))
            .await
            .expect("it is added");
    }
    let seen = world.json("/carts/both").await;
    let lines: Vec<_> = seen["items"].as_array().expect("items").iter().collect();
    let by_http: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["productId"].as_str().unwrap_or_default(),
                line["quantity"].as_i64().unwrap_or_default(),
            )
        })
        .collect();
    let by_grpc = cart(&mut grpc, "both").await;
    let by_grpc: Vec<_> = by_grpc
        .lines()
        .into_iter()
        .map(|(product, count)| (product, i64::from(count)))
        .collect();
    assert_eq!(by_http, by_grpc.as_slice());
}

/// Python serves ten streams at once and says nothing of it.
async fn more_entities_than_streams(world: &World) {
    let users: Vec<String> = (0..30).map(|user| format!("many-{user}")).collect();
    let adding = users.iter().map(|user| async move {
        let (status, text) = world
            .call("POST", &format!("/cart/{user}/items/add"), &add("foo", 1))
            .await;
        assert_eq!((status, text.as_str()), (200, "{}"), "{user}");
    });
    futures::future::join_all(adding).await;
    for user in users {
        assert_eq!(
            world.json(&format!("/carts/{user}")).await["items"][0]["quantity"],
            1,
            "{user}"
        );
    }
}

/// Twelve events, with a snapshot each fifth where the SDK makes them; then a Belay that remembers nothing.
async fn snapshots_and_replay(world: World) -> World {
    let mut grpc = world.grpc().await;
    for product in 0..12 {
        let item = item("long", &format!("p{product:02}"), product + 1);
        grpc.call::<_, ()>(ADD, item).await.expect("it is added");
    }
    let before = cart(&mut grpc, "long").await;
    let world = world.restart_belay().await;
    let mut grpc = world.grpc().await;
    assert_eq!(cart(&mut grpc, "long").await, before);
    assert_eq!(before.lines().len(), 12);
    grpc.call::<_, ()>(ADD, item("long", "p00", 1))
        .await
        .expect("it is added");
    assert_eq!(cart(&mut grpc, "long").await.lines()[0], ("p00", 2));
    world
}

async fn the_function_comes_back(world: &mut World, sdk: &Sdk) {
    let mut grpc = world.grpc().await;
    grpc.call::<_, ()>(ADD, item("back", "foo", 1))
        .await
        .expect("it is added");
    world.function.kill().await;
    let lost = grpc
        .call::<_, ()>(ADD, item("back", "foo", 1))
        .await
        .expect_err("nobody is there");
    let told = [
        (Code::Unavailable, "cannot be reached"),
        (Code::Unknown, "Unexpected entity termination"),
    ];
    let is_told = |(code, text): &(Code, &str)| lost.code() == *code && lost.message().contains(text);
    assert!(told.iter().any(is_told), "{lost}");
    world.start_function(sdk).await;
    world.ready().await;
    assert_eq!(cart(&mut grpc, "back").await.lines(), [("foo", 1)]);
}

async fn a_value_is_kept(world: World) {
    let path = "/ve/carts/v";
    let empty = json!({"items": []});
    assert_eq!(world.json(path).await, empty);
    for (product, quantity) in [("b", 1), ("a", 2), ("b", 3)] {
        let (status, text) = world
            .call("POST", "/ve/cart/v/items/add", &add(product, quantity))
            .await;
        assert_eq!(status, 200, "{text}");
    }
    let kept = json!({"items": [
        {"productId": "a", "name": "A a", "quantity": 2},
        {"productId": "b", "name": "A b", "quantity": 4},
    ]});
    assert_eq!(world.json(path).await, kept);
    let world = world.restart_belay().await;
    assert_eq!(world.json(path).await, kept);
    assert_eq!(
        world.call("POST", "/ve/carts/v/remove", "").await,
        (200, "{}".into())
    );
    assert_eq!(world.json(path).await, empty);
    let world = world.restart_belay().await;
    assert_eq!(world.json(path).await, empty);
    let (status, _) = world.call("POST", "/ve/cart/v/items/add", &add("c", 1)).await;
    assert_eq!(status, 200);
    assert_eq!(world.json(path).await["items"][0]["productId"], "c");
}

/// An entity that nobody uses is let go of, whatever the SDK makes of it, and comes back as it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_entities_are_passivated() {
    for sdk in [&GO, &PYTHON] {
        let world = World::start_with(sdk, "entities: { passivation_timeout_ms: 100 }").await;
        let mut grpc = world.grpc().await;
        for count in 1..4 {
            grpc.call::<_, ()>(ADD, item("p", "foo", 1))
                .await
                .expect("it is added");
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            assert_eq!(
                cart(&mut grpc, "p").await.lines(),
                [("foo", count)],
                "{}",
                sdk.name
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_sdk_that_cannot_load_snapshots_is_given_all_events() {
    let world = World::start_with(
        &PYTHON_WITH_SNAPSHOTS,
        "entities: { passivation_timeout_ms: 100 }",
    )
    .await;
    let mut grpc = world.grpc().await;
    for count in 1..8 {
        grpc.call::<_, ()>(ADD, item("s", "foo", 1))
            .await
            .expect("it is added");
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
        assert_eq!(cart(&mut grpc, "s").await.lines(), [("foo", count)]);
    }
}
