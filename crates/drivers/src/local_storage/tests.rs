use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use base::{Error, Kind, limits};
use bytes::Bytes;
use ports::binding::{Binding, Reply, Request};
use ports::{Driver, Metadata, conformance};
use serde_json::{Value, json};

use super::{LocalStorageDriver, files};
use crate::testing;
use crate::tree::Tree;

async fn open(root: &Path) -> Arc<dyn Binding> {
    let settings = testing::settings(json!({ "rootPath": root }));
    assert_eq!(LocalStorageDriver.validate(&settings), vec![]);
    let component = LocalStorageDriver
        .open("files", &settings, &testing::context())
        .await;
    component
        .expect("the directory can be made")
        .binding
        .expect("the driver offers it")
}

fn request(operation: &str, name: Option<&str>, data: &'static [u8]) -> Request {
    let metadata = name.map(|name| ("fileName".to_owned(), name.to_owned()));
    Request {
        operation: operation.to_owned(),
        data: Bytes::from_static(data),
        metadata: metadata.into_iter().collect(),
    }
}

/// A store whose root is a folder beside a file called `secret`.
struct Store {
    directory: tempfile::TempDir,
    binding: Arc<dyn Binding>,
}

impl Store {
    async fn new() -> Store {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("secret"), "secret").expect("it is written");
        let binding = open(&directory.path().join("root/made")).await;
        Store { directory, binding }
    }

    fn root(&self) -> std::path::PathBuf {
        self.directory.path().join("root/made")
    }

    async fn create(&self, name: &str, data: &'static [u8]) -> Reply {
        let created = self.binding.invoke(request("create", Some(name), data)).await;
        created.expect("it is created")
    }

    async fn get(&self, name: &str) -> Result<Bytes, Error> {
        let reply = self.binding.invoke(request("get", Some(name), b"")).await?;
        Ok(reply.data)
    }

    async fn delete(&self, name: &str) -> Result<Reply, Error> {
        self.binding.invoke(request("delete", Some(name), b"")).await
    }

    async fn list(&self, folder: Option<&str>) -> Value {
        let reply = self
            .binding
            .invoke(request("list", folder, b""))
            .await
            .expect("it is a folder");
        serde_json::from_slice(&reply.data).expect("it is JSON")
    }
}

#[track_caller]
fn check_error<T>(outcome: Result<T, Error>, kind: Kind, text: &str) {
    let error = outcome.map(drop).expect_err("it fails");
    assert_eq!((error.kind(), error.message()), (kind, text));
}

#[tokio::test]
async fn it_is_a_binding() {
    let store = Store::new().await;
    conformance::binding::all(conformance::binding::Given {
        binding: store.binding.clone(),
        good: request("list", None, b""),
    })
    .await;
}

