use serde_json::json;

use super::super::tests::{check, findings, load_text, nothing_set};
use super::super::{Config, Overrides, SecretReference, resolve_secrets};

/// A MOSN file in one line each: what else the file has, what else the server has, the runtime's part.
fn file(top: &str, server: &str, runtime: &str) -> String {
    format!(
        "{{{top} \"servers\": [{{{server}\n\"listeners\": [{{\"name\": \"grpc\", \"address\": \"127.0.0.1:34904\", \"bind_port\": true,\n\"filter_chains\": [{{\"filters\": [{{\"type\": \"grpc\", \"config\": {{\"server_name\": \"runtime\", \"grpc_config\": {{\n{runtime}\n}}}}}}]}}]}}]}}]}}"
    )
}

/// The runtime's part is in line 4.
fn runtime(text: &str) -> String {
    file("", "", text)
}

#[track_caller]
fn accepted(text: &str) -> Config {
    let loaded = load_text(text, &Overrides::default(), &nothing_set)
        .unwrap_or_else(|rejected| panic!("{:#?}", rejected.findings));
    assert_eq!(loaded.findings, []);
    loaded.config
}

/// Components as `name on driver serving port`.
fn components(config: &Config) -> Vec<String> {
    let of = |component: &super::super::Component| {
        let ports: Vec<_> = component
            .ports
            .iter()
            .flatten()
            .map(|serves| serves.port().name())
            .collect();
        format!(
            "{} on {} serving {}",
            component.name,
            component.driver,
            ports.join(" ")
        )
    };
    config.components.iter().map(of).collect()
}

#[test]
fn the_least_file_serves_the_api_and_nothing_else() {
    let config = accepted(&runtime(""));
    assert_eq!(config.listen.layotto.to_string(), "127.0.0.1:34904");
    assert_eq!(config, Config::default());
}

