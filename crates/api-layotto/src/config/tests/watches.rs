//! Subscriptions. That nothing comes is shown by what comes next.

use super::*;

/// One stream of a client.
struct Subscriber {
    requests: Option<mpsc::Sender<pb::SubscribeConfigurationRequest>>,
    responses: Streaming<pb::SubscribeConfigurationResponse>,
}

impl Subscriber {
    async fn open(mut client: Client) -> Subscriber {
        let (tx, rx) = mpsc::channel(8);
        let answer = client.subscribe_configuration(ReceiverStream::new(rx)).await;
        Subscriber {
            requests: Some(tx),
            responses: answer.expect("the stream opens at once").into_inner(),
        }
    }

    async fn ask(&self, request: pb::SubscribeConfigurationRequest) {
        let requests = self.requests.as_ref().expect("its side is open");
        requests.send(request).await.expect("the stream is open");
    }

    fn half_close(&mut self) {
        self.requests = None;
    }

    /// Keys and contents of the next message, and the application it is of.
    async fn next(&mut self) -> (String, String) {
        let message = self.responses.message().await.expect("no error");
        let message = message.expect("the stream goes on");
        assert_eq!(message.store_name, STORE);
        let items = message.items.iter();
        let items: Vec<String> = items
            .map(|item| format!("{}={}", item.key, item.content))
            .collect();
        (message.app_id, items.join(" "))
    }

    async fn end(&mut self) -> Option<(Code, String)> {
        match self.responses.message().await {
            Ok(None) => None,
            Ok(Some(message)) => panic!("an unexpected message: {message:?}"),
            Err(status) => Some((status.code(), status.message().to_owned())),
        }
    }
}

fn watch(store: &str, app: &str, keys: &[&str]) -> pb::SubscribeConfigurationRequest {
    pb::SubscribeConfigurationRequest {
        store_name: store.into(),
        app_id: app.into(),
        group: " ".into(),
        label: String::new(),
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        ..Default::default()
    }
}

async fn put(fakes: &Fakes, app: &str, items: &[(&str, &str)]) {
    let items = items.iter().map(|(key, content)| Item {
        group: "default".into(),
        label: "plain".into(),
        key: (*key).into(),
        content: (*content).into(),
        tags: Default::default(),
        metadata: Default::default(),
    });
    fakes
        .configs
        .put(app, items.collect())
        .await
        .expect("the fake takes it");
}

fn of_app(items: &str) -> (String, String) {
    ("app".into(), items.into())
}

/// Case C47.
#[tokio::test]
async fn each_stream_hears_of_each_change_it_asked_for_once() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let mut one = Subscriber::open(client.clone()).await;
    let mut all = Subscriber::open(client.clone()).await;
    let mut other = Subscriber::open(client.clone()).await;
    one.ask(watch(STORE, "app", &["a"])).await;
    all.ask(watch(STORE, "app", &[])).await;
    other.ask(watch(STORE, "other", &["a"])).await;
    fakes.configs.watched(3).await;
    let set = |key: &str, content: &str| save_items(STORE, "app", vec![item("", "", key, content)]);
    client.save_configuration(set("a", "1")).await.expect("it saves");
    client
        .save_configuration(set("n", "new"))
        .await
        .expect("it saves");
    client
        .delete_configuration(delete_items(STORE, &["a"]))
        .await
        .expect("it deletes");
    for expected in ["a=1", "a="] {
        assert_eq!(one.next().await, of_app(expected));
    }
    for expected in ["a=1", "n=new", "a="] {
        assert_eq!(all.next().await, of_app(expected));
    }
    drop(one);
    client.save_configuration(set("a", "2")).await.expect("it saves");
    let of_other = save_items(STORE, "other", vec![item("", "", "a", "mine")]);
    client.save_configuration(of_other).await.expect("it saves");
    assert_eq!(all.next().await, of_app("a=2"));
    assert_eq!(other.next().await, ("other".into(), "a=mine".into()));
}

