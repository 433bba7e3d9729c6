//! Questions over tables of the test's own: what the official CLI asks, what people ask, what is refused.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use base::{codes, limits};
use ports::query::{Filter, Form, Sql};
use serde_json::{Value as Json, json};

use crate::Engine;

mod fake;

use fake::Fake;

async fn ask_of(tables: Fake, query: &str) -> base::Result<Json> {
    let engine = Engine::over(Arc::new(tables));
    let answer = engine.ask(query.into(), Form::Json).await?;
    Ok(serde_json::from_slice(&answer).expect("JSON"))
}

#[track_caller]
fn blocking<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

#[track_caller]
fn check(query: &str, expected: Json) {
    let answered =
        blocking(ask_of(Fake::default(), query)).unwrap_or_else(|error| panic!("{query}: {error}"));
    assert_eq!(answered["rows"], expected, "{query}");
}

#[track_caller]
fn refused(query: &str, code: base::codes::Code, hint: &str) {
    let error = blocking(ask_of(Fake::default(), query)).expect_err(query);
    assert_eq!(error.code(), code, "{error}");
    assert!(error.to_string().contains(hint), "{error}");
}

#[test]
fn what_services_status_asks() {
    check(
        "SELECT target_service_name, target_handler_name, 'pending' as status, COUNT(1) as num_invocations,
            MIN(created_at) as oldest_at, FIRST_VALUE(id ORDER BY created_at ASC) as oldest_invocation
         FROM sys_invocation_status
         WHERE status == 'inboxed' AND target_service_name IN ('Counter','Greeter')
         GROUP BY target_service_name, target_handler_name",
        json!([{"target_service_name": "Counter", "target_handler_name": "add", "status": "pending", "num_invocations": 2,
                "oldest_at": "1970-01-01T00:00:01.000Z", "oldest_invocation": "inv_1"}]),
    );
    check(
        "SELECT target_service_name as service_name, target_service_key as service_key, status as invocation_status,
            first_value(id) as invocation_holding_lock, first_value(created_at) as invocation_created_at,
            first_value(last_failure) as last_failure_message, 0 as num_pending, sum(retry_count) as num_retries
         FROM sys_invocation WHERE status != 'pending' AND target_service_name IN ('Counter')
         GROUP BY target_service_name, target_service_key, status",
        json!([
            {"service_name": "Counter", "service_key": "a", "invocation_status": "running", "invocation_holding_lock": "inv_2",
             "invocation_created_at": "1970-01-01T00:00:02.000Z", "num_pending": 0, "num_retries": 4},
            {"service_name": "Counter", "service_key": "b", "invocation_status": "completed", "invocation_holding_lock": "inv_3",
             "invocation_created_at": "1970-01-01T00:00:03.000Z", "num_pending": 0, "num_retries": 2},
        ]),
    );
    check(
        "SELECT service_name, service_key, COUNT(1) as num_pending FROM sys_inbox WHERE service_name IN ('Counter')
         GROUP BY service_name, service_key ORDER BY num_pending DESC",
        json!([]),
    );
}

#[test]
fn what_invocations_list_asks() {
    check(
        "SELECT id FROM sys_invocation inv ORDER BY inv.created_at ASC, inv.id LIMIT 2",
        json!([{"id": "inv_1"}, {"id": "inv_2"}]),
    );
    check(
        "SELECT COUNT(1) FROM (SELECT * FROM sys_invocation inv LIMIT 50000)",
        json!([{"count(Int64(1))": 3}]),
    );
    check(
        "SELECT inv.id, inv.created_at, inv.modified_at as state_modified_at, inv.retry_count as num_retries,
            dp.id IS NOT NULL as pinned_deployment_exists
         FROM sys_invocation inv LEFT JOIN sys_deployment dp ON dp.id = inv.pinned_deployment_id
         WHERE inv.id in ('inv_1', 'inv_3') ORDER BY inv.created_at DESC, inv.id",
        json!([
            {"id": "inv_3", "created_at": "1970-01-01T00:00:03.000Z", "num_retries": 2, "pinned_deployment_exists": true},
            {"id": "inv_1", "created_at": "1970-01-01T00:00:01.000Z", "num_retries": 2, "pinned_deployment_exists": true},
        ]),
    );
    check(
        "WITH invocations as (SELECT inv.id, inv.pinned_deployment_id FROM sys_invocation inv
            WHERE inv.target_service_name IN (select name from sys_service where ty = 'virtual_object') LIMIT 1)
         SELECT inv.*, dp.id IS NOT NULL as pinned_deployment_exists
         FROM sys_deployment dp RIGHT JOIN invocations inv ON dp.id = inv.pinned_deployment_id",
        json!([{"id": "inv_2", "pinned_deployment_id": "dp_1", "pinned_deployment_exists": true}]),
    );
    check(
        "SELECT id, target FROM sys_invocation_status WHERE ((target = 'Counter/a' AND target LIKE 'x') OR (target LIKE 'Counter/%'))
         AND status != 'completed' LIMIT 500",
        json!([{"id": "inv_2", "target": "Counter/a/add"}, {"id": "inv_1", "target": "Counter/a/add"}]),
    );
}

