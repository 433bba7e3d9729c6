//! Actions of the Go SDK: streams, forwards, side effects.

use tonic::{Code, Request};

use super::carts::{AddLineItem, Cart, GetShoppingCart, cart, item};
use super::world::World;

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Number {
    #[prost(int64, tag = "1")]
    value: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Note {
    #[prost(string, tag = "1")]
    text: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AddItemBeside {
    #[prost(message, optional, tag = "1")]
    item: Option<AddLineItem>,
    #[prost(bool, tag = "2")]
    synchronous: bool,
    #[prost(string, tag = "3")]
    failure: String,
}

fn numbers(values: &[i64]) -> Vec<Number> {
    values.iter().map(|value| Number { value: *value }).collect()
}

pub(super) async fn all_pass(world: &World) {
    numbers_are_served(world).await;
    commands_are_forwarded(world).await;
    effects_happen(world).await;
    what_cannot_be_done_is_told(world).await;
}

/// What the SDKs of both dialects can do: one request, and one or many answers.
pub(super) async fn in_both_dialects(world: &World) {
    let mut grpc = world.grpc().await;
    let doubled: Number = grpc
        .call("/com.example.numbers.Numbers/Double", Number { value: 21 })
        .await
        .expect("twice");
    assert_eq!(doubled.value, 42);
    let count: Vec<Number> = grpc
        .stream("/com.example.numbers.Numbers/Count", numbers(&[4]))
        .await
        .expect("numbers");
    assert_eq!(count, numbers(&[1, 2, 3, 4]));
}

async fn numbers_are_served(world: &World) {
    in_both_dialects(world).await;
    let mut grpc = world.grpc().await;
    let negative = grpc
        .call::<_, Number>("/com.example.numbers.Numbers/Double", Number { value: -4 })
        .await;
    let negative = negative.expect_err("it is negative");
    assert_eq!(
        (negative.code(), negative.message()),
        (Code::Unknown, "-4 is negative")
    );
    let sum: Vec<Number> = grpc
        .stream("/com.example.numbers.Numbers/Sum", numbers(&[1, 2, 39]))
        .await
        .expect("a sum");
    assert_eq!(sum, numbers(&[42]));
    let each: Vec<Number> = grpc
        .stream("/com.example.numbers.Numbers/DoubleEach", numbers(&[1, 2, 3]))
        .await
        .expect("numbers");
    assert_eq!(each, numbers(&[2, 4, 6]));
    assert_eq!(
        world.call("POST", "/numbers/double", r#"{"value":"4"}"#).await,
        (200, r#"{"value":"8"}"#.into())
    );
    assert_eq!(
        world.call("GET", "/numbers/double/5", "").await,
        (200, r#"{"value":"10"}"#.into())
    );
    let lines = "{\"value\":\"1\"}\n{\"value\":\"2\"}\n";
    assert_eq!(
        world.call("GET", "/numbers/count/2", "").await,
        (200, lines.into())
    );
    let mut request = Request::new(Number { value: 1 });
    request
        .metadata_mut()
        .insert("x-tag", "mine".parse().expect("a header"));
    let answer = grpc
        .request::<_, Number>("/com.example.numbers.Numbers/Double", request)
        .await
        .expect("twice");
    assert_eq!(
        answer.metadata().get("x-tag").and_then(|tag| tag.to_str().ok()),
        Some("mine"),
        "copied by the SDK"
    );
}

async fn commands_are_forwarded(world: &World) {
    let mut grpc = world.grpc().await;
    grpc.call::<_, ()>("/com.example.cartactions.CartActions/Add", item("f", "foo", 2))
        .await
        .expect("it is added");
    let get = GetShoppingCart { user_id: "f".into() };
    let shown: Cart = grpc
        .call("/com.example.cartactions.CartActions/Show", get.clone())
        .await
        .expect("a cart");
    assert_eq!(shown.lines(), [("foo", 2)]);
    let refused = grpc
        .call::<_, ()>("/com.example.cartactions.CartActions/Add", item("f", "foo", 0))
        .await;
    assert_eq!(
        refused.expect_err("forwarded").message(),
        "the quantity must be positive"
    );
    let each: Vec<Cart> = grpc
        .stream(
            "/com.example.cartactions.CartActions/ShowEach",
            vec![get.clone(), get],
        )
        .await
        .expect("carts");
    assert_eq!(each.len(), 2);
    let watched = world.call("GET", "/actions/f/watch/2", "").await;
    let line = r#"{"items":[{"productId":"foo","name":"A foo","quantity":2}]}"#;
    assert_eq!(watched, (200, format!("{line}\n{line}\n")));
}

async fn effects_happen(world: &World) {
    let mut grpc = world.grpc().await;
    let mut beside = async |synchronous, failure: &str| {
        let ask = AddItemBeside {
            item: Some(item("e", "foo", 1)),
            synchronous,
            failure: failure.into(),
        };
        grpc.call::<_, Note>("/com.example.cartactions.CartActions/AddBeside", ask)
            .await
    };
    assert_eq!(beside(true, "").await.expect("a note").text, "added beside");
    let failed = beside(true, "as asked").await.expect_err("it fails");
    assert_eq!((failed.code(), failed.message()), (Code::Unknown, "as asked"));
    let mut reader = world.grpc().await;
    assert_eq!(
        cart(&mut reader, "e").await.lines(),
        [("foo", 2)],
        "beside a failure as well"
    );
    beside(false, "").await.expect("a note");
    tests::eventually("the effect that nobody waits for", || {
        let mut reader = reader.clone();
        async move { (cart(&mut reader, "e").await.lines() == [("foo", 3)]).then_some(()) }
    })
    .await;
    let items = vec![item("all", "a", 1), item("all", "b", 1)];
    let noted: Vec<Note> = reader
        .stream("/com.example.cartactions.CartActions/AddAll", items)
        .await
        .expect("a note");
    assert_eq!(noted[0].text, "2 added");
    assert_eq!(cart(&mut reader, "all").await.lines(), [("a", 1), ("b", 1)]);
}

async fn what_cannot_be_done_is_told(world: &World) {
    let mut grpc = world.grpc().await;
    let mut ask = async |path| {
        let note = Note { text: "why".into() };
        grpc.call::<_, Note>(path, note).await.expect_err("it fails")
    };
    let refused = ask("/com.example.cartactions.CartActions/Refuse").await;
    assert_eq!((refused.code(), refused.message()), (Code::Unknown, "why"));
    let broken = ask("/com.example.cartactions.CartActions/Break").await;
    assert_eq!((broken.code(), broken.message()), (Code::Unknown, "why"));
    let silent = ask("/com.example.cartactions.CartActions/Silence").await;
    assert_eq!(silent.code(), Code::Internal);
    let nowhere = ask("/com.example.cartactions.CartActions/ForwardNowhere").await;
    assert!(nowhere.message().contains("com.example.Nowhere"), "{nowhere}");
    let nothing = ask("/com.example.cartactions.CartActions/AffectNowhere").await;
    assert!(nothing.message().contains("com.example.Nowhere"), "{nothing}");
    let reported = "on the way com.example.cartactions.CartActions/ForwardNowhere";
    tests::eventually("the report", || async {
        world.said().contains(reported).then_some(())
    })
    .await;
}
