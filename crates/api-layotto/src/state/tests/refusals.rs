//! The validation tables of spec 3.12 to 3.18.

use super::*;

const SEPARATOR: &str = "input key/keyPrefix 'a||b' can't contain '||'";

/// Every state call on a store, with one good and one given key.
async fn refusals(client: &mut Client, store: &str, key: &str) -> Vec<Status> {
    let items = vec![item("good", "1"), item(key, "2")];
    let operations = vec![
        ("upsert", Some(item("good", "1"))),
        ("delete", Some(item(key, ""))),
    ];
    let answers = [
        client.get_state(get(store, key)).await.err(),
        client.get_bulk_state(get_bulk(store, &["good", key])).await.err(),
        client.save_state(save(store, items.clone())).await.err(),
        client.delete_state(delete(store, key, None)).await.err(),
        client.delete_bulk_state(delete_bulk(store, items)).await.err(),
        client
            .execute_state_transaction(transaction(store, operations))
            .await
            .err(),
    ];
    answers.into_iter().flatten().collect()
}

#[track_caller]
fn check(refusals: &[Status], code: Code, message: &str) {
    assert_eq!(refusals.len(), 6, "{message}");
    for refusal in refusals {
        assert_eq!((refusal.code(), refusal.message()), (code, message));
    }
}

#[tokio::test]
async fn the_store_is_looked_up_before_the_key() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let refused = refusals(&mut client, "other", "a||b").await;
    check(&refused, Code::InvalidArgument, "state store other is not found");
    let refused = refusals(&mut client, STORE, "a||b").await;
    check(&refused, Code::Unknown, SEPARATOR);
    assert!(fakes.states.keys().is_empty());
    let mut client = run(Components::default()).await.client;
    let refused = refusals(&mut client, STORE, "a||b").await;
    check(
        &refused,
        Code::FailedPrecondition,
        "state store is not configured",
    );
}

#[tokio::test]
async fn a_stores_failure_reads_differently_in_each_call() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let texts = [
        "fail to get k from state store demo: it broke",
        "it broke",
        "failed saving state in state store demo: it broke",
        "failed deleting state with key k: it broke",
        "it broke",
        "error while executing state transaction: it broke",
    ];
    use Code::{Aborted, Internal, InvalidArgument, ResourceExhausted, Unknown};
    for (fault, expected) in [
        (
            codes::ENGINE_STOPPED,
            [Internal, Unknown, Internal, Internal, Unknown, Internal],
        ),
        (
            codes::STORED_ROW_UNREADABLE,
            [Internal, Unknown, Internal, Internal, Unknown, Internal],
        ),
        (
            codes::FENCED,
            [Internal, Unknown, Aborted, Aborted, Unknown, Internal],
        ),
        (
            codes::KEY_INVALID,
            [
                Internal,
                Unknown,
                InvalidArgument,
                InvalidArgument,
                Unknown,
                Internal,
            ],
        ),
        (codes::DISK_NEARLY_FULL, [ResourceExhausted; 6]),
    ] {
        fakes.states.fault.set(fault, "it broke");
        let refused = refusals(&mut client, STORE, "k").await;
        let found: Vec<(Code, &str)> = refused
            .iter()
            .map(|status| (status.code(), status.message()))
            .collect();
        let expected: Vec<(Code, &str)> = expected.into_iter().zip(texts).collect();
        assert_eq!(found, expected);
        for status in refused {
            let id = status
                .metadata()
                .get("belay-error-code")
                .expect("the code is named");
            assert_eq!(id, fault.id);
        }
    }
}

#[tokio::test]
async fn etags_at_fault_are_told_in_the_words_of_the_reference() {
    let mut client = Fakes::default().run().await.client;
    assert_eq!(saved(&mut client, item("k", "v")).await, Code::Ok);
    let mismatch = "possible etag mismatch. error from state store";
    for (etag, code, cause) in [
        ("9", Code::Aborted, mismatch),
        ("x", Code::InvalidArgument, "invalid etag value"),
    ] {
        let wrong = item("k", "v").etag(etag);
        let text = format!("failed saving state in state store demo: {cause}");
        assert_refused(
            client.save_state(save(STORE, vec![wrong.clone()])).await,
            code,
            &text,
        );
        let text = format!("failed saving state in state store demo: {cause}: item 2 of 2");
        let both = vec![item("other", "v"), wrong.clone()];
        assert_refused(client.save_state(save(STORE, both)).await, code, &text);
        let text = format!("failed deleting state with key k: {cause}");
        assert_refused(
            client.delete_state(delete(STORE, "k", Some(etag))).await,
            code,
            &text,
        );
        let bulk = delete_bulk(STORE, vec![wrong.clone()]);
        assert_refused(client.delete_bulk_state(bulk).await, Code::Unknown, cause);
        let text = format!("error while executing state transaction: {cause}");
        for operation in ["upsert", "delete"] {
            let operations = transaction(STORE, vec![(operation, Some(wrong.clone()))]);
            let answer = client.execute_state_transaction(operations).await;
            assert_refused(answer, Code::Internal, &text);
        }
    }
}