#[test]
fn what_describing_an_invocation_asks() {
    check(
        "SELECT COUNT(*) FROM information_schema.columns WHERE table_name = 'sys_journal' AND column_name IN ('version','entry_json')",
        json!([{"count(*)": 2}]),
    );
    check(
        "SELECT sj.index, sj.entry_type, sj.completed, CAST(NULL as STRING) AS promise_name,
            CAST(1 as INT UNSIGNED) AS version, CAST(NULL as TIMESTAMP) AS appended_at
         FROM sys_journal sj WHERE sj.id = 'inv_1' ORDER BY index DESC LIMIT 30",
        json!([
            {"index": 1, "entry_type": "Command: Output", "completed": true, "version": 1},
            {"index": 0, "entry_type": "Command: Input", "completed": true, "version": 1},
        ]),
    );
}

#[test]
fn what_state_and_deployments_ask() {
    check(
        "select key, value from state where service_name = 'Counter' and service_key = 'a'",
        json!([{"key": "count", "value": "3130"}]),
    );
    check(
        "SELECT target_service_name as service, target_handler_name as handler, COUNT(1) AS inv_count
         FROM sys_invocation_status WHERE pinned_deployment_id = 'dp_1' AND status != 'completed'
         GROUP BY pinned_deployment_id, target_service_name, target_handler_name",
        json!([{"service": "Counter", "handler": "add", "inv_count": 2}]),
    );
}

#[test]
fn times_and_durations() {
    check(
        "SELECT now() AS now",
        json!([{"now": "2026-11-22T21:57:29.510Z"}]),
    );
    check(
        "SELECT id FROM sys_invocation WHERE created_at > '1970-01-01T00:00:02Z'",
        json!([{"id": "inv_3"}]),
    );
    check(
        "SELECT id FROM sys_invocation WHERE created_at BETWEEN TIMESTAMP '1970-01-01 00:00:02' AND now() - INTERVAL '1 day'
         ORDER BY id",
        json!([{"id": "inv_2"}, {"id": "inv_3"}]),
    );
    check(
        "SELECT max(created_at) - min(created_at) AS span, completion_retention FROM sys_invocation",
        json!([{"span": "PT2S", "completion_retention": "PT86400S"}]),
    );
    check(
        "SELECT date_trunc('minute', created_at) AS minute, extract(second from created_at) AS second FROM sys_invocation LIMIT 1",
        json!([{"minute": "1970-01-01T00:00:00.000Z", "second": 2}]),
    );
    refused(
        "SELECT id FROM sys_invocation WHERE created_at > 'soon'",
        codes::QUERY_INVALID,
        "'soon' is no time",
    );
}

#[test]
fn kinds_are_kept() {
    check(
        "SELECT partition_key FROM sys_invocation_status WHERE partition_key = 18446744073709551615 LIMIT 1",
        json!([{"partition_key": u64::MAX}]),
    );
    check(
        "SELECT services FROM sys_deployment",
        json!([{"services": ["Counter"]}]),
    );
    check(
        "SELECT public FROM (SELECT * FROM sys_service) WHERE public = true",
        json!([{"public": true}]),
    );
    check(
        "SELECT suspended_waiting_for_completions AS waits FROM sys_invocation
         WHERE array_has(suspended_waiting_for_completions, 2) LIMIT 1",
        json!([{"waits": [1, 2]}]),
    );
    check(
        "SELECT avg(retry_count), 1.5 AS x FROM sys_invocation",
        json!([{"avg(sys_invocation.retry_count)": 2.0, "x": 1.5}]),
    );
}

