//! `belay state`.

use serde_json::json;

use super::*;

#[tokio::test]
async fn a_value_is_read_as_it_was_written() {
    let server = Server::start().await;
    let set = server.belay(&["state", "set", "hello", "world"]).await;
    set.check(Exit::Ok, "saved hello in state_demo (5 bytes)\n", "");
    server
        .belay(&["state", "get", "hello"])
        .await
        .check(Exit::Ok, "world\n", "");
    let json = json!({
        "store": "state_demo", "key": "hello", "found": true,
        "value": "world", "etag": "1", "ttl_seconds": 60,
    });
    let get = server.belay(&["state", "get", "hello", "--json"]).await;
    assert_eq!(get.json(), json);
    assert_eq!(get.text().lines().count(), 1, "one object, one line");
}

#[tokio::test]
async fn a_key_without_a_value_is_one_line_and_exit_code_1() {
    let server = Server::start().await;
    let get = server.belay(&["state", "get", "nobody"]).await;
    get.check(Exit::Failed, "", "nobody has no value in state_demo\n");
    let get = server.belay(&["state", "get", "nobody", "--raw"]).await;
    get.check(Exit::Failed, "", "nobody has no value in state_demo\n");
    let get = server.belay(&["state", "get", "nobody", "--json"]).await;
    assert_eq!(
        (get.exit, get.json()),
        (
            Exit::Failed,
            json!({"store": "state_demo", "key": "nobody", "found": false})
        )
    );
}

#[tokio::test]
async fn an_empty_value_is_one() {
    let server = Server::start().await;
    server.belay(&["state", "set", "k", ""]).await;
    server
        .belay(&["state", "get", "k"])
        .await
        .check(Exit::Ok, "\n", "");
    server
        .belay(&["state", "get", "k", "--raw"])
        .await
        .check(Exit::Ok, "", "");
}

#[tokio::test]
async fn any_bytes_come_from_standard_input_and_go_to_standard_output() {
    let server = Server::start().await;
    let bytes: Vec<u8> = (0..=255).collect();
    let set = server.with_input(&["state", "set", "k", "-"], &bytes).await;
    set.check(Exit::Ok, "saved k in state_demo (256 bytes)\n", "");
    let get = server.belay(&["state", "get", "k", "--raw"]).await;
    assert_eq!((get.exit, get.out), (Exit::Ok, bytes));
    let get = server.belay(&["state", "get", "k"]).await;
    get.check(Exit::Ok, "(256 bytes that are no text; --json shows them)\n", "");
    let get = server.belay(&["state", "get", "k", "--json"]).await;
    assert!(
        get.json()["value_base64"]
            .as_str()
            .is_some_and(|text| text.starts_with("AAECAw"))
    );
}

#[tokio::test]
async fn an_etag_and_a_first_write_protect_what_is_there() {
    let server = Server::start().await;
    let first = ["state", "set", "k", "v", "--first-write"];
    assert_eq!(server.belay(&first).await.exit, Exit::Ok);
    for refused in [
        &first[..],
        &["state", "set", "k", "w", "--etag", "9"],
        &["state", "delete", "k", "--etag", "9"],
    ] {
        let ran = server.belay(refused).await;
        assert_eq!(ran.exit, Exit::Failed);
        assert!(
            ran.err.starts_with("error BLY0050: possible etag mismatch\n"),
            "{}",
            ran.err
        );
    }
    let set = server.belay(&["state", "set", "k", "w", "--etag", "1"]).await;
    assert_eq!(set.exit, Exit::Ok, "{}", set.err);
    let deleted = server.belay(&["state", "delete", "k", "--etag", "2"]).await;
    deleted.check(Exit::Ok, "deleted k from state_demo\n", "");
    assert!(server.fake.0.lock().values.is_empty());
}

#[tokio::test]
async fn a_time_to_live_is_sent_with_the_item() {
    let server = Server::start().await;
    let set = server
        .belay(&["state", "set", "k", "v", "--ttl", "9", "--json"])
        .await;
    assert_eq!(
        set.json(),
        json!({"store": "state_demo", "key": "k", "saved": true, "size": 1})
    );
    server.belay(&["state", "set", "k", "v"]).await;
    let saved = &server.fake.0.lock().saved;
    assert_eq!(saved[0].metadata["ttlInSeconds"], "9");
    assert!(saved[1].metadata.is_empty() && saved[1].etag.is_none() && saved[1].options.is_none());
}

#[tokio::test]
async fn an_unknown_component_is_told_with_the_flag_for_it() {
    let server = Server::start().await;
    let get = server.belay(&["state", "get", "k", "--store", "orders"]).await;
    let expected = format!(
        "error: state store orders is not found\n  call  GetState on {}\n  grpc  INVALID_ARGUMENT (3)\n  next  name one of its components with --store; this was orders\n",
        server.address
    );
    get.check(Exit::Failed, "", &expected);
}

#[tokio::test]
async fn a_socket_file_is_an_address_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let server = Server::on_socket(&folder.path().join("belay.sock"));
    assert_eq!(server.belay(&["state", "set", "k", "v"]).await.exit, Exit::Ok);
    server
        .belay(&["state", "get", "k"])
        .await
        .check(Exit::Ok, "v\n", "");
}
