use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::time::ManualClock;
use base::{Clock, Code, Timestamp, codes};
use ports::conformance;
use ports::kv::{Batch, Durability, Expect, Key, Kv, Outcome, Reads, Version, Write};
use tempfile::TempDir;

use super::{Embedded, Mode, Options};

const START: Timestamp = Timestamp(1_000_000);

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn open_as(path: &Path, options: &Options) -> base::Result<Embedded> {
    Embedded::open(path, options, |seen| Arc::new(ManualClock::at(START.max(seen))))
}

fn open(path: &Path) -> Embedded {
    open_as(path, &Options::default()).expect("it opens")
}

#[track_caller]
fn refused(path: &Path) -> base::Error {
    open_as(path, &Options::default())
        .err()
        .expect("it must not open")
}

async fn put(kv: &Embedded, name: &str, value: &str) -> Version {
    let outcome = kv
        .commit(Batch::default().put(Key::state(name.to_owned()), value.to_owned()))
        .await;
    match outcome.expect("the engine works") {
        Outcome::Committed { version, .. } => version,
        conflict => panic!("no condition, no conflict: {conflict:?}"),
    }
}

async fn get(kv: &Embedded, name: &str) -> Option<Vec<u8>> {
    let entry = kv
        .get(&Key::state(name.to_owned()))
        .await
        .expect("the engine works");
    entry.map(|entry| entry.value.to_vec())
}

async fn conforms(options: Options) {
    let folder = folder();
    let clock = ManualClock::at(START);
    let own = clock.clone();
    let kv = Embedded::open(folder.path(), &options, |_| Arc::new(own)).expect("it opens");
    conformance::kv::all(Arc::new(kv), &|by: Duration| clock.advance(by)).await;
}

#[tokio::test]
async fn it_is_a_kv() {
    conforms(Options::default()).await;
}

#[tokio::test]
async fn it_is_a_kv_in_relaxed_mode() {
    conforms(Options {
        mode: Mode::Relaxed,
        sync_interval_ms: 1,
        ..Options::default()
    })
    .await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart_and_versions_go_on() {
    let folder = folder();
    let before = {
        let kv = open(folder.path());
        put(&kv, "a", "one").await;
        put(&kv, "b", "two").await
    };
    let kv = open(folder.path());
    assert_eq!(get(&kv, "a").await.as_deref(), Some(b"one".as_slice()));
    assert!(put(&kv, "c", "three").await > before);
}

#[tokio::test]
async fn what_nobody_waited_for_is_written_at_a_clean_stop() {
    let folder = folder();
    {
        let kv = open(folder.path());
        for n in 0..100 {
            let batch = Batch::default().put(Key::state(format!("k{n}")), "v");
            drop(kv.commit(batch.durability(Durability::Buffered)));
        }
    }
    assert!(get(&open(folder.path()), "k99").await.is_some());
}

#[tokio::test]
async fn a_second_process_is_refused_and_told_who_holds_it() {
    let folder = folder();
    let kv = open(folder.path());
    let error = refused(folder.path());
    assert_eq!(error.code(), codes::DATA_DIR_LOCKED);
    assert!(
        error
            .message()
            .contains(&format!("process {}", std::process::id())),
        "{error}"
    );
    put(&kv, "a", "the first one is unharmed").await;
}

#[track_caller]
fn refused_with_format(text: &str, code: Code) {
    let folder = folder();
    drop(open(folder.path()));
    fs::write(folder.path().join("format"), text).expect("it can be written");
    assert_eq!(refused(folder.path()).code(), code);
}

#[test]
fn a_newer_format_is_refused() {
    refused_with_format("belay 2\n", codes::DATA_FORMAT_NEWER);
    refused_with_format("something else\n", codes::DATA_FORMAT_NEWER);
}

#[test]
fn a_missing_format_beside_data_is_refused() {
    let folder = folder();
    drop(open(folder.path()));
    fs::remove_file(folder.path().join("format")).expect("it is there");
    assert_eq!(refused(folder.path()).code(), codes::DATA_DIR_UNUSABLE);
}

#[test]
fn a_data_directory_that_is_a_file_is_refused() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").expect("it can be written");
    assert_eq!(refused(&file).code(), codes::DATA_DIR_UNUSABLE);
    assert_eq!(fs::read(&file).expect("it is kept"), b"not a folder");
}

/// The journal file that holds the rows of a test, and what it is worth.
fn journal(path: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> = vec![];
    let mut folders = vec![path.join("engine")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|end| end == "jnl") => files.push(path),
                false => {}
            }
        }
    }
    files.sort();
    files.pop().expect("there is a journal")
}

/// Flips one byte of the journal at a part of its length, after 200 acknowledged commits.
async fn flip(at: f64) -> (TempDir, base::Result<Embedded>) {
    let folder = folder();
    {
        let kv = open(folder.path());
        for n in 0..200 {
            put(&kv, &format!("key-{n:03}"), &format!("{n:0200}")).await;
        }
    }
    let name = journal(folder.path());
    let mut bytes = fs::read(&name).expect("it can be read");
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .expect("something is written") as f64;
    let index = (used * at) as usize;
    bytes[index] ^= 0x55;
    fs::write(&name, bytes).expect("it can be written");
    let opened = open_as(folder.path(), &Options::default());
    (folder, opened)
}

