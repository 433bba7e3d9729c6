//! A deployment that answers only to the holder of a key.

use super::sdk::TYPESCRIPT_1_17_SIGNED;
use super::world::World;

/// Its public half is what the services are started with.
const KEY: &str = "MC4CAQAwBQYDK2VwBCIEIPe++4ZTPQDF81otpoU/mOGHC2vOAVp9WbiCblvn3nXO";
const ANOTHER: &str = "MC4CAQAwBQYDK2VwBCIEIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";

/// A configuration that signs with it, and its file.
fn signing(key: &str) -> (String, tempfile::NamedTempFile) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    std::fs::write(file.path(), pem).expect("a file of ours");
    let path = file.path().display();
    let config = format!("restate: {{request_identity_private_key_pem_file: {path}}}");
    (config, file)
}

#[tokio::test]
async fn signed_requests_are_answered_and_no_others() {
    let (config, _key) = signing(KEY);
    let (world, registered) = World::start_with(&TYPESCRIPT_1_17_SIGNED, &config).await;
    assert_eq!(registered.status, 201, "{registered:?}\n{}", world.said());
    assert_eq!(world.call("Greeter/greet", "you").await.value(), "Hello you");

    let (another, _key) = signing(ANOTHER);
    for config in ["{}", &another] {
        let (_, refused) = World::start_with(&TYPESCRIPT_1_17_SIGNED, config).await;
        assert_eq!(refused.status, 500);
        let (_, text) = refused.failure();
        assert!(
            text.contains("401") && text.contains("request_identity"),
            "{text}"
        );
    }
}
