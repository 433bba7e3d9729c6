use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::Kind;
use bytes::Bytes;
use futures::{StreamExt, stream};
use ports::file::{Content, FileStore};
use ports::{Driver, Metadata, Settings, conformance};
use serde_json::json;

use super::LocalFileDriver;
use crate::testing;

/// Create, write, truncate.
const REPLACE: &str = "577";

async fn open(root: Option<&Path>) -> Arc<dyn FileStore> {
    let settings = json!(root.map(|root| json!({ "root": root })).unwrap_or(json!({})));
    let settings = Settings(settings.as_object().expect("an object").clone());
    assert_eq!(LocalFileDriver.validate(&settings), vec![]);
    let component = LocalFileDriver
        .open("files", &settings, &testing::context())
        .await;
    component
        .expect("the directory is there")
        .file
        .expect("the driver offers it")
}

fn put(mode: &str, flags: &str) -> Metadata {
    let metadata = [("FileMode", mode), ("FileFlag", flags)];
    metadata
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn content(text: &'static str) -> Content {
    stream::iter([Ok(Bytes::from(text))]).boxed()
}

/// A store without a root, and a directory to try it in.
async fn store() -> (Arc<dyn FileStore>, tempfile::TempDir) {
    (open(None).await, tempfile::tempdir().expect("a directory"))
}

fn text(path: PathBuf) -> String {
    path.to_str().expect("a text").to_owned()
}

#[tokio::test]
async fn it_is_a_store_of_files() {
    let (store, directory) = store().await;
    let folder = text(directory.path().to_owned());
    conformance::file::all(conformance::file::Given {
        store,
        prefix: &format!("{folder}/"),
        folder: &folder,
        put: put("420", REPLACE),
    })
    .await;
}

#[tokio::test]
async fn it_is_a_store_of_files_beneath_a_root() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(directory.path().join("sub")).expect("a directory");
    let store = open(Some(directory.path())).await;
    conformance::file::all(conformance::file::Given {
        store,
        prefix: "sub/",
        folder: "sub",
        put: put("420", REPLACE),
    })
    .await;
}

#[tokio::test]
async fn the_demo_s_flags_leave_the_tail_of_a_longer_file() {
    let (store, directory) = store().await;
    let path = directory.path().join("file");
    let demo = put("0511", "66");
    store
        .put(&text(path.clone()), &demo, content("a longer text"))
        .await
        .expect("it is made");
    let mode = std::fs::metadata(&path).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o700, 0o700, "511 is octal 777");
    store
        .put(&text(path.clone()), &demo, content("short"))
        .await
        .expect("it is there");
    assert_eq!(std::fs::read(&path).expect("it is there"), b"shortger text");
}

#[tokio::test]
async fn flags_are_the_operating_system_s() {
    let (store, directory) = store().await;
    let path = directory.path().join("file");
    let name = text(path.clone());
    let put = async |flags, text| {
        let outcome = store.put(&name, &put("420", flags), content(text)).await;
        outcome.map_err(|error| (error.kind(), error.message().to_owned()))
    };
    let failed = |text: &str| Err((Kind::Internal, text.replace("{}", &name)));
    // Write without create, create exclusively twice, append, read only.
    assert_eq!(put("1", "x").await, failed("open {}: no such file or directory"));
    assert_eq!(put("193", "one").await, Ok(()));
    assert_eq!(put("193", "two").await, failed("open {}: file exists"));
    assert_eq!(put("1025", "two").await, Ok(()));
    assert_eq!(std::fs::read(&path).expect("it is there"), b"onetwo");
    assert_eq!(put("0", "three").await, failed("write {}: bad file descriptor"));
}

