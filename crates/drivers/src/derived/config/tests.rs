use std::collections::BTreeMap;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use ports::Metadata;
use ports::conformance::config::{filter, item};
use ports::kv::{Position, Version};

use super::*;
use crate::derived::tests::{BEGINNING, Probe};

const SECOND: Duration = Duration::from_secs(1);

fn over(probe: &Arc<Probe>) -> Config {
    Config::over(probe.clone(), "c")
}

async fn put(config: &Config, items: Vec<Item>) {
    config.put("app", items).await.expect("the store works");
}

async fn set(config: &Config, key: &str, content: &str) {
    put(config, vec![item(key, content)]).await;
}

fn scope() -> Scope {
    Scope {
        app: "app".into(),
        group: "g".into(),
        label: "l".into(),
    }
}

async fn delete(config: &Config, keys: &[&str]) {
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    config.delete(&scope(), &keys).await.expect("the store works");
}

type Watch = BoxStream<'static, Result<Changes>>;

async fn watch(config: &Config, keys: &[&str]) -> Watch {
    config.watch(filter("app", keys)).await.expect("the store works")
}

/// What a watch has to say by now: each message as `key=content`, an error as its code.
fn ready(watch: &mut Watch) -> Vec<String> {
    let mut said = vec![];
    let mut idle = 0;
    while idle < 2 {
        match watch.next().now_or_never() {
            Some(Some(Ok(changes))) => {
                let show = |item: &Item| format!("{}={}", item.key, item.content);
                let shown: Vec<String> = changes.items.iter().map(show).collect();
                said.push(shown.join(" "));
            }
            Some(Some(Err(error))) => said.push(error.code().id.to_owned()),
            Some(None) => {
                said.push("end".to_owned());
                return said;
            }
            None => idle += 1,
        }
    }
    said
}

async fn log(probe: &Arc<Probe>) -> Vec<Position> {
    let rows = Scan::prefix(Keyspace::Journal, "c/c\0\u{1}");
    let page = ports::kv::Reads::scan(&**probe, rows)
        .await
        .expect("the store works");
    let position = |key: &[u8]| Position::decode(key).expect("a log row");
    page.rows.iter().map(|(key, _)| position(key)).collect()
}

/// C47: one message per change and interested stream; a stream on everything sees later keys and deletions; ending one
/// stream ends no other.
#[tokio::test]
async fn streams_see_each_change_of_theirs_once() {
    let config = over(&Probe::new());
    let mut one = watch(&config, &["a"]).await;
    let mut all = watch(&config, &[]).await;
    let mut three = watch(&config, &["a"]).await;
    set(&config, "a", "1").await;
    set(&config, "n", "new").await;
    delete(&config, &["a"]).await;
    assert_eq!(ready(&mut one), ["a=1", "a="]);
    drop(one);
    set(&config, "a", "2").await;
    assert_eq!(ready(&mut all), ["a=1", "n=new", "a=", "a=2"]);
    assert_eq!(ready(&mut three), ["a=1", "a=", "a=2"]);
}

#[tokio::test]
async fn a_put_is_one_commit_without_a_read() {
    let probe = Probe::new();
    put(&over(&probe), vec![item("a", "1"), item("b", "2")]).await;
    assert_eq!((probe.reads(), probe.commits().len()), (0, 1));
}

#[tokio::test]
async fn deleting_what_is_not_there_writes_nothing() {
    let probe = Probe::new();
    let config = over(&probe);
    let mut all = watch(&config, &[]).await;
    delete(&config, &["none", "nothing"]).await;
    assert!(probe.commits().is_empty());
    set(&config, "there", "v").await;
    delete(&config, &["none", "there", "there"]).await;
    assert_eq!(ready(&mut all), ["there=v", "there="]);
}