#[tokio::test]
async fn files_are_created_read_listed_and_deleted() {
    let store = Store::new().await;
    let reply = store.create("a/b/file.txt", b"content").await;
    assert_eq!(reply.data, r#"{"fileName":"a/b/file.txt"}"#);
    assert_eq!(
        reply.metadata,
        Metadata::from([("fileName".into(), "a/b/file.txt".into())])
    );
    store.create("/top", b"1").await;
    assert_eq!(store.get("a/b/file.txt").await.expect("it is there"), "content");
    assert_eq!(store.list(None).await, json!(["a/b/file.txt", "top"]));
    assert_eq!(store.list(Some("a")).await, json!(["a/b/file.txt"]));
    store.delete("a/b/file.txt").await.expect("it is there");
    check_error(
        store.get("a/b/file.txt").await,
        Kind::NotFound,
        "file not found: a/b/file.txt",
    );
    check_error(
        store.delete("a/b/file.txt").await,
        Kind::NotFound,
        "file not found: a/b/file.txt",
    );
    store.delete("a/b").await.expect("it is empty");
}

#[tokio::test]
async fn a_file_without_a_name_gets_a_uuid() {
    let store = Store::new().await;
    let reply = store
        .binding
        .invoke(request("create", None, b"x"))
        .await
        .expect("it is created");
    let name = &reply.metadata["fileName"];
    uuid::Uuid::parse_str(name).expect("a UUID");
    assert_eq!(store.get(name).await.expect("it is there"), "x");
    let unnamed = store.binding.invoke(request("get", None, b"")).await;
    check_error(unnamed, Kind::InvalidArgument, "the metadata has no fileName");
}

#[tokio::test]
async fn content_is_kept_byte_by_byte_and_replaced_whole() {
    let store = Store::new().await;
    for content in [
        &b"a much longer text"[..],
        b"dGVzdA==",
        b"\"quoted\"",
        b"\xff\x00",
        b"",
    ] {
        store.create("file", content).await;
        assert_eq!(store.get("file").await.expect("it is there"), content);
    }
    assert_eq!(store.list(None).await, json!(["file"]), "no part is left");
}

#[tokio::test]
async fn names_do_not_leave_the_root() {
    let store = Store::new().await;
    symlink(store.directory.path(), store.root().join("out")).expect("a link");
    symlink("../../secret", store.root().join("link")).expect("a link");
    for name in ["../../secret", "out/secret", "x/../../../secret"] {
        let text = format!("{name} is outside of rootPath");
        let created = store.binding.invoke(request("create", Some(name), b"x")).await;
        check_error(created, Kind::PermissionDenied, &text);
        check_error(store.delete(name).await, Kind::PermissionDenied, &text);
        check_error(store.get(name).await, Kind::PermissionDenied, &text);
    }
    check_error(
        store.get("link").await,
        Kind::PermissionDenied,
        "link is outside of rootPath",
    );
    let listed = store.binding.invoke(request("list", Some("out"), b"")).await;
    check_error(listed, Kind::PermissionDenied, "out is outside of rootPath");
    // A link is replaced, not written through.
    store.create("link", b"new").await;
    let kept = std::fs::read(store.directory.path().join("secret"));
    assert_eq!(kept.expect("it is there"), b"secret");
}

#[tokio::test]
async fn a_folder_is_no_file_and_a_file_is_no_folder() {
    let store = Store::new().await;
    store.create("a/b", b"x").await;
    check_error(
        store.get("a").await,
        Kind::Internal,
        "error reading file a: is a directory",
    );
    let created = store.binding.invoke(request("create", Some("a"), b"x")).await;
    check_error(created, Kind::Internal, "error creating file a: is a directory");
    let created = store.binding.invoke(request("create", Some("a/b/c"), b"x")).await;
    check_error(
        created,
        Kind::Internal,
        "error creating file a/b/c: not a directory",
    );
    let listed = store.binding.invoke(request("list", Some("a/b"), b"")).await;
    check_error(
        listed,
        Kind::Internal,
        "error listing the files in a/b: not a directory",
    );
    assert_eq!(store.list(None).await, json!(["a/b"]), "no part is left");
}

#[tokio::test]
async fn a_file_that_is_too_large_says_so() {
    let store = Store::new().await;
    let file = std::fs::File::create(store.root().join("large")).expect("it is made");
    file.set_len(limits::BINDING_FILE_BYTES_MAX as u64 + 1)
        .expect("it is sparse");
    let error = store.get("large").await.expect_err("it is too large");
    assert!(error.message().starts_with("large is larger than"), "{error}");
}

#[tokio::test]
async fn a_long_list_is_cut_and_says_so() {
    let store = Store::new().await;
    for name in ["a", "b", "c/d"] {
        store.create(name, b"x").await;
    }
    let tree = Tree::beneath(&store.root()).expect("it is there");
    for (limit, truncated) in [(2, true), (3, false)] {
        let list = files::list(&tree, ".", limit).expect("it is a folder");
        assert_eq!(list.truncated, truncated, "{limit}");
        assert!(list.names.len() <= limit);
    }
}

#[test]
fn the_root_is_required() {
    let findings = LocalStorageDriver.validate(&testing::settings(json!({})));
    assert_eq!(findings[0].path, "rootPath");
}

#[tokio::test]
async fn a_root_that_cannot_be_made_is_no_component() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    std::fs::write(&path, "x").expect("it is written");
    let settings = testing::settings(json!({ "rootPath": path.join("below") }));
    let opened = LocalStorageDriver.open("x", &settings, &testing::context()).await;
    let Err(error) = opened else {
        panic!("it was opened");
    };
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.message().contains("the directory can't be made"), "{error}");
}