#[tokio::test]
async fn a_missing_mode_is_told_before_the_content_is_touched() {
    let (store, directory) = store().await;
    let path = directory.path().join("file");
    let untouched = stream::poll_fn(|_| panic!("the content was asked for")).boxed();
    let refused = store.put(&text(path.clone()), &Metadata::new(), untouched).await;
    let error = refused.expect_err("there is no mode");
    assert_eq!(error.message(), "fileMode is required for put file");
    assert_eq!(error.kind(), Kind::Internal);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_broken_upload_leaves_a_partial_file() {
    let (store, directory) = store().await;
    let path = directory.path().join("file");
    let broken = base::Error::new(base::codes::INTERNAL, "the sender went away");
    let block = Bytes::from(vec![7; base::limits::FILE_BLOCK_BYTES]);
    let content = stream::iter([Ok(block.clone()), Ok(block), Err(broken)]).boxed();
    let outcome = store
        .put(&text(path.clone()), &put("420", REPLACE), content)
        .await;
    assert_eq!(outcome.expect_err("it broke").message(), "the sender went away");
    let size = std::fs::metadata(&path).expect("it is there").len();
    assert_eq!(size, base::limits::FILE_BLOCK_BYTES as u64 * 2);
}

#[tokio::test]
async fn a_missing_file_is_internal_but_for_stat() {
    let (store, directory) = store().await;
    let name = text(directory.path().join("nosuch"));
    let none = Metadata::new();
    let check = |error: base::Error, kind, text: &str| {
        assert_eq!((error.kind(), error.message()), (kind, text));
    };
    let opened = store.get(&name, &none).await.map(drop).expect_err("missing");
    check(
        opened,
        Kind::Internal,
        &format!("open {name}: no such file or directory"),
    );
    let removed = store.delete(&name, &none).await.expect_err("missing");
    check(
        removed,
        Kind::Internal,
        &format!("remove {name}: no such file or directory"),
    );
    let stat = store.stat(&name, &none).await.expect_err("missing");
    check(stat, Kind::NotFound, "file does not exist");
    let stat = store.stat("", &none).await.expect_err("missing");
    check(stat, Kind::NotFound, "file does not exist");
    let stat = store.stat("a\0b", &none).await.expect_err("no name");
    check(stat, Kind::Internal, "stat a\0b: invalid argument");
}

#[tokio::test]
async fn a_directory_is_no_content() {
    let (store, directory) = store().await;
    let name = text(directory.path().to_owned());
    let read = store.get(&name, &Metadata::new()).await.map(drop);
    let error = read.expect_err("it is a directory");
    assert_eq!(error.message(), format!("read {name}: is a directory"));
    assert_eq!(error.kind(), Kind::Internal);
}

#[tokio::test]
async fn a_pipe_never_holds_a_thread() {
    let (store, directory) = store().await;
    let path = directory.path().join("pipe");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).expect("a pipe");
    let mut content = store.get(&text(path), &Metadata::new()).await.expect("it opens");
    assert!(content.next().await.is_none());
}

#[tokio::test]
async fn stat_tells_go_s_mode_and_what_is_a_directory() {
    let (store, directory) = store().await;
    let path = directory.path().join("file");
    std::fs::write(&path, "12345").expect("it is written");
    let mode = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(&path, mode).expect("it is ours");
    let stat = store
        .stat(&text(path), &Metadata::new())
        .await
        .expect("it is there");
    assert_eq!(stat.size, 5);
    assert_eq!(stat.metadata["FileMode"], ["416"]);
    assert_eq!(stat.metadata["IsDir"], ["false"]);
    let stat = store
        .stat(&text(directory.path().to_owned()), &Metadata::new())
        .await;
    let stat = stat.expect("it is there");
    assert_eq!(stat.metadata["IsDir"], ["true"]);
    let number: u32 = stat.metadata["FileMode"][0].parse().expect("a number");
    assert_eq!(number >> 31, 1, "the directory bit");
}