#[test]
fn nulls_come_last_and_cases_are_told_apart() {
    check(
        "SELECT x FROM (SELECT NULL AS x UNION ALL SELECT 1 AS x) ORDER BY x",
        json!([{"x": 1}, {}]),
    );
    check(
        "SELECT id FROM sys_invocation WHERE target LIKE 'counter/%'",
        json!([]),
    );
    check(
        "SELECT COUNT(*) AS n FROM sys_invocation WHERE target ILIKE 'counter/%'",
        json!([{"n": 3}]),
    );
    check(
        "SELECT ID FROM SYS_INVOCATION WHERE Id = 'inv_1'",
        json!([{"id": "inv_1"}]),
    );
}

#[test]
fn tables_are_listed_and_described() {
    check(
        "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'sys_in%' ORDER BY 1",
        json!([{"table_name": "sys_inbox"}, {"table_name": "sys_invocation"}, {"table_name": "sys_invocation_status"}]),
    );
    check(
        "DESCRIBE sys_service",
        json!([
            {"column_name": "name", "data_type": "Utf8", "is_nullable": "YES"},
            {"column_name": "ty", "data_type": "Utf8", "is_nullable": "YES"},
            {"column_name": "public", "data_type": "Boolean", "is_nullable": "YES"},
        ]),
    );
}

#[test]
fn filters_reach_the_tables() {
    let scans = |query: &str| {
        let fake = Fake::default();
        blocking(ask_of(fake.clone(), query)).expect(query);
        let scans = fake.scans.lock().clone();
        scans.into_iter().map(|(_, filter)| filter).collect::<Vec<_>>()
    };
    let id = |id: &str| Filter {
        id: Some(id.into()),
        ..Filter::default()
    };
    assert_eq!(
        scans("SELECT * FROM sys_invocation WHERE id = 'inv_1'"),
        [id("inv_1")]
    );
    assert_eq!(
        scans("SELECT * FROM sys_journal sj WHERE sj.id IN ('inv_1', 'inv_2') ORDER BY index"),
        [id("inv_1"), id("inv_2")]
    );
    let both = Filter {
        service: Some("Counter".into()),
        key: Some("a".into()),
        id: None,
    };
    assert_eq!(
        scans("SELECT * FROM state WHERE service_key = 'a' AND service_name = 'Counter'"),
        [both]
    );
    assert_eq!(scans("SELECT * FROM state WHERE key = 'a'"), [Filter::default()]);
    assert_eq!(scans("SELECT * FROM state WHERE service_name = NULL"), []);
}

#[test]
fn rows_that_several_scans_give_count_once_and_others_are_not_lost() {
    check(
        "SELECT id FROM sys_invocation WHERE id = 'inv_1' OR target_service_key = 'b' OR target_service_key = 'a' ORDER BY id",
        json!([{"id": "inv_1"}, {"id": "inv_2"}, {"id": "inv_3"}]),
    );
    check(
        "SELECT id FROM sys_invocation WHERE id = 1 OR id = 1.5",
        json!([]),
    );
}

