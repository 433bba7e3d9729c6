use std::sync::atomic::{AtomicUsize, Ordering};

use base::codes;
use bytes::Bytes;
use futures::{Stream, stream};
use tonic::Code;

use super::*;
use crate::components::Components;
use crate::testing::{Fakes, STORE, assert_refused, run, service, texts, until};

fn get_file(store: &str, name: &str) -> pb::GetFileRequest {
    pb::GetFileRequest {
        store_name: store.into(),
        name: name.into(),
        ..Default::default()
    }
}

fn file(store: &str, name: &str) -> Option<pb::FileRequest> {
    Some(pb::FileRequest {
        store_name: store.into(),
        name: name.into(),
        ..Default::default()
    })
}

fn chunk(store: &str, name: &str, data: impl Into<Bytes>) -> pb::PutFileRequest {
    pb::PutFileRequest {
        store_name: store.into(),
        name: name.into(),
        data: data.into(),
        metadata: texts([("of", name)]),
    }
}

fn with_file(name: &str, data: impl Into<Bytes>) -> Fakes {
    let fakes = Fakes::default();
    let file = (data.into(), convert::metadata(texts([("FileMode", "420")])));
    fakes.files.files.lock().insert(name.into(), file);
    fakes
}

async fn read(answer: tonic::Response<Streaming<pb::GetFileResponse>>) -> Result<Vec<Bytes>, Status> {
    let messages: Vec<_> = answer.into_inner().try_collect().await?;
    Ok(messages.into_iter().map(|message| message.data).collect())
}

#[tokio::test]
async fn a_file_comes_in_chunks_and_an_empty_one_in_none() {
    let data: Vec<u8> = (0..350_000_u32).map(|index| index as u8).collect();
    let mut client = with_file("a", data.clone()).run().await.client;
    let chunks = client.get_file(get_file(STORE, "a")).await.expect("it is there");
    let chunks = read(chunks).await.expect("it is read to its end");
    let sizes: Vec<usize> = chunks.iter().map(Bytes::len).collect();
    assert_eq!(sizes, [102_400, 102_400, 102_400, 42_800]);
    assert_eq!(chunks.concat(), data);
    let mut client = with_file("a", "").run().await.client;
    let chunks = client.get_file(get_file(STORE, "a")).await.expect("it is there");
    assert!(read(chunks).await.expect("it is read to its end").is_empty());
}

#[tokio::test]
async fn nothing_is_read_before_the_client_has_room_for_it() {
    let fakes = with_file("a", vec![0; 10 * limits::FILE_CHUNK_BYTES]);
    let service = service(fakes.components());
    let mut chunks = get(&service, get_file(STORE, "a")).await.expect("it is there");
    for expected in 0..10 {
        assert_eq!(fakes.files.chunks_read.load(Ordering::SeqCst), expected);
        chunks.next().await.expect("there is more").expect("it is read");
    }
}

#[tokio::test]
async fn get_file_fails_in_its_own_words() {
    let fakes = with_file("a", vec![0; 300_000]);
    let mut client = fakes.run().await.client;
    assert_refused(
        client.get_file(get_file("other", "a")).await,
        Code::InvalidArgument,
        "not supported store type: other",
    );
    assert_refused(
        client.get_file(get_file(STORE, "b")).await,
        Code::Internal,
        "get file fail,err: open b: no such file",
    );
    *fakes.files.broken_at.lock() = Some(150_000);
    let chunks = client
        .get_file(get_file(STORE, "a"))
        .await
        .expect("it begins well");
    let broken = read(chunks).await.expect_err("it breaks off");
    let expected = (Code::Internal, "get file fail,err: the disk is gone");
    assert_eq!((broken.code(), broken.message()), expected);
    fakes.files.fault.set(codes::FILE_FORBIDDEN, "outside");
    let answer = client.get_file(get_file(STORE, "a")).await;
    assert_refused(answer, Code::PermissionDenied, "get file fail,err: outside");
}

#[tokio::test]
async fn only_the_first_message_names_the_file() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let chunks = [
        chunk(STORE, "a", ""),
        chunk("other", "b", "hello "),
        pb::PutFileRequest::default(),
        chunk("", "", "world"),
    ];
    client
        .put_file(stream::iter(chunks))
        .await
        .expect("it is written");
    let files = fakes.files.files.lock().clone();
    assert_eq!(files.len(), 1);
    assert_eq!(files["a"].0, "hello world");
    assert_eq!(files["a"].1, convert::metadata(texts([("of", "a")])));
}

