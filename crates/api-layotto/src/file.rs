//! Files: streams both ways in constant memory, and what there is to know about them (spec 3.21 to 3.24).
//!
//! Nothing is read ahead: a chunk is taken from one side when the other side has room for it.

use std::future;
use std::sync::Arc;

use base::limits;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use ports::file::FileStore;
use tonic::{Status, Streaming};
use wire::layotto as pb;

use crate::components::Components;
use crate::service::Service;
use crate::{convert, error};

mod upload;

#[cfg(test)]
mod tests;

use upload::Upload;

/// An empty file is no message at all.
pub(crate) async fn get(
    service: &Service,
    request: pb::GetFileRequest,
) -> Result<BoxStream<'static, Result<pb::GetFileResponse, Status>>, Status> {
    let store = find(&service.live.load(), &request.store_name)
        .ok_or_else(|| error::file::no_store_to_get_from(&request.store_name))?;
    let metadata = convert::metadata(request.metadata);
    let content = store.get(&request.name, &metadata).await;
    let content = content.map_err(|error| error::file::get(&error))?;
    Ok(content
        .try_filter(|data| future::ready(!data.is_empty()))
        .map_ok(|data| pb::GetFileResponse { data })
        .map_err(|error| error::file::get(&error))
        .boxed())
}

/// The first message says what is written where; of the others only the data counts, whatever else they carry. No message
/// at all writes nothing.
pub(crate) async fn put(service: &Service, requests: Streaming<pb::PutFileRequest>) -> Result<(), Status> {
    let mut upload = Upload::of(requests.boxed());
    let first = match upload.first().await {
        Ok(Some(first)) => first,
        Ok(None) => return Ok(()),
        Err(broken) => return Err(error::file::receive(&broken)),
    };
    let store = find(&service.live.load(), &first.store_name)
        .ok_or_else(|| error::file::no_store(&first.store_name))?;
    let metadata = convert::metadata(first.metadata);
    let content = upload.content(first.data);
    let put = store.put(&first.name, &metadata, content).await;
    put.map_err(|error| error::file::put(&error))
}

pub(crate) async fn list(
    service: &Service,
    request: pb::ListFileRequest,
) -> Result<pb::ListFileResp, Status> {
    let (store, file) = target(service, request.request)?;
    let limit = page_size(request.page_size);
    let metadata = convert::metadata(file.metadata);
    let listing = store.list(&file.name, &metadata, limit, &request.marker).await;
    listing
        .map(convert::list_file)
        .map_err(|error| error::file::list(&error))
}

/// No size asks for everything, which may come in several pages all the same: the marker says where to go on.
fn page_size(asked: i32) -> usize {
    match usize::try_from(asked) {
        Ok(size) if size > 0 => size.min(limits::FILE_LIST_MAX),
        _ => limits::FILE_LIST_MAX,
    }
}

pub(crate) async fn delete(service: &Service, request: pb::DelFileRequest) -> Result<(), Status> {
    let (store, file) = target(service, request.request)?;
    let metadata = convert::metadata(file.metadata);
    let deleted = store.delete(&file.name, &metadata).await;
    deleted.map_err(|error| error::file::component(&error))
}

pub(crate) async fn stat(
    service: &Service,
    request: pb::GetFileMetaRequest,
) -> Result<pb::GetFileMetaResponse, Status> {
    let (store, file) = target(service, request.request)?;
    let metadata = convert::metadata(file.metadata);
    let stat = store.stat(&file.name, &metadata).await;
    stat.map(convert::file_meta)
        .map_err(|error| error::file::component(&error))
}

fn target(
    service: &Service,
    request: Option<pb::FileRequest>,
) -> Result<(Arc<dyn FileStore>, pb::FileRequest), Status> {
    let file = request.ok_or_else(error::file::no_request)?;
    let store = find(&service.live.load(), &file.store_name)
        .ok_or_else(|| error::file::no_store(&file.store_name))?;
    Ok((store, file))
}

fn find(components: &Components, store_name: &str) -> Option<Arc<dyn FileStore>> {
    components.files.get(store_name).cloned()
}