#[tokio::test]
async fn a_stream_takes_many_requests_and_stays_open_without_its_sender() {
    let fakes = Fakes::default();
    let mut stream = Subscriber::open(fakes.run().await.client).await;
    stream.ask(watch(STORE, "app", &["haha", "key1"])).await;
    stream.ask(watch(STORE, "app", &["heihei"])).await;
    stream.half_close();
    fakes.configs.watched(2).await;
    put(&fakes, "app", &[("heihei", "1")]).await;
    assert_eq!(stream.next().await, of_app("heihei=1"));
    put(&fakes, "app", &[("haha", "2"), ("unwatched", "x"), ("key1", "3")]).await;
    assert_eq!(stream.next().await, of_app("haha=2 key1=3"));
}

#[tokio::test]
async fn requests_that_overlap_do_not_double_a_change() {
    let fakes = Fakes::default();
    let mut stream = Subscriber::open(fakes.run().await.client).await;
    for keys in [&["a"][..], &["a"], &["a", "b"], &[], &["c"]] {
        stream.ask(watch(STORE, "app", keys)).await;
    }
    fakes.configs.watched(3).await;
    for (key, expected) in [("a", "a=1"), ("b", "b=1"), ("c", "c=1")] {
        put(&fakes, "app", &[(key, "1")]).await;
        assert_eq!(stream.next().await, of_app(expected));
    }
}

#[tokio::test]
async fn an_unknown_store_ends_the_stream_and_all_its_subscriptions() {
    let fakes = Fakes::default();
    let mut stream = Subscriber::open(fakes.run().await.client).await;
    stream.ask(watch(STORE, "app", &["a"])).await;
    fakes.configs.watched(1).await;
    stream.ask(watch("etcd", "app", &["a"])).await;
    let message = "configure store [etcd] don't support now".to_owned();
    assert_eq!(stream.end().await, Some((Code::Unknown, message)));
    crate::testing::until(|| fakes.configs.open_watches() == 0).await;
}

#[tokio::test]
async fn a_stream_that_can_hear_nothing_ends() {
    let mut stream = Subscriber::open(Fakes::default().run().await.client).await;
    stream.half_close();
    assert_eq!(stream.end().await, None);
}

#[tokio::test]
async fn a_watch_that_a_store_refuses_or_ends_ends_the_stream() {
    let fakes = Fakes::default();
    let client = fakes.run().await.client;
    let mut stream = Subscriber::open(client.clone()).await;
    stream.ask(watch(STORE, "app", &["a"])).await;
    fakes.configs.watched(1).await;
    put(&fakes, "app", &[("a", "1")]).await;
    fakes.configs.close();
    assert_eq!(stream.next().await, of_app("a=1"));
    let message = "configure store [demo] has closed, read its items again and subscribe anew".to_owned();
    assert_eq!(stream.end().await, Some((Code::Unavailable, message)));

    let mut stream = Subscriber::open(client.clone()).await;
    stream.ask(watch(STORE, "app", &["a"])).await;
    fakes.configs.watched(2).await;
    fakes.configs.fall_behind();
    let message = "the watch fell behind".to_owned();
    assert_eq!(stream.end().await, Some((Code::Unknown, message)));

    fakes
        .configs
        .fault
        .set(codes::ENGINE_STOPPED, "the engine is down");
    let mut stream = Subscriber::open(client).await;
    stream.ask(watch(STORE, "app", &["a"])).await;
    let message = "the engine is down".to_owned();
    assert_eq!(stream.end().await, Some((Code::Unknown, message)));
}

#[tokio::test]
async fn a_stream_holds_so_many_watches_and_no_more() {
    let fakes = Fakes::default();
    let mut stream = Subscriber::open(fakes.run().await.client).await;
    for key in 0..=base::limits::WATCHES_PER_STREAM_MAX {
        stream.ask(watch(STORE, "app", &[&key.to_string()])).await;
    }
    let message = "a stream may hold 1000 subscriptions, open another one".to_owned();
    assert_eq!(stream.end().await, Some((Code::ResourceExhausted, message)));
}