#[tokio::test]
async fn no_message_writes_nothing_and_one_without_data_an_empty_file() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    client
        .put_file(stream::iter([]))
        .await
        .expect("there is nothing to do");
    assert!(fakes.files.files.lock().is_empty());
    client
        .put_file(stream::iter([chunk(STORE, "a", "")]))
        .await
        .expect("it is written");
    assert!(fakes.files.files.lock()["a"].0.is_empty());
}

/// A hundred times a mebibyte, of which somebody counts what is taken.
fn upload(store: &'static str, taken: Arc<AtomicUsize>) -> impl Stream<Item = pb::PutFileRequest> {
    let data = Bytes::from(vec![7; 1 << 20]);
    stream::iter(0..100).map(move |_| {
        taken.fetch_add(1, Ordering::SeqCst);
        chunk(store, "a", data.clone())
    })
}

/// Case C98.
#[tokio::test]
async fn an_early_no_reaches_a_client_that_is_still_sending() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let answer = client.put_file(upload("other", Arc::default())).await;
    assert_refused(answer, Code::InvalidArgument, "not support store type: other");
    *fakes.files.broken_at.lock() = Some(5 << 20);
    let taken = Arc::new(AtomicUsize::new(0));
    let answer = client.put_file(upload(STORE, taken.clone())).await;
    assert_refused(answer, Code::Internal, "the disk is 100% full");
    assert!(taken.load(Ordering::SeqCst) < 100);
    fakes
        .files
        .fault
        .set(codes::FILE_NAME_INVALID, "fileMode is required for put file");
    let answer = client.put_file(upload(STORE, taken)).await;
    assert_refused(answer, Code::Internal, "fileMode is required for put file");
    assert!(fakes.files.files.lock().is_empty());
}

/// Case C98: what is sent on after the refusal is read and thrown away, but not without end.
#[tokio::test]
async fn the_rest_of_a_refused_upload_is_drained_up_to_a_limit() {
    for (messages, expected) in [(10, 10), (100, 1 + (limits::UPLOAD_DRAIN_BYTES_MAX >> 20))] {
        let ended = Arc::new(AtomicUsize::new(0));
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = Counted(ended.clone());
        let requests = upload(STORE, taken.clone()).take(messages).map(move |request| {
            let _alive = &counted;
            Ok(request)
        });
        drop(Upload::of(requests.boxed()));
        until(|| ended.load(Ordering::SeqCst) == 1).await;
        assert_eq!(taken.load(Ordering::SeqCst), expected);
    }
}

/// Tells when it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_store_reads_an_upload_at_its_own_pace_and_sees_it_break() {
    let taken = Arc::new(AtomicUsize::new(0));
    let requests = upload(STORE, taken.clone())
        .take(3)
        .map(Ok)
        .chain(stream::iter([Err(Status::cancelled("gone"))]));
    let mut upload = Upload::of(requests.boxed());
    let first = upload.first().await.expect("it is there").expect("it is there");
    let mut content = upload.content(first.data);
    for expected in 1..=3 {
        content.next().await.expect("there is more").expect("it is whole");
        assert_eq!(taken.load(Ordering::SeqCst), expected);
    }
    let broken = content
        .next()
        .await
        .expect("there is the error")
        .expect_err("it broke");
    assert_eq!(broken.message(), "receive file data fail: err: gone");
    assert!(content.next().await.is_none());
}

#[tokio::test]
async fn calls_on_a_file_check_the_request_then_the_store() {
    let mut client = Fakes::default().run().await.client;
    for (request, message) in [
        (None, "request can't be nil"),
        (file("other", "a"), "not support store type: other"),
    ] {
        let list = pb::ListFileRequest {
            request: request.clone(),
            ..Default::default()
        };
        let delete = pb::DelFileRequest {
            request: request.clone(),
        };
        let stat = pb::GetFileMetaRequest { request };
        let invalid = Code::InvalidArgument;
        assert_refused(client.list_file(list).await, invalid, message);
        assert_refused(client.del_file(delete).await, invalid, message);
        assert_refused(client.get_file_meta(stat).await, invalid, message);
    }
    let mut client = run(Components::default()).await.client;
    let request = pb::DelFileRequest {
        request: file(STORE, "a"),
    };
    let message = "not support store type: demo";
    assert_refused(client.del_file(request).await, Code::InvalidArgument, message);
    let answer = client.put_file(stream::iter([chunk(STORE, "a", "")])).await;
    assert_refused(answer, Code::InvalidArgument, message);
}