#[test]
fn nothing_but_questions_is_answered() {
    for write in [
        "DELETE FROM state",
        "INSERT INTO state VALUES (1)",
        "UPDATE state SET key = 'x'",
        "CREATE TABLE x(y INT)",
        "DROP TABLE state",
        "PRAGMA query_only = OFF",
        "ATTACH DATABASE 'x' AS y",
        "VACUUM",
        "BEGIN",
        "WITH x AS (SELECT 1) DELETE FROM state",
        "SELECT * INTO x FROM state",
        "SELECT 1; SELECT 2",
        "",
        "SELECT (",
    ] {
        refused(write, codes::QUERY_INVALID, "");
    }
    refused(
        "SELECT * FROM sqlite_master",
        codes::QUERY_INVALID,
        "there is no table sqlite_master: the tables are ",
    );
    refused(
        "SELECT * FROM pragma_database_list",
        codes::QUERY_INVALID,
        "there is no table",
    );
    refused("SELECT load_extension('x')", codes::QUERY_INVALID, "");
    refused(
        "SELECT nothing FROM state",
        codes::QUERY_INVALID,
        "no such column",
    );
    refused(
        "SELECT \"nothing\" FROM state",
        codes::QUERY_INVALID,
        "no such column",
    );
    refused(&format!("SELECT {}1", "(".repeat(200)), codes::QUERY_INVALID, "");
    refused(
        &format!("SELECT '{}'", "x".repeat(limits::QUERY_TEXT_BYTES_MAX)),
        codes::QUERY_INVALID,
        "bytes",
    );
}

#[test]
fn answers_that_are_too_large_are_refused_and_memory_is_bounded() {
    let many = |query: &str| {
        let fake = Fake {
            many: 400_000,
            ..Fake::default()
        };
        blocking(ask_of(fake, query))
    };
    let counted = many("SELECT COUNT(*) AS n FROM many").expect("it is small");
    assert_eq!(counted["rows"][0]["n"], 400_000);
    let error = many("SELECT * FROM many").expect_err("400 MB");
    assert_eq!(error.code(), codes::QUERY_TOO_LARGE, "{error}");
    let error = many("SELECT number FROM many ORDER BY text || number").expect_err("400 MB are sorted");
    assert_eq!(error.code(), codes::QUERY_TOO_LARGE, "{error}");
    assert!(error.to_string().contains("MiB"), "{error}");
    // The next one is not the worse for it.
    many("SELECT COUNT(*) AS n FROM many").expect("it is small");
}

#[test]
fn a_question_that_nobody_waits_for_ends() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let engine = Engine::over(Arc::new(Fake::default()));
    let endless = "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x) SELECT COUNT(*) FROM x";
    runtime.block_on(async {
        let asked = engine.ask(endless.into(), Form::Json);
        let waited = tokio::time::timeout(std::time::Duration::from_millis(50), asked).await;
        assert!(waited.is_err(), "it has no end");
    });
    // Waits for threads that still work.
    drop(runtime);
}

#[test]
fn arrow_has_the_same() {
    let engine = Engine::over(Arc::new(Fake::default()));
    let decode = |query: &str| {
        let bytes = blocking(engine.ask(query.into(), Form::Arrow)).expect(query);
        let reader =
            arrow_ipc::reader::StreamReader::try_new(std::io::Cursor::new(bytes), None).expect("a stream");
        let batches: Vec<_> = reader.collect::<Result<_, _>>().expect("batches");
        assert_eq!(batches.len(), 1);
        batches.into_iter().next().expect("one")
    };
    let counted = decode("SELECT COUNT(1) FROM (SELECT * FROM sys_invocation LIMIT 50000)");
    assert_eq!(counted.schema().field(0).name(), "count(Int64(1))");
    assert_eq!(counted.column(0).as_primitive::<Int64Type>().value(0), 3);
    let all = decode("SELECT * FROM sys_invocation ORDER BY id");
    assert_eq!((all.num_rows(), all.num_columns()), (3, 27));
    let kind = |name: &str| {
        all.schema()
            .field_with_name(name)
            .expect(name)
            .data_type()
            .to_string()
    };
    assert_eq!(kind("created_at"), "Timestamp(ms, \"+00:00\")");
    assert_eq!(kind("retry_count"), "UInt64");
    assert_eq!(all.column(0).as_string::<i32>().value(0), "inv_1");
    let lists = decode("SELECT services, (SELECT value FROM state) AS value FROM sys_deployment");
    assert_eq!(
        lists
            .column(0)
            .as_list::<i32>()
            .value(0)
            .as_string::<i32>()
            .value(0),
        "Counter"
    );
    assert_eq!(lists.column(1).as_binary::<i32>().value(0), b"10");
    assert_eq!(decode("SELECT * FROM sys_inbox").num_rows(), 0);
}
