//! What every [`ConfigStore`] must do. Each check uses an application of its own, so that they can share a store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base::{Kind, Result};
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::Metadata;
use crate::config::{Changes, ConfigStore, Filter, Item, Scope};

pub async fn all(store: Arc<dyn ConfigStore>) {
    items_are_read_back(&*store).await;
    answers_are_in_the_order_asked(&*store).await;
    everything_is_answered_in_its_own_order(&*store).await;
    scopes_are_apart(&*store).await;
    deleting_is_exact(&*store).await;
    the_last_of_two_items_counts(&*store).await;
    bounds_are_checked(&*store).await;
    a_watch_sees_each_change_once(&*store).await;
    a_watch_sees_only_its_filter(&*store).await;
    what_was_before_is_not_sent(&*store).await;
    watches_end_alone(&*store).await;
    a_watch_nobody_reads_holds_up_nobody(&*store).await;
}

/// `open` opens the same store again; the one before is dropped by then.
pub async fn restarts(open: impl AsyncFn() -> Arc<dyn ConfigStore>) {
    let store = open().await;
    let kept = item("kept", "v");
    put(&*store, "restart", vec![kept.clone(), item("gone", "v")]).await;
    delete(&*store, "restart", &["gone"]).await;
    drop(store);
    let store = open().await;
    assert_eq!(get(&*store, &filter("restart", &[])).await, [kept]);
    let mut watch = watch(&*store, filter("restart", &[])).await;
    put(&*store, "restart", vec![item("new", "v")]).await;
    assert_eq!(
        seen(&mut watch).await,
        ["new=v"],
        "a new watch begins at the end of the log"
    );
}

/// An item of group `g` and label `l`.
pub fn item(key: &str, content: &str) -> Item {
    Item {
        group: "g".into(),
        label: "l".into(),
        key: key.into(),
        content: content.into(),
        tags: BTreeMap::new(),
        metadata: Metadata::new(),
    }
}

/// Items of group `g` and label `l`.
pub fn filter(app: &str, keys: &[&str]) -> Filter {
    Filter {
        app: app.into(),
        group: "g".into(),
        label: "l".into(),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
    }
}

fn within(item: Item, group: &str, label: &str) -> Item {
    Item {
        group: group.into(),
        label: label.into(),
        ..item
    }
}

fn wide(filter: Filter, group: &str, label: &str) -> Filter {
    Filter {
        group: group.into(),
        label: label.into(),
        ..filter
    }
}

async fn put(store: &dyn ConfigStore, app: &str, items: Vec<Item>) {
    store.put(app, items).await.expect("the store works");
}

async fn delete(store: &dyn ConfigStore, app: &str, keys: &[&str]) {
    let scope = Scope {
        app: app.into(),
        group: "g".into(),
        label: "l".into(),
    };
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    store.delete(&scope, &keys).await.expect("the store works");
}

async fn get(store: &dyn ConfigStore, filter: &Filter) -> Vec<Item> {
    store.get(filter).await.expect("the store works")
}

/// The answer as `group/label/key`.
async fn names(store: &dyn ConfigStore, filter: &Filter) -> Vec<String> {
    let items = get(store, filter).await;
    let name = |item: &Item| format!("{}/{}/{}", item.group, item.label, item.key);
    items.iter().map(name).collect()
}

type Watch = BoxStream<'static, Result<Changes>>;

async fn watch(store: &dyn ConfigStore, filter: Filter) -> Watch {
    store.watch(filter).await.expect("the store works")
}

/// The next message of a watch, as `key=content`.
async fn seen(watch: &mut Watch) -> Vec<String> {
    let next = tokio::time::timeout(Duration::from_secs(10), watch.next()).await;
    let changes = next
        .expect("a change arrives within ten seconds")
        .expect("the watch goes on")
        .expect("the store works");
    assert!(!changes.items.is_empty(), "a message without items is never sent");
    let show = |item: &Item| format!("{}={}", item.key, item.content);
    changes.items.iter().map(show).collect()
}

