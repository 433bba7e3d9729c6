//! Unmodified Restate SDKs on the real binary: the services in `tests/restate`, one program per SDK, and one suite that
//! drives them all. A test per SDK, so that a program starts once; a failure names its scenarios.

mod calls;
mod crashes;
mod endings;
mod identity;
mod mix;
mod sdk;
mod table;
mod waits;
mod world;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use sdk::Sdk;
use world::World;

/// Longest that all scenarios with one SDK may take.
const DEADLINE: Duration = Duration::from_secs(120);

/// What a user relies on, and how it is shown to hold. The key is the scenario's own.
struct Scenario {
    name: &'static str,
    run: fn(Arc<World>, String) -> BoxFuture<'static, ()>,
}

macro_rules! scenarios {
    ($($name:literal: $function:path),* $(,)?) => {
        &[$(Scenario {
            name: $name,
            run: |world, key| async move { $function(&world, &key).await }.boxed(),
        }),*]
    };
}

/// Every scenario but the crashes: all at once against one server and one program.
const SCENARIOS: &[Scenario] = scenarios! {
    "call": calls::a_call_is_answered,
    "three runs in a row": calls::runs_go_on_one_after_another,
    "call chain": calls::a_handler_calls_another_one,
    "one-way call": calls::a_handler_sends_to_an_object,
    "delayed send": calls::a_send_may_be_delayed,
    "object state: add, get, lazy, keys, clear": calls::an_object_has_state,
    "idempotent replay": calls::an_idempotent_call_runs_once,
    "sleep": waits::a_sleep_ends,
    "awakeable: resolve": waits::an_awakeable_is_resolved,
    "awakeable: reject": waits::an_awakeable_is_rejected,
    "workflow: run, promise, attach, once only": waits::a_workflow_waits_for_its_promise,
    "workflow: promise rejected": waits::a_promise_is_rejected,
    "suspended on a sleep": waits::a_sleep_suspends_and_resumes,
    "suspended on an awakeable": waits::an_awakeable_suspends_and_resumes,
    "terminal error": endings::a_terminal_error_reaches_the_caller,
    "handler succeeds at the third attempt": endings::a_handler_is_tried_again,
    "run succeeds at the third attempt": endings::a_run_is_tried_again,
    "cancel": endings::a_cancel_ends_a_sleep,
    "cancel reaches what was called": endings::a_cancel_reaches_what_was_called,
    "kill": endings::a_kill_ends_a_sleep,
};

/// One after another, when the others are done.
const CRASHES: &[&str] = &["kill -9 of Belay", "kill -9 of the service"];

async fn every_scenario_passes(sdk: &Sdk) {
    let passed = tokio::time::timeout(DEADLINE, pass(sdk));
    passed.await.expect("the scenarios end");
}

async fn pass(sdk: &Sdk) {
    let world = Arc::new(World::start(sdk).await);
    let mut running = tokio::task::JoinSet::new();
    for (index, scenario) in SCENARIOS.iter().enumerate() {
        let scenario_run = (scenario.run)(world.clone(), format!("key-{index}"));
        running.spawn(
            AssertUnwindSafe(scenario_run)
                .catch_unwind()
                .map(move |ended| (scenario.name, ended)),
        );
    }
    let mut failed = BTreeMap::new();
    while let Some(ended) = running.join_next().await {
        let (name, ended) = ended.expect("panics are caught");
        if let Err(panic) = ended {
            failed.insert(name, reason(&*panic));
        }
    }
    let mut world = Arc::into_inner(world).expect("every scenario has ended");
    assert!(failed.is_empty(), "{failed:#?}\n{}", world.said());
    assert_eq!(
        world.protocols().await,
        [sdk.protocol],
        "what the table says is what was spoken"
    );
    world = crashes::belay_is_killed(world).await;
    crashes::the_service_is_killed(world, sdk).await;
}

fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}

macro_rules! sdks {
    ($($module:ident { $($test:ident: $sdk:ident),* $(,)? })*) => {
        /// Every SDK that a test runs.
        const SDKS: &[&Sdk] = &[$($(&sdk::$sdk,)*)*];

        // Modules are called after languages, by which `cargo xtask test --only` chooses.
        $(
            mod $module {
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $test() {
                        super::every_scenario_passes(&super::sdk::$sdk).await;
                    }
                )*
            }
        )*
    };
}

sdks! {
    js {
        typescript_1_3: TYPESCRIPT_1_3,
        typescript_1_4: TYPESCRIPT_1_4,
        typescript_1_14: TYPESCRIPT_1_14,
        typescript_1_17: TYPESCRIPT_1_17,
        typescript_1_17_with_version_7: TYPESCRIPT_1_17_VERSION_7,
        typescript_1_17_over_http_11: TYPESCRIPT_1_17_HTTP_11,
    }
    rust { rust_0_13: RUST }
    python {
        python_0_5: PYTHON_0_5,
        python_1_3: PYTHON,
    }
    go { go_1_2: GO }
    java { java_2_4: JAVA }
}
