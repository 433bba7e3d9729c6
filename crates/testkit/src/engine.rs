//! Hosts for tests of families, which know them by [`Engine`] only.

use std::sync::Arc;

use host::{Host, Options};
use machines::{Callee, Engine};
use ports::kv::Kv;
use tokio::runtime::Handle;

use crate::Ownership;

/// A host over that store, on the runtime of whoever calls. A second one over the same store takes it over: what a restart does.
pub async fn engine(kv: Arc<dyn Kv>) -> Arc<dyn Engine> {
    open(kv, Options::default()).await
}

/// One that talks to user code.
pub async fn engine_with(kv: Arc<dyn Kv>, callee: Arc<dyn Callee>) -> Arc<dyn Engine> {
    let callee = Some(callee);
    open(
        kv,
        Options {
            callee,
            ..Options::default()
        },
    )
    .await
}

async fn open(kv: Arc<dyn Kv>, options: Options) -> Arc<dyn Engine> {
    let ownership = Arc::new(Ownership::over(kv.clone()));
    let here = [Handle::current()];
    let host = Host::open(kv, ownership, options, &here).await;
    Arc::new(host.expect("a store that a test has just made"))
}