#[tokio::test]
async fn a_transaction_checks_store_then_each_key_before_its_type() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let unsupported = "operation type UPSERT not supported";
    for (operations, code, message) in [
        (vec![("UPSERT", Some(item("a||b", "")))], Code::Unknown, SEPARATOR),
        (
            vec![("UPSERT", Some(item("k", "")))],
            Code::Unimplemented,
            unsupported,
        ),
        (
            vec![("", Some(item("k", "")))],
            Code::Unimplemented,
            "operation type  not supported",
        ),
        (
            vec![
                ("UPSERT", Some(item("k", ""))),
                ("upsert", Some(item("a||b", ""))),
            ],
            Code::Unimplemented,
            unsupported,
        ),
        (
            vec![
                ("upsert", Some(item("k", "").ttl("x"))),
                ("UPSERT", Some(item("k", ""))),
            ],
            Code::Unimplemented,
            unsupported,
        ),
    ] {
        let answer = client
            .execute_state_transaction(transaction(STORE, operations))
            .await;
        assert_refused(answer, code, message);
    }
    fakes.states.no_transactions.store(true, Ordering::SeqCst);
    let operations = vec![("UPSERT", Some(item("a||b", "")))];
    assert_refused(
        client
            .execute_state_transaction(transaction(STORE, operations))
            .await,
        Code::Unimplemented,
        "state store demo doesn't support transaction",
    );
}

/// Case C39.
#[tokio::test]
async fn a_time_to_live_that_makes_no_sense_is_refused_by_its_key() {
    let fakes = Fakes::default();
    let mut client = fakes.run().await.client;
    let too_long = (limits::TTL_MAX.as_secs() + 1).to_string();
    for setting in [
        "0",
        "-2",
        "abc",
        "",
        " 5",
        "1.5",
        "9223372036854775807",
        "1e3",
        &too_long,
    ] {
        let message = format!(
            "ttlInSeconds of key k is '{setting}', it must be a number of seconds from 1 to 31622400000, \
             or -1 for a key that stays"
        );
        let items = vec![item("good", "v"), item("k", "v").ttl(setting)];
        let operations = items.iter().map(|item| ("upsert", Some(item.clone()))).collect();
        let answer = client.save_state(save(STORE, items.clone())).await;
        assert_refused(answer, Code::InvalidArgument, &message);
        let answer = client
            .execute_state_transaction(transaction(STORE, operations))
            .await;
        assert_refused(answer, Code::InvalidArgument, &message);
    }
    assert!(fakes.states.keys().is_empty());
}

#[tokio::test]
async fn a_store_that_cannot_expire_keys_does_not_pretend_to() {
    let fakes = Fakes::default();
    fakes.states.no_ttl.store(true, Ordering::SeqCst);
    let mut client = fakes.run().await.client;
    let answer = client
        .save_state(save(STORE, vec![item("k", "v").ttl("5")]))
        .await;
    let message = "key k has a time to live, but state store demo cannot make keys expire";
    assert_refused(answer, Code::InvalidArgument, message);
    assert_eq!(saved(&mut client, item("k", "v").ttl("-1")).await, Code::Ok);
}

#[tokio::test]
async fn too_many_keys_in_one_call_are_refused() {
    let mut client = Fakes::default().run().await.client;
    let count = limits::BULK_KEYS_MAX + 1;
    let message = "10001 keys in one call are over the limit of 10000, send several calls";
    let invalid = Code::InvalidArgument;
    let read = get_bulk(STORE, &vec!["k"; count]);
    assert_refused(client.get_bulk_state(read).await, invalid, message);
    let items = vec![item("k", ""); count];
    assert_refused(
        client.save_state(save(STORE, items.clone())).await,
        invalid,
        message,
    );
    assert_refused(
        client.delete_bulk_state(delete_bulk(STORE, items.clone())).await,
        invalid,
        message,
    );
    let operations = items.into_iter().map(|item| ("delete", Some(item))).collect();
    let answer = client
        .execute_state_transaction(transaction(STORE, operations))
        .await;
    assert_refused(answer, invalid, message);
}

/// The library's own code would be another one.
#[tokio::test]
async fn a_request_over_the_size_limit_is_resource_exhausted() {
    let mut client = Fakes::default().run().await.client;
    let large = item("k", &"x".repeat(limits::MESSAGE_BYTES_MAX));
    let answer = client.save_state(save(STORE, vec![large])).await;
    let message = "grpc: received message larger than max (4194323 vs. 4194304)";
    assert_refused(answer, Code::ResourceExhausted, message);
    let largest = item("k", &"x".repeat(limits::MESSAGE_BYTES_MAX - 100));
    assert_eq!(saved(&mut client, largest).await, Code::Ok);
}