#[tokio::test]
async fn a_listing_is_flat_and_has_directories() {
    let (store, directory) = store().await;
    std::fs::create_dir_all(directory.path().join("b/below")).expect("a directory");
    std::fs::write(directory.path().join("a"), "1").expect("it is written");
    symlink("/nowhere", directory.path().join("c")).expect("a link");
    let folder = text(directory.path().to_owned());
    let listing = store.list(&folder, &Metadata::new(), 0, "").await;
    let listing = listing.expect("it is there");
    let names: Vec<_> = listing.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!((listing.marker.as_str(), listing.truncated), ("c", false));
    let error = store.list(&format!("{folder}/a"), &Metadata::new(), 0, "").await;
    let expected = format!("readdirent {folder}/a: not a directory");
    assert_eq!(error.expect_err("it is a file").message(), expected);
}

#[tokio::test]
async fn a_root_cannot_be_left() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("root");
    std::fs::create_dir(&root).expect("a directory");
    std::fs::write(directory.path().join("secret"), "x").expect("it is written");
    symlink("../secret", root.join("link")).expect("a link");
    symlink("..", root.join("folder")).expect("a link");
    let store = open(Some(&root)).await;
    let (none, replace) = (Metadata::new(), put("420", REPLACE));
    for name in ["../secret", "folder/secret", "/etc/hostname"] {
        let outcomes = [
            store.get(name, &none).await.map(drop),
            store.put(name, &replace, content("y")).await,
            store.delete(name, &none).await,
            store.stat(name, &none).await.map(drop),
        ];
        for outcome in outcomes {
            let error = outcome.expect_err("it is outside");
            assert_eq!(error.kind(), Kind::PermissionDenied, "{name}");
            assert_eq!(error.message(), format!("{name} is outside of the root"));
        }
    }
    let linked = store.put("link", &replace, content("y")).await;
    assert_eq!(linked.expect_err("it is outside").kind(), Kind::PermissionDenied);
    let listed = store.list("..", &none, 0, "").await;
    assert_eq!(listed.expect_err("it is outside").kind(), Kind::PermissionDenied);
    let kept = std::fs::read(directory.path().join("secret"));
    assert_eq!(kept.expect("it is there"), b"x");
}

#[tokio::test]
async fn an_empty_folder_name_is_the_root() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("a"), "1").expect("it is written");
    let listing = open(Some(directory.path()))
        .await
        .list("", &Metadata::new(), 0, "")
        .await;
    assert_eq!(listing.expect("it is there").files.len(), 1);
}

#[tokio::test]
async fn a_stream_that_nobody_reads_on_reads_two_blocks_and_no_more() {
    let (store, directory) = store().await;
    let path = directory.path().join("file");
    std::fs::write(&path, vec![1; 4 * base::limits::FILE_BLOCK_BYTES]).expect("it is written");
    let mut content = store
        .get(&text(path.clone()), &Metadata::new())
        .await
        .expect("it is there");
    content.next().await.expect("a chunk").expect("it is read");
    // What is cut off behind the two blocks was not read yet: it is missing from the stream.
    let file = std::fs::OpenOptions::new().write(true).open(&path);
    let kept = 2 * base::limits::FILE_BLOCK_BYTES as u64;
    file.expect("it is there").set_len(kept).expect("it is cut");
    let rest: Vec<_> = content.collect().await;
    let size: usize = rest
        .iter()
        .map(|chunk| chunk.as_ref().expect("it is read").len())
        .sum();
    assert_eq!(size as u64, kept - base::limits::FILE_CHUNK_BYTES as u64);
}

#[test]
fn an_empty_root_and_an_unknown_setting_are_findings() {
    let check = |name: &str, path: &str| {
        let settings = Settings::from_texts([(name.to_owned(), String::new())]);
        let findings = LocalFileDriver.validate(&settings);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, path);
    };
    check("root", "root");
    check("rot", "");
}

#[tokio::test]
async fn a_root_that_is_missing_is_no_component() {
    let settings = Settings::from_texts([("root".into(), "/nowhere".into())]);
    let opened = LocalFileDriver.open("x", &settings, &testing::context()).await;
    let Err(error) = opened else {
        panic!("it was opened");
    };
    assert_eq!(error.message(), "/nowhere: no such file or directory");
}