#[tokio::test]
async fn a_damaged_journal_is_noticed_at_open() {
    for at in [0.001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0] {
        let (_folder, opened) = flip(at).await;
        match opened {
            Err(error) => assert_eq!(error.code(), codes::DATA_DAMAGED, "at {at}: {error}"),
            // A flip that the store can make good must have lost nothing.
            Ok(kv) => {
                for n in 0..200 {
                    let value = get(&kv, &format!("key-{n:03}")).await;
                    assert_eq!(value, Some(format!("{n:0200}").into_bytes()), "at {at}, key {n}");
                }
            }
        }
    }
}

#[tokio::test]
async fn damage_is_accepted_only_when_asked_for() {
    let (folder, opened) = flip(0.5).await;
    assert_eq!(opened.err().map(|error| error.code()), Some(codes::DATA_DAMAGED));
    assert_eq!(
        refused(folder.path()).code(),
        codes::DATA_DAMAGED,
        "still refused"
    );
    let accepting = Options {
        accept_data_loss: true,
        ..Options::default()
    };
    if let Ok(kv) = open_as(folder.path(), &accepting) {
        put(&kv, "after", "the loss").await;
        drop(kv);
        assert!(get(&open(folder.path()), "after").await.is_some());
    }
}

#[tokio::test]
async fn a_damaged_watermark_is_noticed() {
    let folder = folder();
    put(&open(folder.path()), "a", "v").await;
    let mark = folder.path().join("committed");
    for bytes in [vec![1; 24], vec![1; 3], vec![]] {
        fs::write(&mark, bytes).expect("it can be written");
        assert_eq!(refused(folder.path()).code(), codes::DATA_DAMAGED);
    }
}

#[tokio::test]
async fn the_clock_goes_on_where_it_was() {
    let folder = folder();
    let later = START.plus(Duration::from_secs(3_600));
    {
        let kv = Embedded::open(folder.path(), &Options::default(), |_| {
            Arc::new(ManualClock::at(later))
        });
        put(&kv.expect("it opens"), "a", "v").await;
    }
    assert!(
        open(folder.path()).now() >= later,
        "a clock set back an hour does not prolong leases"
    );
}

#[tokio::test]
async fn expired_rows_leave_the_disk() {
    let folder = folder();
    let clock = ManualClock::at(START);
    let own: Arc<dyn Clock> = Arc::new(clock.clone());
    let kv = Embedded::open(folder.path(), &Options::default(), |_| own).expect("it opens");
    let expires_at = Some(START.plus(Duration::from_secs(1)));
    let rows = (0..50).map(|n| Write::Put {
        key: Key::state(format!("{n}")),
        value: "v".into(),
        expires_at,
    });
    kv.commit(Batch::of(rows.collect())).await.expect("it works");
    put(&kv, "0", "for good").await;
    clock.advance(Duration::from_secs(2));
    assert!(
        !kv.store.sweep(clock.now()).expect("it works"),
        "one step is enough"
    );
    let rest = kv.store.rows_stored().expect("it works");
    assert_eq!(rest, 2, "the one for good, and the last commit's number");
    assert_eq!(get(&kv, "0").await.as_deref(), Some(b"for good".as_slice()));
}

#[tokio::test]
async fn a_nearly_full_disk_takes_deletes_only() {
    let folder = folder();
    let kv = open(folder.path());
    put(&kv, "a", "v").await;
    kv.committer.handle().room(Some(0));
    let refused = kv
        .commit(Batch::default().put(Key::state("b"), "v"))
        .await
        .expect_err("no space");
    assert_eq!(refused.code(), codes::DISK_NEARLY_FULL);
    kv.commit(Batch::default().delete(Key::state("a")))
        .await
        .expect("deleting gives space back");
    kv.committer.handle().room(None);
    put(&kv, "b", "v").await;
}

/// Writes are faster than upkeep looks.
#[tokio::test]
async fn a_burst_does_not_eat_the_reserve() {
    let folder = folder();
    let kv = open(folder.path());
    kv.committer.handle().room(Some(10_000));
    let value = "v".repeat(1_000);
    let mut taken = 0;
    let refused = loop {
        let batch = Batch::default().put(Key::state("a"), value.clone());
        match kv.commit(batch).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((taken, refused.code()), (4, codes::DISK_NEARLY_FULL));
    kv.commit(Batch::default().delete(Key::state("a")))
        .await
        .expect("a delete is taken");
}

#[tokio::test]
async fn conditions_hold_across_groups_and_restarts() {
    let folder = folder();
    let version = put(&open(folder.path()), "a", "v").await;
    let kv = open(folder.path());
    let change = |expect| {
        kv.commit(
            Batch::default()
                .put(Key::state("a"), "w")
                .expect(Key::state("a"), expect),
        )
    };
    let refused = change(Expect::Absent).await.expect("it works");
    assert_eq!(
        refused,
        Outcome::Conflict {
            condition: 0,
            found: Some(version)
        }
    );
    assert!(matches!(
        change(Expect::Version(version)).await,
        Ok(Outcome::Committed { .. })
    ));
}
