//! The port `binding`. Each operation is one hop to a thread that may wait for the disk.

use std::sync::Arc;

use async_trait::async_trait;
use base::{Error, Result, codes, limits};
use bytes::Bytes;
use ports::Metadata;
use ports::binding::{Binding, Reply, Request};
use serde_json::json;
use tokio::time::timeout;

use super::files;
use crate::blocking;
use crate::tree::Tree;

pub(super) struct LocalStorage {
    tree: Arc<Tree>,
}

#[derive(Clone, Copy)]
enum Operation {
    Create,
    Get,
    List,
    Delete,
}

impl LocalStorage {
    pub(super) fn of(tree: Tree) -> LocalStorage {
        LocalStorage { tree: Arc::new(tree) }
    }
}

#[async_trait]
impl Binding for LocalStorage {
    fn operations(&self) -> &[&'static str] {
        &["create", "get", "list", "delete"]
    }

    /// A write that has begun goes on to its end, also when it takes longer than the caller waits.
    async fn invoke(&self, request: Request) -> Result<Reply> {
        let operation = operation(&request.operation)?;
        let name = name(operation, &request.metadata)?;
        let tree = self.tree.clone();
        let work = blocking::run(move || perform(&tree, operation, &name, &request.data));
        let late = |_| {
            let text = format!(
                "the disk did not answer within {} ms",
                limits::BINDING_TIMEOUT.as_millis()
            );
            Error::new(codes::DEADLINE_EXCEEDED, text)
        };
        timeout(limits::BINDING_TIMEOUT, work).await.map_err(late)??
    }
}

fn operation(name: &str) -> Result<Operation> {
    match name {
        "create" => Ok(Operation::Create),
        "get" => Ok(Operation::Get),
        "list" => Ok(Operation::List),
        "delete" => Ok(Operation::Delete),
        other => {
            let text = format!("operation {other} is not supported");
            Err(Error::new(codes::UNIMPLEMENTED, text))
        }
    }
}

/// The name, without the slashes that some put before it.
fn name(operation: Operation, metadata: &Metadata) -> Result<String> {
    let name = metadata.get("fileName").map(|name| name.trim_start_matches('/'));
    match (operation, name) {
        (_, Some(name)) if !name.is_empty() => Ok(name.to_owned()),
        (Operation::Create, _) => Ok(uuid::Uuid::new_v4().to_string()),
        (Operation::List, _) => Ok(".".to_owned()),
        (Operation::Get | Operation::Delete, _) => {
            let text = "the metadata has no fileName";
            Err(Error::new(codes::FILE_NAME_INVALID, text))
        }
    }
}

fn perform(tree: &Tree, operation: Operation, name: &str, data: &[u8]) -> Result<Reply> {
    let mut metadata = Metadata::from([("fileName".to_owned(), name.to_owned())]);
    let data = match operation {
        Operation::Create => {
            files::create(tree, name, data)?;
            Bytes::from(json!({ "fileName": name }).to_string())
        }
        Operation::Get => files::get(tree, name)?,
        Operation::Delete => {
            files::delete(tree, name)?;
            Bytes::new()
        }
        Operation::List => {
            let list = files::list(tree, name, limits::FILE_LIST_MAX)?;
            if list.truncated {
                metadata.insert("truncated".to_owned(), "true".to_owned());
            }
            Bytes::from(json!(list.names).to_string())
        }
    };
    Ok(Reply { data, metadata })
}