/// Between reading what is there and deleting it, others delete and create: watches still see what happened.
#[tokio::test]
async fn a_deletion_tells_exactly_what_it_deleted() {
    let probe = Probe::new();
    let config = over(&probe);
    set(&config, "a", "v").await;
    let mut all = watch(&config, &[]).await;
    let other = config.deletion(&scope(), &["a"]).await;
    probe.intrude(other.expect("the store works").expect("a is there"));
    delete(&config, &["a", "b"]).await;
    assert_eq!(ready(&mut all), ["a="], "the other one's deletion, not ours");
    set(&config, "a", "v").await;
    let came = config.stage_put(Batch::default(), "app", vec![item("b", "v")]);
    probe.intrude(came.expect("the item is good"));
    delete(&config, &["a", "b"]).await;
    assert_eq!(ready(&mut all), ["a=v", "b=v", "a= b="]);
}

#[tokio::test]
async fn a_scan_goes_over_many_pages() {
    let config = over(&Probe::new());
    let items: Vec<Item> = (0..2_500).map(|n| item(&format!("{n:05}"), "v")).collect();
    put(&config, items.clone()).await;
    let found = config.get(&filter("app", &[])).await.expect("the store works");
    assert_eq!(found, items);
}

#[tokio::test]
async fn an_answer_over_the_limit_is_refused() {
    let config = over(&Probe::new());
    let count = limits::CONFIG_ITEMS_MAX;
    put(&config, (0..count).map(|n| item(&n.to_string(), "")).collect()).await;
    let found = config.get(&filter("app", &[])).await.expect("the store works");
    assert_eq!(found.len(), count);
    set(&config, "one more", "").await;
    let error = config.get(&filter("app", &[])).await.expect_err("it is too much");
    assert_eq!(error.code(), codes::ANSWER_TOO_LARGE);
    let twice = Filter {
        label: "l".into(),
        ..filter("app", &["*", "0"])
    };
    let error = config.get(&twice).await.expect_err("it is too much");
    assert_eq!(error.code(), codes::ANSWER_TOO_LARGE);
    let many = filter("app", &vec!["0"; count + 1]);
    let error = config.get(&many).await.expect_err("it is too much");
    assert_eq!(error.code(), codes::ANSWER_TOO_LARGE);
}

#[tokio::test]
async fn the_log_is_trimmed_by_age() {
    let probe = Probe::new();
    let config = over(&probe);
    for n in 0..100 {
        set(&config, "a", &n.to_string()).await;
    }
    probe.clock.advance(limits::CONFIG_LOG_AGE_MAX);
    set(&config, "a", "young").await;
    assert_eq!(config.trim().await.ok(), Some(Progress::Done));
    assert_eq!(log(&probe).await.len(), 101, "an hour old is not too old");
    probe.clock.advance(Duration::from_millis(1));
    assert_eq!(config.trim().await.ok(), Some(Progress::More));
    assert_eq!(log(&probe).await.len(), 101 - limits::CONFIG_LOG_PAGE_ROWS);
    assert_eq!(config.trim().await.ok(), Some(Progress::Done));
    assert_eq!(log(&probe).await.len(), 1);
    let commits = probe.commits().len();
    assert_eq!(config.trim().await.ok(), Some(Progress::Done));
    assert_eq!(
        probe.commits().len(),
        commits,
        "where nothing is to do nothing is written"
    );
}

#[tokio::test]
async fn the_log_is_trimmed_by_count() {
    let probe = Probe::new();
    let config = over(&probe);
    let surplus = 70;
    for n in 0..limits::CONFIG_LOG_ROWS_MAX + surplus {
        set(&config, "a", &n.to_string()).await;
    }
    let first = log(&probe).await[0];
    assert_eq!(config.trim().await.ok(), Some(Progress::More));
    assert_eq!(config.trim().await.ok(), Some(Progress::Done));
    let left = log(&probe).await[0];
    assert_eq!(left.version.0 - first.version.0, surplus);
    set(&config, "a", "one more").await;
    assert_eq!(config.trim().await.ok(), Some(Progress::Done));
    let after: Vec<Position> = log(&probe).await;
    assert_eq!(after[0].version.0 - left.version.0, 1, "trims are counted");
}