async fn items_are_read_back(store: &dyn ConfigStore) {
    let full = Item {
        tags: BTreeMap::from([("env".into(), "test".into())]),
        metadata: Metadata::from([("from".into(), "\"quoted\"\n".into())]),
        ..item("full", "größe\0 \u{1f980}")
    };
    put(store, "read", vec![full.clone(), item("empty", "")]).await;
    assert_eq!(
        get(store, &filter("read", &["full"])).await,
        std::slice::from_ref(&full)
    );
    assert_eq!(get(store, &filter("read", &["empty"])).await, [item("empty", "")]);
    put(store, "read", vec![item("full", "new")]).await;
    assert_eq!(
        get(store, &filter("read", &["full"])).await,
        [item("full", "new")],
        "a put replaces tags and metadata"
    );
    put(store, "read", vec![]).await;
}

async fn answers_are_in_the_order_asked(store: &dyn ConfigStore) {
    put(store, "asked", vec![item("a", ""), item("b", ""), item("c", "")]).await;
    let asked = filter("asked", &["c", "none", "a", "c"]);
    assert_eq!(names(store, &asked).await, ["g/l/c", "g/l/a", "g/l/c"]);
    let any = filter("asked", &["b", "*"]);
    assert_eq!(names(store, &any).await, ["g/l/b", "g/l/a", "g/l/b", "g/l/c"]);
}

async fn everything_is_answered_in_its_own_order(store: &dyn ConfigStore) {
    let items = vec![
        within(item("a", ""), "h", "l"),
        within(item("b", ""), "g", "m"),
        item("z", ""),
        item("key/with/slashes", ""),
    ];
    put(store, "every", items).await;
    let own = ["g/l/key/with/slashes", "g/l/z"];
    assert_eq!(names(store, &filter("every", &[])).await, own);
    let labels = wide(filter("every", &[]), "g", "*");
    assert_eq!(names(store, &labels).await, [own[0], own[1], "g/m/b"]);
    let all = wide(filter("every", &[]), "*", "*");
    assert_eq!(names(store, &all).await, [own[0], own[1], "g/m/b", "h/l/a"]);
    let groups = wide(filter("every", &["a", "z"]), "*", "l");
    assert_eq!(names(store, &groups).await, ["h/l/a", "g/l/z"]);
    assert!(get(store, &filter("ever", &[])).await.is_empty());
}

async fn scopes_are_apart(store: &dyn ConfigStore) {
    put(store, "apart", vec![item("a", "own")]).await;
    put(store, "apart2", vec![item("a", "other app")]).await;
    let other = within(item("a", "other label"), "g", "l2");
    put(
        store,
        "apart",
        vec![other, within(item("a", "other group"), "gl", "")],
    )
    .await;
    assert_eq!(get(store, &filter("apart", &["a"])).await, [item("a", "own")]);
    delete(store, "apart", &["a"]).await;
    assert!(get(store, &filter("apart", &[])).await.is_empty());
    assert_eq!(get(store, &wide(filter("apart", &[]), "*", "*")).await.len(), 2);
    assert_eq!(get(store, &filter("apart2", &[])).await.len(), 1);
}

async fn deleting_is_exact(store: &dyn ConfigStore) {
    let items = ["key", "key1", "key1/a", "other"].map(|key| item(key, "v"));
    put(store, "exact", items.to_vec()).await;
    delete(store, "exact", &["key1", "none", "other", "other"]).await;
    delete(store, "exact", &[]).await;
    assert_eq!(
        names(store, &filter("exact", &[])).await,
        ["g/l/key", "g/l/key1/a"]
    );
}

async fn the_last_of_two_items_counts(store: &dyn ConfigStore) {
    let mut watch = watch(store, filter("twice", &[])).await;
    let items = vec![item("a", "first"), item("b", "only"), item("a", "last")];
    put(store, "twice", items).await;
    assert_eq!(get(store, &filter("twice", &["a"])).await, [item("a", "last")]);
    assert_eq!(seen(&mut watch).await, ["b=only", "a=last"]);
}