#[test]
fn the_application_and_its_callback() {
    let config = accepted(&runtime(
        r#""app": {"app_id": "app1", "grpc_callback_port": 9999}"#,
    ));
    assert_eq!(
        (config.apps[0].id.as_str(), config.apps[0].callback.as_deref()),
        ("app1", Some("127.0.0.1:9999"))
    );
    let config = accepted(&runtime(
        r#""app": {"grpc_callback_port": 1, "grpc_callback_host": "app.local"}"#,
    ));
    assert_eq!(
        (config.apps[0].id.as_str(), config.apps[0].callback.as_deref()),
        ("", Some("app.local:1"))
    );
    let config = accepted(&runtime(r#""app": {"app_id": "app1", "grpc_callback_port": 0}"#));
    assert_eq!(config.apps[0].callback, None);
}

#[test]
fn hellos_with_and_without_a_type() {
    let config = accepted(&runtime(
        r#""hellos": {"a": {"type": "helloworld", "hello": "hi"}, "b": {"hello": "ho"}, "c": {}}"#,
    ));
    let greetings: Vec<_> = config
        .hellos
        .values()
        .map(|hello| hello.greeting.as_str())
        .collect();
    assert_eq!(greetings, ["hi", "ho", ""]);
    check(
        &runtime(r#""hellos": {"a": {"type": "grpc-plug"}}"#),
        &[(4, 26, "service component grpc-plug is not known")],
    );
}

#[test]
fn in_memory_components_are_in_memory() {
    let sections = ["state", "lock", "sequencer", "pub_subs", "config_store"];
    let blocks =
        sections.map(|section| format!(r#""{section}": {{"x": {{"type": "in-memory", "metadata": {{}}}}}}"#));
    let mut found = components(&accepted(&runtime(&blocks.join(","))));
    found.sort();
    let expected =
        ["config", "lock", "pubsub", "sequencer", "state"].map(|port| format!("x on memory serving {port}"));
    assert_eq!(found, expected);
}

#[test]
fn local_files_secrets_and_http_bindings_have_drivers() {
    let text = runtime(
        r#""file": {"f": {"type": "local", "metadata": []}},
        "secret_store": {"e": {"type": "local.env"}, "s": {"type": "local.file", "metadata": {"secretsFile": "s.json", "multiValued": "true"}}}"#,
    );
    let config = accepted(&text);
    assert_eq!(
        components(&config),
        [
            "e on secret-env serving secret",
            "s on secret-file serving secret",
            "f on local-file serving file"
        ]
    );
    assert_eq!(config.components[1].settings["secretsFile"], "s.json");
}

#[test]
fn an_http_binding_has_its_url() {
    let found = findings(&runtime(
        r#""bindings": {"b": {"type": "http", "metadata": {"url": "http://127.0.0.1:1/x"}}}"#,
    ));
    assert_eq!(found, []);
}

#[test]
fn outside_stores_are_kept_here_and_it_is_said_plainly() {
    let text = runtime(
        r#""state": {"s": {"type": "redis", "metadata": {"redisHost": "127.0.0.1:6379", "redisPassword": ""}}}"#,
    );
    check(&text, &[(4, 25, "state `s`")]);
    let loaded = load_text(&text, &Overrides::default(), &nothing_set).expect("it is only a warning");
    assert!(
        loaded.findings[0].message.contains("NOT connected to redis"),
        "{:?}",
        loaded.findings
    );
    assert_eq!(components(&loaded.config), ["s on embedded serving state"]);
    assert!(loaded.config.components[0].settings.is_empty());
}

#[test]
fn outside_stores_without_a_stand_in_stop_the_start() {
    check(
        &runtime(r#""file": {"f": {"type": "minio"}}"#),
        &[(4, 24, "use `local`")],
    );
    check(
        &runtime(r#""secret_store": {"f": {"type": "kubernetes"}}"#),
        &[(4, 32, "`local.file` and `local.env`")],
    );
}

#[test]
fn an_unknown_type_stops_the_start() {
    check(
        &runtime(r#""lock": {"l": {"type": "reddis"}}"#),
        &[(
            4,
            24,
            "no component type `reddis` is known, did you mean `redis`?",
        )],
    );
    check(
        &runtime(r#""lock": {"in-memory": {}, "l": {}}"#),
        &[(4, 32, "no component type `l`")],
    );
}

#[test]
fn metadata_becomes_options() {
    let text = runtime(
        r#""state": {"s": {"type": "in-memory", "metadata": {"keyPrefix": "Name", "ttlInSeconds": "60"}}},
        "pub_subs": {"p": {"type": "in-memory", "metadata": {"consumerID": "group"}}, "q": {"type": "in-memory", "metadata": {"consumerID": " "}}},
        "sequencer": {"n": {"type": "in-memory", "biggerThan": {"a": 3}, "metadata": {"keyPrefix": "none"}}}"#,
    );
    let config = accepted(&text);
    let [state, p, q, sequencer] = &config.components[..] else {
        panic!("{:?}", components(&config));
    };
    assert_eq!(
        (state.key_prefix.as_deref(), state.ttl_seconds),
        (Some("Name"), Some(60))
    );
    assert_eq!(
        (p.consumer_id.as_deref(), q.consumer_id.as_deref()),
        (Some("group"), None)
    );
    assert_eq!(
        (sequencer.bigger_than.get("a"), sequencer.key_prefix.as_deref()),
        (Some(&3), Some("none"))
    );
}

#[test]
fn a_time_to_live_that_is_not_positive_is_none() {
    for ttl in ["-1", "0", ""] {
        let block =
            format!(r#""state": {{"s": {{"type": "in-memory", "metadata": {{"ttlInSeconds": "{ttl}"}}}}}}"#);
        assert_eq!(accepted(&runtime(&block)).components[0].ttl_seconds, None);
    }
    let block = r#""state": {"s": {"type": "in-memory", "metadata": {"ttlInSeconds": "soon"}}}"#;
    check(
        &runtime(block),
        &[(4, 67, "expected a whole number, found a text")],
    );
}

#[test]
fn a_prefix_with_the_separator_stops_the_start() {
    check(
        &runtime(r#""lock": {"l": {"type": "in-memory", "metadata": {"keyPrefix": "a||b"}}}"#),
        &[(4, 63, "input key/keyPrefix 'a||b' can't contain '||'")],
    );
}

#[test]
fn metadata_is_texts() {
    check(
        &runtime(r#""state": {"s": {"type": "in-memory", "metadata": {"keyPrefix": 5}}}"#),
        &[(4, 64, "`keyPrefix` must be a text")],
    );
}

#[test]
fn unknown_metadata_is_ignored_with_a_warning() {
    let text = runtime(
        r#""secret_store": {"s": {"type": "local.file", "metadata": {"secretsFile": "x", "more": "y"}}}"#,
    );
    check(&text, &[(4, 79, "unknown option `more`")]);
    let loaded = load_text(&text, &Overrides::default(), &nothing_set).expect("it is only a warning");
    assert_eq!(
        loaded.config.components[0].settings,
        *json!({"secretsFile": "x"}).as_object().expect("it is a map")
    );
}

// Go's JSON.

#[test]
fn keys_are_read_in_any_case_and_names_are_not() {
    let config = accepted(&runtime(
        r#""STATE": {"Aa": {"Type": "in-memory"}, "aA": {"TYPE": "in-memory"}}"#,
    ));
    assert_eq!(
        components(&config),
        ["Aa on memory serving state", "aA on memory serving state"]
    );
}

#[test]
fn the_last_duplicate_wins_and_unknown_keys_mean_nothing() {
    let text = runtime(
        r#""nope": [1], "app": {"app_id": "a", "app_id": "b"}, "app": null, "hellos": {"h": {"hello": "1"}, "h": {"hello": "2"}}"#,
    );
    let config = accepted(&text);
    assert_eq!(config.hellos["h"].greeting, "2");
    assert_eq!(config.apps, []);
}

#[test]
fn wrong_types_stop_the_start() {
    check(
        &runtime(r#""app": {"app_id": 5, "grpc_callback_port": "x"}, "hellos": [], "state": {"s": 1}"#),
        &[
            (4, 19, "`app_id` must be a text"),
            (4, 44, "must be a whole number"),
            (4, 60, "`hellos` must be options"),
            (4, 79, "`s` must be options"),
        ],
    );
}

#[test]
fn layottos_texts_have_no_references() {
    let config = accepted(&runtime(
        r#""hellos": {"h": {"hello": "${HOME} $${x} ${secret:a/b}"}}"#,
    ));
    assert_eq!(config.hellos["h"].greeting, "${HOME} $${x} ${secret:a/b}");
    assert_eq!(config.secret_references(), []);
}

#[test]
fn nonsense_is_a_finding_and_never_a_crash() {
    for servers in [
        "5",
        "[]",
        "[5]",
        "{}",
        "[{}]",
        "[{\"listeners\": 5}]",
        "[{\"listeners\": [5, {}, {\"filter_chains\": [{\"filters\": [{\"type\": \"grpc\"}]}]}]}]",
    ] {
        let found = findings(&format!("{{\"servers\": {servers}}}"));
        assert!(
            found.iter().any(super::super::Finding::is_error),
            "{servers}: {found:?}"
        );
    }
}

// Secrets.

const SECRET: &str = r#""secret_store": {"env": {"type": "local.env"}},
"bindings": {"b": {"type": "http", "metadata": {"url": "http://plain"},
"secret_ref": [{"store_name": "env", "key": "BINDING_URL", "sub_key": "BINDING_URL", "inject_as": "url"}]}}"#;

#[test]
fn a_secret_reference_is_put_in_later() {
    let mut config = accepted(&runtime(SECRET));
    let reference = SecretReference {
        store: "env".into(),
        key: "BINDING_URL".into(),
        value: None,
    };
    assert_eq!(config.secret_references(), [reference]);
    resolve_secrets(&mut config, &|_| Ok("http://${x}".into())).expect("it is found");
    let binding = config
        .components
        .iter()
        .find(|component| component.name == "b")
        .expect("it is there");
    assert_eq!(binding.settings["url"], "http://${x}");
}

#[test]
fn a_secret_reference_to_an_unknown_store_stops_the_start() {
    check(
        &runtime(&SECRET.replace(r#""store_name": "env""#, r#""store_name": "enf""#)),
        &[(6, 16, "no component `enf` serves secret, did you mean `env`?")],
    );
}

#[test]
fn a_secret_reference_says_what_it_lacks() {
    check(
        &runtime(r#""state": {"s": {"type": "in-memory", "secret_ref": [{"store_name": "env"}]}}"#),
        &[(4, 53, "`key` is missing")],
    );
}

// Listeners and what is around them.

#[test]
fn a_socket_is_a_listener_of_network_unix() {
    let text = runtime("").replace(
        r#""address": "127.0.0.1:34904""#,
        r#""network": "unix", "address": "/tmp/client-proxy.sock""#,
    );
    assert_eq!(
        accepted(&text).listen.layotto.to_string(),
        "unix:/tmp/client-proxy.sock"
    );
}

#[test]
fn no_host_is_every_interface_and_warned_about() {
    let text = runtime("").replace("127.0.0.1:34904", ":34904");
    check(&text, &[(2, 43, "other machines can reach 0.0.0.0:34904")]);
}

#[test]
fn the_actuator_has_its_own_listener() {
    let actuator = r#""listeners": [{"name": "actuator", "address": "127.0.0.1:34999", "stream_filters": [{"type": "actuator_filter"}]},"#;
    let config = accepted(&runtime("").replace(r#""listeners": ["#, actuator));
    assert_eq!(config.listen.actuator.to_string(), "127.0.0.1:34999");
}

#[test]
fn other_listeners_are_warned_about() {
    let other = r#""listeners": [{"name": "wasm", "address": "127.0.0.1:2045"},"#;
    check(
        &runtime("").replace(r#""listeners": ["#, other),
        &[(2, 15, "the listener `wasm` is not served")],
    );
}

#[test]
fn flow_control_becomes_a_limit() {
    let filters = |config: &str| {
        let filters = format!(
            r#""bind_port": true, "stream_filters": [{{"type": "grpc_metric"}}, {{"type": "flowControlFilter", "config": {config}}}],"#
        );
        runtime("").replace(r#""bind_port": true,"#, &filters)
    };
    let rule = r#"{"resource": "/spec.proto.runtime.v1.Runtime/SayHello", "grade": 1, "threshold": 5.0}"#;
    let config = accepted(&filters(&format!(
        r#"{{"global_switch": true, "limit_key_type": "PATH", "rules": [{rule}]}}"#
    )));
    assert_eq!(
        config
            .limits
            .calls_per_second
            .get("/spec.proto.runtime.v1.Runtime/SayHello"),
        Some(&5)
    );
    let config = accepted(&filters(&format!(
        r#"{{"global_switch": false, "rules": [{rule}]}}"#
    )));
    assert!(config.limits.calls_per_second.is_empty());
    let found = findings(&filters(
        r#"{"global_switch": true, "rules": [{"resource": "x", "grade": 0}]}"#,
    ));
    assert!(found[0].message.contains("this rule is not applied"), "{found:?}");
}

#[test]
fn unknown_stream_filters_are_warned_about() {
    let text = runtime("").replace(
        r#""bind_port": true,"#,
        r#""bind_port": true, "stream_filters": [{"type": "jwt"}],"#,
    );
    check(&text, &[(2, 100, "the stream filter `jwt` is not applied")]);
}

#[test]
fn metrics_are_on_loopback_only() {
    let config = accepted(&file(
        r#""metrics": {"sinks": [{"type": "prometheus", "config": {"port": 34903, "endpoint": "/m"}}]},"#,
        "",
        "",
    ));
    assert_eq!(
        (
            config.telemetry.metrics.listen.to_string().as_str(),
            config.telemetry.metrics.path.as_str()
        ),
        ("127.0.0.1:34903", "/m")
    );
}

#[test]
fn tracing_to_elsewhere_is_warned_about() {
    check(
        &file(r#""tracing": {"enable": true, "driver": "jaeger"},"#, "", ""),
        &[(1, 13, "no spans are sent to jaeger")],
    );
    check(
        &file(r#""tracing": {"enable": false, "driver": "jaeger"},"#, "", ""),
        &[],
    );
}

#[test]
fn log_levels_are_translated() {
    let config = accepted(&file(
        "",
        r#""default_log_level": "WARNING", "default_log_path": "stdout","#,
        "",
    ));
    assert_eq!(config.telemetry.log.level, "warn");
    check(
        &file("", r#""default_log_path": "/var/log/x.log","#, ""),
        &[(1, 36, "no log files are written")],
    );
}

#[test]
fn sections_without_an_equivalent_are_warned_about() {
    check(
        &runtime(r#""oss": {"o": {"type": "aws.oss"}}, "email": {}, "custom_component": {"k": {}}"#),
        &[
            (4, 8, "`oss` is not supported"),
            (4, 69, "`custom_component` is not supported"),
        ],
    );
}

// Service invocation.

fn rpc(channel: &str) -> String {
    format!(r#""rpcs": {{"mosn": {{"config": {{"channel": [{channel}]}}}}}}"#)
}

#[test]
fn an_address_is_called_for_every_service() {
    let config = accepted(&runtime(&rpc(
        r#"{"protocol": "http", "listener": "127.0.0.1:2045", "size": 16}"#,
    )));
    assert_eq!(components(&config), ["mosn on http-invoke serving invoke"]);
    assert_eq!(
        config.components[0].settings["targets"],
        json!([{"id": "*", "url": "http://127.0.0.1:2045"}])
    );
}

/// A listener named `proxy`, whose routes go by the header `id`.
fn routed(hosts: &str) -> String {
    let top = format!(
        r#""cluster_manager": {{"clusters": [{{"name": "hello", "hosts": {hosts}}}, {{"name": "rest", "hosts": [{{"address": "127.0.0.1:2"}}]}}]}},"#
    );
    let server = r#""routers": [{"router_config_name": "r", "virtual_hosts": [{"domains": ["*"], "routers": [
        {"match": {"headers": [{"name": "id", "value": "Hello:1.0"}]}, "route": {"cluster_name": "hello"}},
        {"match": {"prefix": "/"}, "route": {"cluster_name": "rest"}}]}]}],"#;
    let listener = r#""listeners": [{"name": "proxy", "address": "127.0.0.1:2045", "filter_chains": [{"filters": [{"type": "proxy", "config": {"router_config_name": "r"}}]}]},"#;
    file(&top, server, &rpc(r#"{"protocol": "http", "listener": "proxy"}"#))
        .replace(r#""listeners": ["#, listener)
}

#[test]
fn routes_of_a_listener_become_targets() {
    let config = accepted(&routed(r#"[{"address": "127.0.0.1:1"}]"#));
    let targets =
        json!([{"id": "Hello:1.0", "url": "http://127.0.0.1:1"}, {"id": "*", "url": "http://127.0.0.1:2"}]);
    assert_eq!(config.components[0].settings["targets"], targets);
}

#[test]
fn a_cluster_without_hosts_is_found() {
    let found = findings(&routed("[]"));
    assert!(
        found[0].is_error() && found[0].message.contains("the cluster `hello` has no hosts"),
        "{found:?}"
    );
}

#[test]
fn further_hosts_of_a_cluster_are_warned_about() {
    let found = findings(&routed(
        r#"[{"address": "127.0.0.1:1"}, {"address": "127.0.0.1:3"}]"#,
    ));
    assert!(
        !found[0].is_error() && found[0].message.contains("only the first host"),
        "{found:?}"
    );
}

#[test]
fn calls_that_would_go_another_way_stop_the_start() {
    check(
        &runtime(&rpc(r#"{"protocol": "bolt", "listener": "x"}"#)),
        &[(4, 55, "`bolt` is not supported")],
    );
    check(&runtime(&rpc("")), &[(4, 18, "missing channel config")]);
    check(
        &runtime(&rpc(r#"{"protocol": "http", "listener": "nope"}"#)),
        &[(4, 75, "[rpc]invalid listener name")],
    );
    let plugin = rpc(r#"{"protocol": "http", "listener": "h:1"}"#).replace(
        r#""config": {"#,
        r#""config": {"before_invoke": [{"name": "dubbo_json_rpc"}],"#,
    );
    check(
        &runtime(&plugin),
        &[(4, 47, "plugins around a call are not supported")],
    );
}

#[test]
fn other_rpcs_are_never_called() {
    check(
        &runtime(r#""rpcs": {"other": {}}"#),
        &[(4, 10, "`other` is never called")],
    );
}

#[test]
fn our_sample_is_taken_as_it_is() {
    let config = accepted(include_str!("../../../../../configs/layotto.json"));
    let expected = [
        "secret_demo on secret-file serving secret",
        "secret_demo1 on secret-env serving secret",
        "config_demo on memory serving config",
        "state_demo on memory serving state",
        "pub_subs_demo on memory serving pubsub",
        "file_demo on local-file serving file",
        "lock_demo on memory serving lock",
        "sequencer_demo on memory serving sequencer",
    ];
    assert_eq!(components(&config), expected);
    assert_eq!(config.components[4].consumer_id.as_deref(), Some("1"));
    let listen = [
        &config.listen.layotto,
        &config.listen.actuator,
        &config.telemetry.metrics.listen,
    ];
    assert_eq!(
        listen.map(ToString::to_string),
        ["127.0.0.1:34904", "127.0.0.1:34999", "127.0.0.1:34903"]
    );
    assert_eq!(config.apps[0].callback.as_deref(), Some("127.0.0.1:9999"));
}