#[tokio::test]
async fn of_two_trims_at_once_one_wins() {
    let probe = Probe::new();
    let config = over(&probe);
    for _ in 0..5 {
        set(&config, "a", "v").await;
    }
    probe.clock.advance(2 * limits::CONFIG_LOG_AGE_MAX);
    let mark = Mark {
        through: log(&probe).await[0],
        rows: 1,
    };
    let key = Key::state("t/c\0\u{1}mark");
    probe.intrude(Batch::default().put(key.clone(), mark.encode()));
    assert_eq!(config.trim().await.ok(), Some(Progress::More));
    assert_eq!(log(&probe).await.len(), 5);
    assert_eq!(config.trim().await.ok(), Some(Progress::Done));
    let row = probe.row(&key).await.expect("it is there");
    assert_eq!(Mark::decode(&row.value).map(|mark| mark.rows).ok(), Some(5));
}

#[tokio::test]
async fn a_watch_that_fell_behind_the_log_ends_with_data_loss() {
    let probe = Probe::new();
    let config = over(&probe);
    let mut slow = watch(&config, &[]).await;
    let mut quick = watch(&config, &[]).await;
    set(&config, "a", "old").await;
    assert_eq!(ready(&mut quick), ["a=old"]);
    probe.clock.advance(2 * limits::CONFIG_LOG_AGE_MAX);
    set(&config, "a", "new").await;
    assert_eq!(config.trim().await.ok(), Some(Progress::Done));
    assert_eq!(ready(&mut slow), [codes::WATCH_BEHIND.id, "end"]);
    assert_eq!(codes::WATCH_BEHIND.kind, base::Kind::DataLoss);
    assert_eq!(ready(&mut quick), ["a=new"], "who had read it lost nothing");
}

#[tokio::test]
async fn a_watch_on_a_log_trimmed_bare_begins_at_its_end() {
    let probe = Probe::new();
    let config = over(&probe);
    set(&config, "a", "old").await;
    probe.clock.advance(2 * limits::CONFIG_LOG_AGE_MAX);
    assert_eq!(config.trim().await.ok(), Some(Progress::Done));
    assert!(log(&probe).await.is_empty());
    let mut all = watch(&config, &[]).await;
    set(&config, "a", "new").await;
    assert_eq!(ready(&mut all), ["a=new"]);
}

#[tokio::test]
async fn a_watch_holds_one_page_at_most() {
    let probe = Probe::new();
    let config = over(&probe);
    let mut slow = watch(&config, &[]).await;
    for n in 0..3 * limits::CONFIG_LOG_PAGE_ROWS {
        set(&config, "a", &n.to_string()).await;
    }
    let reads = probe.reads();
    assert_eq!(probe.reads(), reads, "unread, it reads nothing");
    assert!(slow.next().await.is_some());
    assert_eq!(probe.reads() - reads, 1, "one view for one page");
    assert_eq!(
        ready(&mut slow).len(),
        3 * limits::CONFIG_LOG_PAGE_ROWS - 1,
        "and then the rest"
    );
}

#[tokio::test]
async fn a_waiting_watch_is_woken() {
    let config = over(&Probe::new());
    let mut all = watch(&config, &[]).await;
    let told = async { all.next().await };
    let changed = async {
        tokio::task::yield_now().await;
        set(&config, "a", "v").await;
    };
    let both = futures::future::join(told, changed);
    let (told, ()) = tokio::time::timeout(10 * SECOND, both)
        .await
        .expect("it is woken");
    let items = told.expect("it goes on").expect("the store works").items;
    assert_eq!(items, [item("a", "v")]);
}

#[tokio::test]
async fn a_change_during_a_read_is_not_slept_through() {
    let probe = Probe::new();
    let config = over(&probe);
    let mut all = watch(&config, &[]).await;
    let late = config.stage_put(Batch::default(), "app", vec![item("a", "v")]);
    probe.intrude_late(late.expect("the item is good"));
    assert_eq!(ready(&mut all), ["a=v"]);
}

