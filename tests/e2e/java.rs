//! The unmodified Java SDK.

use tests::sdk::{Sdk, Transport, passes};

fn java() -> Sdk {
    let target = tests::sdk::folder("java").join("target");
    assert!(target.join("lib").exists(), "run `mvn -q package` in tests/java");
    let classes = format!(
        "{}:{}",
        target.join("classes").display(),
        target.join("lib/*").display()
    );
    Sdk {
        program: "java".into(),
        arguments: vec!["-cp".into(), classes.into(), "belay.Main".into()],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_method_of_the_java_sdk_works() {
    passes(&java(), "all", Transport::Tcp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_java_sdk_works_over_a_unix_socket() {
    passes(&java(), "uds", Transport::UnixSocket).await;
}
