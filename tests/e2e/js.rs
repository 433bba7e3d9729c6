//! The unmodified npm SDK.

mod readme;
mod sharing;
mod tour;

use tests::sdk::{Sdk, Transport, passes};

fn js() -> Sdk {
    let folder = tests::sdk::folder("js");
    assert!(
        folder.join("node_modules/layotto").exists(),
        "run `npm ci` in {}",
        folder.display()
    );
    Sdk {
        program: "node".into(),
        arguments: vec![folder.join("run.js").into()],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_of_the_npm_sdk_works() {
    passes(&js(), "all", Transport::Tcp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_npm_sdk_works_over_a_unix_socket() {
    passes(&js(), "uds", Transport::UnixSocket).await;
}