#[tokio::test]
async fn a_change_while_a_watch_begins_is_seen_once() {
    let probe = Probe::new();
    let config = over(&probe);
    let late = config.stage_put(Batch::default(), "app", vec![item("a", "v")]);
    probe.intrude_late(late.expect("the item is good"));
    let mut all = watch(&config, &[]).await;
    set(&config, "a", "w").await;
    assert_eq!(ready(&mut all), ["a=v", "a=w"]);
}

fn full() -> Item {
    Item {
        tags: BTreeMap::from([("t".into(), "1".into())]),
        metadata: Metadata::from([("m".into(), "2".into())]),
        ..item("k", "v")
    }
}

/// Keys and values as the first version wrote them: they must stay readable.
#[tokio::test]
async fn rows_of_the_first_format_are_read() {
    let probe = Probe::new();
    let config = over(&probe);
    let stored = br#".{"content":"v","tags":{"t":"1"},"metadata":{"m":"2"}}"#;
    let stored = [b"\x01", &stored[1..]].concat();
    let key = Key::state("c/c\0\u{1}app\0\u{1}g\0\u{1}l\0\u{1}k");
    probe.put_row(key.clone(), &stored).await;
    for keys in [&["k"][..], &[]] {
        let found = config.get(&filter("app", keys)).await;
        assert_eq!(found.ok(), Some(vec![full()]));
    }
    put(&config, vec![full()]).await;
    assert_eq!(
        probe.row(&key).await.expect("it is there").value,
        stored.as_slice()
    );
    let plain = br#"{"content":"v"}"#;
    probe.put_row(key, &[b"\x01", &plain[..]].concat()).await;
    let found = config.get(&filter("app", &["k"])).await;
    assert_eq!(found.ok(), Some(vec![item("k", "v")]));
}

#[test]
fn log_rows_of_the_first_format_are_read() {
    let json = br#"{"app":"app","items":[{"group":"g","label":"l","key":"k","content":"v","tags":{"t":"1"},"metadata":{"m":"2"}}]}"#;
    let stored: bytes::Bytes = [b"\x01\x40\x42\x0f\0\0\0\0\0", &json[..]].concat().into();
    assert_eq!(rows::encode_record(BEGINNING, "app", &[full()]), stored);
    let record = rows::decode_record(&stored).expect("a good row");
    assert_eq!((record.app.as_str(), record.items), ("app", vec![full()]));
    assert_eq!(rows::record_time(&stored).ok(), Some(BEGINNING));
    let mark = Mark {
        through: Position {
            version: Version(7),
            index: 3,
        },
        rows: 9,
    };
    let stored = bytes::Bytes::from_static(b"\x01\0\0\0\0\0\0\0\x07\0\x03\x09\0\0\0\0\0\0\0");
    assert_eq!(mark.encode(), stored);
    assert_eq!(Mark::decode(&stored).ok(), Some(mark));
}

#[test]
fn damaged_rows_are_refused() {
    let shown = |error: Error| error.code().id;
    for value in [&b""[..], b"\x02", b"\x01short"] {
        let value = bytes::Bytes::copy_from_slice(value);
        let unreadable = Some(codes::STORED_ROW_UNREADABLE.id);
        assert_eq!(rows::decode_record(&value).err().map(shown), unreadable);
        assert_eq!(rows::record_time(&value).err().map(shown), unreadable);
        assert_eq!(Mark::decode(&value).err().map(shown), unreadable);
        assert_eq!(
            rows::decode_item("g", "l", "k", &value).err().map(shown),
            unreadable
        );
    }
}

#[tokio::test]
async fn a_damaged_change_ends_the_watches_that_reach_it() {
    let probe = Probe::new();
    let config = over(&probe);
    let mut all = watch(&config, &[]).await;
    let damaged = ports::kv::Write::Append {
        keyspace: Keyspace::Journal,
        prefix: "c/c\0\u{1}".into(),
        value: "?".into(),
        expires_at: None,
    };
    probe
        .commit(Batch::of(vec![damaged]))
        .await
        .expect("the store works");
    assert_eq!(ready(&mut all), [codes::STORED_ROW_UNREADABLE.id, "end"]);
}
