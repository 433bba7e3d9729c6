use super::*;

pub(super) fn nothing_set(_: &str) -> Option<String> {
    None
}

/// Loads a text, with the drivers that are built in.
pub(super) fn load_text(
    text: &str,
    overrides: &Overrides,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, Box<Rejected>> {
    let source = Source::Text {
        name: "belay.yaml".into(),
        text: text.into(),
    };
    load(&source, overrides, &drivers::all(), env)
}

/// Every finding of a text, errors or not.
pub(super) fn findings(text: &str) -> Vec<Finding> {
    match load_text(text, &Overrides::default(), &nothing_set) {
        Ok(loaded) => loaded.findings,
        Err(rejected) => rejected.findings,
    }
}

/// The findings are exactly these: line, column, a part of the message.
#[track_caller]
pub(super) fn check(text: &str, expected: &[(usize, usize, &str)]) {
    let findings = findings(text);
    let shown: Vec<String> = findings
        .iter()
        .map(|finding| format!("{}:{} {}", finding.line, finding.column, finding.message))
        .collect();
    assert_eq!(findings.len(), expected.len(), "{shown:#?}");
    for (finding, (line, column, message)) in findings.iter().zip(expected) {
        assert_eq!((finding.line, finding.column), (*line, *column), "{shown:#?}");
        assert!(finding.message.contains(message), "{message} in {shown:#?}");
    }
}

#[track_caller]
fn accepted(text: &str) -> Config {
    let loaded = load_text(text, &Overrides::default(), &nothing_set)
        .unwrap_or_else(|rejected| panic!("{:#?}", rejected.findings));
    assert_eq!(loaded.findings, []);
    loaded.config
}

fn tcp(text: &str) -> Address {
    text.parse().expect(text)
}

// Reading.

#[test]
fn an_empty_file_is_the_default_configuration() {
    assert_eq!(accepted(""), Config::default());
    assert_eq!(accepted("listen:\ncomponents:\n"), Config::default());
}

#[test]
fn defaults_have_one_source() {
    let typed: Config = serde_json::from_str("{}").expect("nothing is required");
    assert_eq!(typed, Config::default());
    assert_eq!(
        Config::default().limits.message_bytes,
        base::limits::MESSAGE_BYTES_MAX
    );
}

#[test]
fn the_default_configuration_fits_its_own_schema() {
    let written = serde_json::to_string(&Config::default()).expect("it is plain data");
    assert_eq!(accepted(&written), Config::default());
}

#[test]
fn a_file_that_is_not_there_is_unreadable() {
    let source = Source::File("no/such/belay.yaml".into());
    let rejected = load(&source, &Overrides::default(), &drivers::all(), &nothing_set)
        .expect_err("there is no such file");
    assert_eq!(rejected.error.code(), codes::CONFIG_UNREADABLE);
    assert!(
        rejected.error.message().contains("no/such/belay.yaml"),
        "{}",
        rejected.error
    );
}

#[test]
fn broken_yaml_is_unreadable_and_says_where() {
    let rejected = load_text(
        "listen:\n  layotto: [1\nx: 1",
        &Overrides::default(),
        &nothing_set,
    )
    .expect_err("it is broken");
    assert_eq!(rejected.error.code(), codes::CONFIG_UNREADABLE);
    assert_eq!(rejected.findings[0].line, 3);
}

#[test]
fn flags_win_over_the_file() {
    let overrides = Overrides {
        data_dir: Some("elsewhere".into()),
        layotto_listen: Some(tcp("127.0.0.1:0")),
        admin_listen: Some(Address::Off),
        actuator_listen: Some(tcp("127.0.0.1:3")),
        primitives_listen: Some(tcp("127.0.0.1:5")),
        control_listen: Some(tcp("127.0.0.1:6")),
        ingress_listen: Some(tcp("127.0.0.1:7")),
        functions_listen: Some(tcp("127.0.0.1:8")),
        functions: vec!["http://127.0.0.1:9".into()],
        metrics_listen: Some(tcp("127.0.0.1:4")),
        log_format: Some(LogFormat::Json),
        log_level: Some("debug".into()),
        allow_remote: true,
    };
    let text = "data_dir: here\nlisten: {layotto: '127.0.0.1:1', actuator: '127.0.0.1:2'}\ntelemetry: {log: {level: warn}}\n";
    let config = load_text(text, &overrides, &nothing_set)
        .expect("it is valid")
        .config;
    assert_eq!(config.data_dir, PathBuf::from("elsewhere"));
    assert_eq!(
        config.listen.all().map(|(_, address)| address.clone()),
        [
            tcp("127.0.0.1:0"),
            Address::Off,
            tcp("127.0.0.1:3"),
            tcp("127.0.0.1:5"),
            tcp("127.0.0.1:6"),
            tcp("127.0.0.1:7"),
            tcp("127.0.0.1:8"),
        ]
    );
    assert_eq!(config.functions[0].authority(), "127.0.0.1:9");
    assert_eq!(
        (config.telemetry.log.format, config.telemetry.log.level.as_str()),
        (LogFormat::Json, "debug")
    );
    assert_eq!(config.telemetry.metrics.listen, tcp("127.0.0.1:4"));
    assert!(config.security.allow_remote);
}

#[test]
fn a_bad_flag_is_a_finding_with_the_flags_name() {
    let overrides = Overrides {
        log_level: Some("loud".into()),
        ..Overrides::default()
    };
    let rejected = load_text("", &overrides, &nothing_set).expect_err("there is no such level");
    assert_eq!(
        (rejected.findings[0].path.as_str(), rejected.findings[0].line),
        ("--log-level", 0)
    );
}

// References.

#[test]
fn the_environment_is_put_in_before_anything_is_checked() {
    let env = |name: &str| (name == "PORT").then(|| "1234".to_owned());
    let text =
        "listen: {layotto: '127.0.0.1:${PORT}'}\nengine: {cache_mib: '${PORT}', mode: '${MODE:-relaxed}'}\n";
    let config = load_text(text, &Overrides::default(), &env)
        .expect("it is valid")
        .config;
    assert_eq!(config.listen.layotto, tcp("127.0.0.1:1234"));
    assert_eq!(
        (config.engine.cache_mib, config.engine.mode),
        (1234, drivers::embedded::Mode::Relaxed)
    );
}

#[test]
fn a_missing_variable_is_found() {
    check(
        "data_dir: x\nlisten:\n  layotto: ${LISTEN}\n",
        &[(3, 12, "LISTEN is not set")],
    );
}

const SECRETS: &str = "
components:
  - {name: vault, driver: secret-env}
  - name: mosn
    driver: http-invoke
    settings:
      targets:
        - {id: '*', url: 'http://127.0.0.1:1'}
      hostHeader: 'a-${secret:vault/A}-${secret:vault/B}-$${x}'
hellos: {x: {greeting: '${secret:vault/A}'}}
";

#[test]
fn secrets_are_put_in_later() {
    let mut config = accepted(SECRETS);
    let keys: Vec<String> = config
        .secret_references()
        .into_iter()
        .map(|reference| reference.key)
        .collect();
    assert_eq!(keys, ["A", "B"]);
    resolve_secrets(&mut config, &|reference| Ok(format!("{}!${{", reference.key))).expect("all are found");
    assert_eq!(config.components[1].settings["hostHeader"], "a-A!${-B!${-${x}");
    assert_eq!(config.hellos["x"].greeting, "A!${");
}

#[test]
fn a_secret_that_is_not_found_changes_nothing() {
    let mut config = accepted(SECRETS);
    let before = config.clone();
    let missing = |reference: &SecretReference| match reference.key.as_str() {
        "A" => Ok("a".to_owned()),
        _ => Err(Error::new(codes::SECRET_NOT_FOUND, "no such secret")),
    };
    let error = resolve_secrets(&mut config, &missing).expect_err("B is missing");
    assert_eq!(error.code(), codes::SECRET_NOT_FOUND);
    assert_eq!(config, before);
}

#[test]
fn a_secret_of_an_unknown_store_is_found() {
    check(
        &SECRETS.replace("name: vault", "name: vaults"),
        &[
            (
                9,
                19,
                "no component `vault` serves secret, did you mean `vaults`?",
            ),
            (9, 19, "no component `vault`"),
            (10, 24, "no component `vault`"),
        ],
    );
}

#[test]
fn a_secret_store_cannot_take_secrets() {
    let text = "components:\n  - {name: a, driver: secret-env}\n  - {name: b, driver: secret-file, settings: {secretsFile: '${secret:a/x}'}}\n";
    check(text, &[(3, 60, "secret stores are opened first")]);
}

#[test]
fn secrets_cannot_stand_where_they_come_too_late() {
    let text = "data_dir: ${secret:a/x}\nlisten: {admin: '${secret:a/x}'}\ncomponents: [{name: a, driver: secret-env}]\n";
    check(
        text,
        &[
            (1, 11, "needed before secret stores are open"),
            (2, 17, "an address cannot be a secret"),
        ],
    );
}

// The schema.

#[test]
fn a_typo_is_found_with_the_closest_option() {
    check(
        "listne: {}\nengine:\n  cach_mib: 64\n",
        &[
            (1, 1, "unknown option `listne`, did you mean `listen`?"),
            (3, 3, "did you mean `cache_mib`?"),
        ],
    );
}

#[test]
fn a_key_that_is_there_twice_is_found() {
    check(
        "data_dir: a\nengine: {mode: durable, mode: relaxed}\ndata_dir: b\n",
        &[
            (2, 25, "`mode` is there twice, first in line 2"),
            (3, 1, "`data_dir` is there twice, first in line 1"),
        ],
    );
}

#[test]
fn bad_addresses_are_found_at_their_lines() {
    check(
        "listen:\n  layotto: 34904\n  admin: localhost\n  actuator: ':80'\n",
        &[
            (2, 12, "the host is missing: write 127.0.0.1:34904"),
            (3, 10, "host:port"),
            (4, 13, "host is missing"),
        ],
    );
}

#[test]
fn bounds_of_the_engine_and_the_limits_are_kept() {
    check(
        "engine: {sync_interval_ms: 0}\nlimits: {message_bytes: 1, header_bytes: -1}\n",
        &[
            (1, 28, "at least 1"),
            (2, 25, "at least 1024"),
            (2, 42, "at least"),
        ],
    );
}

#[test]
fn shapes_of_texts_are_kept() {
    check(
        "telemetry:\n  log: {level: loud}\n  otlp: {endpoint: '127.0.0.1:4317', sample_ratio: 2}\n  metrics: {path: metrics}\napps: [{id: 'a||b', callback: '9999'}]\n",
        &[
            (2, 16, "no log level"),
            (3, 20, "URL"),
            (3, 52, "at most 1"),
            (4, 19, "slash"),
            (5, 13, "can't contain '||'"),
            (5, 31, "write 127.0.0.1:9999"),
        ],
    );
}

// Components.

#[test]
fn components_on_one_driver_each_serve_what_they_say() {
    let config = accepted(
        "components:\n  - {name: a, driver: embedded, ports: [state, lock]}\n  - {name: a, driver: memory, ports: [pubsub]}\n",
    );
    let registry = drivers::all();
    let serves = |index: usize| {
        let component: &Component = &config.components[index];
        component.serves(&**registry.get(&component.driver).expect("it is built in"))
    };
    assert_eq!(serves(0), [ports::Port::State, ports::Port::Lock]);
    assert_eq!(serves(1), [ports::Port::PubSub]);
}

#[test]
fn a_component_without_ports_serves_everything_but_kv() {
    let config = accepted("components: [{name: a, driver: embedded}]");
    let names: Vec<_> = config.components[0]
        .serves(&drivers::embedded::EmbeddedDriver)
        .into_iter()
        .map(ports::Port::name)
        .collect();
    assert_eq!(names, ["state", "pubsub", "lock", "sequencer", "config"]);
}

#[test]
fn an_unknown_driver_is_met_by_the_closest() {
    check(
        "components:\n  - name: a\n    driver: embeded\n",
        &[(3, 13, "no driver `embeded` is built in, did you mean `embedded`?")],
    );
}

#[test]
fn a_component_needs_a_name_and_a_driver() {
    check(
        "components:\n  - driver: memory\n  - name: ''\n    driver: memory\n",
        &[(2, 5, "`name` is missing"), (3, 11, "must not be empty")],
    );
    check("components: [{}]", &[(1, 14, "`name` and `driver` are missing")]);
}

#[test]
fn two_components_of_one_name_are_found_when_they_serve_the_same() {
    check(
        "components:\n  - {name: a, driver: embedded}\n  - {name: a, driver: memory, ports: [lock]}\n",
        &[(3, 12, "serves lock already, in line 2")],
    );
}

#[test]
fn a_port_that_the_driver_does_not_offer_is_found() {
    check(
        "components:\n  - {name: a, driver: embedded, ports: [state, file]}\n  - {name: b, driver: memory, ports: [stat]}\n",
        &[
            (2, 48, "driver `embedded` does not offer file; it offers `state`"),
            (3, 39, "did you mean `state`?"),
        ],
    );
}

#[test]
fn options_without_effect_are_found() {
    check(
        "components:\n  - {name: a, driver: embedded, ports: [lock], ttl_seconds: 5, key_prefix: none}\n  - {name: b, driver: memory, ports: [state], secrets: {}}\n",
        &[
            (2, 61, "`ttl_seconds` is for `state`, which `a` does not serve"),
            (3, 56, "`secrets` is for `secret`"),
        ],
    );
}

#[test]
fn a_prefix_with_the_separator_is_refused_in_layottos_words() {
    check(
        "components: [{name: a, driver: memory, ports: [lock], key_prefix: 'a||b'}]",
        &[(1, 67, "input key/keyPrefix 'a||b' can't contain '||'")],
    );
}

#[test]
fn settings_are_checked_by_the_drivers_schema() {
    check(
        "components:\n  - name: a\n    driver: secret-file\n    settings:\n      secretsFle: x\n  - {name: b, driver: memory, settings: {x: 1}}\n",
        &[
            (5, 7, "did you mean `secretsFile`?"),
            (6, 42, "unknown option `x`"),
        ],
    );
}

#[test]
fn settings_are_checked_by_the_driver_itself() {
    check(
        "components:\n  - name: a\n    driver: http-invoke\n    settings:\n      targets:\n        - {id: x, url: 'http://h:1'}\n        - {id: x, url: 'http://h:2'}\n",
        &[(7, 16, "x is named twice")],
    );
}

#[test]
fn a_finding_about_a_setting_that_is_not_there_is_placed_at_the_component() {
    let findings = findings("components:\n  - name: a\n    driver: secret-file\n");
    assert_eq!((findings.len(), findings[0].line), (1, 2), "{findings:?}");
    assert!(findings[0].message.contains("secretsFile"), "{findings:?}");
}

#[test]
fn services_are_invoked_through_one_component() {
    let target = "driver: http-invoke, settings: {targets: [{id: '*', url: 'http://h:1'}]}";
    check(
        &format!("components:\n  - {{name: a, {target}}}\n  - {{name: b, {target}}}\n"),
        &[(3, 5, "another component serves invoke already")],
    );
}

// Listeners, applications, subscriptions.

#[test]
fn listeners_do_not_share_an_address() {
    check(
        "listen:\n  layotto: 127.0.0.1:1\n  admin: 127.0.0.1:1\n",
        &[(3, 10, "listen.admin (127.0.0.1:1) and listen.layotto")],
    );
    check(
        "listen: {actuator: 127.0.0.1:0, admin: 127.0.0.1:0, layotto: 127.0.0.1:0}",
        &[],
    );
}

#[test]
fn an_address_that_others_reach_is_warned_about_until_it_is_allowed() {
    check(
        "listen:\n  layotto: 0.0.0.0:34904\n",
        &[(2, 12, "other machines can reach 0.0.0.0:34904")],
    );
    check(
        "listen:\n  layotto: 0.0.0.0:34904\nsecurity: {allow_remote: true}\n",
        &[],
    );
}

#[test]
fn a_warning_does_not_keep_belay_from_starting() {
    let loaded = load_text(
        "listen: {layotto: '0.0.0.0:1'}",
        &Overrides::default(),
        &nothing_set,
    )
    .expect("it is only a warning");
    assert!(!loaded.findings[0].is_error());
}

#[test]
fn subscriptions_name_a_component_that_serves_topics() {
    let text = "apps: [{id: a, callback: '127.0.0.1:9999'}]\ncomponents: [{name: bus, driver: memory}]\nsubscriptions:\n  - {pubsub: bus, topic: t}\n  - {pubsub: buss, topic: t}\n  - {pubsub: bus, topic: t}\n";
    check(
        text,
        &[
            (5, 14, "no component `buss` serves pubsub, did you mean `bus`?"),
            (6, 5, "above already"),
        ],
    );
}

#[test]
fn a_component_that_is_broken_itself_is_not_missed_elsewhere() {
    let text = "apps: [{id: a, callback: '127.0.0.1:9999'}]\ncomponents: [{name: bus, driver: memroy}]\nsubscriptions: [{pubsub: bus, topic: t}]\n";
    check(text, &[(2, 34, "no driver `memroy`")]);
}

#[test]
fn subscriptions_need_an_application_to_deliver_to() {
    check(
        "components: [{name: bus, driver: memory}]\nsubscriptions:\n  - {pubsub: bus, topic: t}\n",
        &[(3, 5, "nobody to deliver to")],
    );
}

#[test]
fn applications_have_ids_of_their_own_and_the_first_is_called_back() {
    check(
        "apps:\n  - {id: a}\n  - {id: a}\n",
        &[
            (3, 5, "only the first"),
            (3, 10, "another application has this id"),
        ],
    );
}

// All together.

#[test]
fn every_finding_is_there_at_once_in_the_order_of_the_file() {
    let text = "listen: {admin: x}\nengine: {mode: fast}\ncomponents:\n  - {name: a, driver: nope}\n  - {name: b, driver: memory, ports: [secret]}\n  - {driver: memory, settings: {y: 1}}\nnope: ${NOPE}\nsubscriptions: [{pubsub: c, topic: t}]\n";
    let lines: Vec<usize> = findings(text).iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [1, 2, 4, 5, 6, 6, 7, 7, 8, 8]);
}

#[test]
fn findings_are_written_as_json_without_what_is_only_for_drawing() {
    let finding = &findings("listne: {}")[0];
    let json = serde_json::to_value(finding).expect("it is plain data");
    assert_eq!(json["severity"], "error");
    assert_eq!(
        (
            json["line"].as_u64(),
            json["column"].as_u64(),
            json["path"].as_str()
        ),
        (Some(1), Some(1), Some("listne"))
    );
    assert!(json.get("width").is_none());
}

#[test]
fn loading_is_fast() {
    let source = Source::Dev;
    let registry = drivers::all();
    let fastest = (0..20)
        .map(|_| {
            let started = std::time::Instant::now();
            load(&source, &Overrides::default(), &registry, &nothing_set)
                .expect("the built-in configuration is valid");
            started.elapsed()
        })
        .min();
    // A release build takes well under a millisecond; this one is not optimised.
    assert!(
        fastest < Some(std::time::Duration::from_millis(30)),
        "{fastest:?}"
    );
}