async fn bounds_are_checked(store: &dyn ConfigStore) {
    let long = "k".repeat(base::limits::KEY_BYTES_MAX);
    for key in ["", &long] {
        let items = vec![item("good", "v"), item(key, "v")];
        let error = store
            .put("bounds", items)
            .await
            .expect_err("the key is out of bounds");
        assert_eq!(error.kind(), Kind::InvalidArgument);
    }
    assert!(
        get(store, &filter("bounds", &[])).await.is_empty(),
        "a put is made whole or not"
    );
}

async fn a_watch_sees_each_change_once(store: &dyn ConfigStore) {
    let mut one = watch(store, filter("watch", &["a"])).await;
    let mut all = watch(store, filter("watch", &[])).await;
    let mut other = watch(store, filter("watch", &["a"])).await;
    put(store, "watch", vec![item("a", "1")]).await;
    put(store, "watch", vec![item("n", "1")]).await;
    delete(store, "watch", &["a", "none"]).await;
    assert_eq!(seen(&mut one).await, ["a=1"]);
    assert_eq!(seen(&mut one).await, ["a="]);
    for expected in ["a=1", "n=1", "a="] {
        assert_eq!(seen(&mut all).await, [expected]);
    }
    drop(one);
    put(store, "watch", vec![item("b", "2"), item("a", "2")]).await;
    assert_eq!(seen(&mut all).await, ["b=2", "a=2"], "one commit is one message");
    for expected in ["a=1", "a=", "a=2"] {
        assert_eq!(
            seen(&mut other).await,
            [expected],
            "it goes on after another is closed"
        );
    }
}

async fn a_watch_sees_only_its_filter(store: &dyn ConfigStore) {
    let mut narrow = watch(store, filter("narrow", &["a", "b"])).await;
    let mut label = watch(store, wide(filter("narrow", &[]), "*", "m")).await;
    put(store, "narrow", vec![item("c", "")]).await;
    put(store, "narrow2", vec![item("a", "")]).await;
    put(store, "narrow", vec![within(item("a", ""), "g2", "l")]).await;
    delete(store, "narrow", &["c", "b"]).await;
    put(store, "narrow", vec![item("c", ""), item("b", "seen")]).await;
    put(store, "narrow", vec![within(item("x", "m"), "g3", "m")]).await;
    assert_eq!(seen(&mut narrow).await, ["b=seen"]);
    assert_eq!(seen(&mut label).await, ["x=m"]);
}

async fn what_was_before_is_not_sent(store: &dyn ConfigStore) {
    put(store, "before", vec![item("a", "old")]).await;
    let mut watch = watch(store, filter("before", &[])).await;
    delete(store, "before", &["none"]).await;
    put(store, "before", vec![item("a", "new")]).await;
    assert_eq!(seen(&mut watch).await, ["a=new"]);
}

async fn watches_end_alone(store: &dyn ConfigStore) {
    let mut watches = vec![];
    for _ in 0..10 {
        watches.push(watch(store, filter("end", &[])).await);
    }
    for round in 0..10 {
        let content = round.to_string();
        put(store, "end", vec![item("a", &content)]).await;
        for watch in &mut watches {
            assert_eq!(seen(watch).await, [format!("a={content}")]);
        }
        watches.pop();
    }
}

async fn a_watch_nobody_reads_holds_up_nobody(store: &dyn ConfigStore) {
    let mut slow = watch(store, filter("slow", &[])).await;
    let mut quick = watch(store, filter("slow", &[])).await;
    for n in 0..500 {
        put(store, "slow", vec![item("a", &n.to_string())]).await;
        assert_eq!(seen(&mut quick).await, [format!("a={n}")]);
    }
    for n in 0..500 {
        assert_eq!(seen(&mut slow).await, [format!("a={n}")], "all of it, in order");
    }
}