#[tokio::test]
async fn a_stores_failure_keeps_its_code_where_the_reference_does() {
    let fakes = with_file("a", "x");
    let mut client = fakes.run().await.client;
    use Code::{
        AlreadyExists, DataLoss, Internal, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted,
    };
    for (fault, precise, listed) in [
        (codes::FILE_NAME_INVALID, InvalidArgument, Internal),
        (codes::FILE_EXISTS, AlreadyExists, Internal),
        (codes::DATA_DAMAGED, DataLoss, Internal),
        (codes::FILE_FORBIDDEN, PermissionDenied, PermissionDenied),
        (codes::FILE_FAILED, Internal, Internal),
        (codes::COMPONENT_NOT_OPENED, Internal, Internal),
        (codes::DISK_NEARLY_FULL, ResourceExhausted, ResourceExhausted),
    ] {
        fakes.files.fault.set(fault, "100%!F of it");
        let request = file(STORE, "a");
        let delete = pb::DelFileRequest {
            request: request.clone(),
        };
        let stat = pb::GetFileMetaRequest {
            request: request.clone(),
        };
        let list = pb::ListFileRequest {
            request,
            ..Default::default()
        };
        assert_refused(client.del_file(delete).await, precise, "100%!F of it");
        assert_refused(client.get_file_meta(stat).await, precise, "100%!F of it");
        assert_refused(client.list_file(list).await, listed, "100%!F of it");
        let put = client.put_file(stream::iter([chunk(STORE, "a", "")])).await;
        assert_refused(put, listed, "100%!F of it");
    }
    fakes.files.fault.clear();
    let request = pb::GetFileMetaRequest {
        request: file(STORE, "b"),
    };
    assert_refused(
        client.get_file_meta(request).await,
        NotFound,
        "file does not exist",
    );
}

#[tokio::test]
async fn a_listing_goes_on_behind_its_marker() {
    let fakes = with_file("dir/a", "1");
    for name in ["dir/b", "dir/c", "else"] {
        let file = fakes.files.files.lock()["dir/a"].clone();
        fakes.files.files.lock().insert(name.into(), file);
    }
    let mut client = fakes.run().await.client;
    let mut list = async |page_size: i32, marker: &str| {
        let request = pb::ListFileRequest {
            request: file(STORE, "dir/"),
            page_size,
            marker: marker.into(),
        };
        let listing = client.list_file(request).await.expect("it lists").into_inner();
        let names: Vec<String> = listing.files.into_iter().map(|file| file.file_name).collect();
        let limit = fakes.files.last_limit.load(Ordering::SeqCst);
        (names.join(" "), listing.marker, listing.is_truncated, limit)
    };
    assert_eq!(list(2, "").await, ("dir/a dir/b".into(), "dir/b".into(), true, 2));
    assert_eq!(list(2, "dir/b").await, ("dir/c".into(), "dir/c".into(), false, 2));
    for size in [0, -1, i32::MAX] {
        let all = (
            "dir/a dir/b dir/c".into(),
            "dir/c".into(),
            false,
            limits::FILE_LIST_MAX,
        );
        assert_eq!(list(size, "").await, all);
    }
}

#[tokio::test]
async fn a_file_is_described_and_deleted() {
    let fakes = with_file("a", "12345");
    let mut client = fakes.run().await.client;
    let request = pb::GetFileMetaRequest {
        request: file(STORE, "a"),
    };
    let stat = client
        .get_file_meta(request)
        .await
        .expect("it is there")
        .into_inner();
    assert_eq!((stat.size, stat.last_modified.as_str()), (5, "today"));
    let metadata = stat.response.expect("there is some").metadata;
    assert_eq!(metadata["FileMode"].value, ["420"]);
    let request = pb::DelFileRequest {
        request: file(STORE, "a"),
    };
    client.del_file(request).await.expect("it is deleted");
    assert!(fakes.files.files.lock().is_empty());
}
