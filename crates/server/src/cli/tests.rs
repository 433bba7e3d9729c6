use std::path::Path;

use super::*;
use crate::config::{Address, LogFormat};

fn never(_: Loaded) -> base::Result<()> {
    panic!("this command starts nothing");
}

fn run_with(arguments: &[&str], serve: Serve) -> Outcome {
    match Cli::try_parse_from(std::iter::once("belay").chain(arguments.iter().copied())) {
        Ok(cli) => cli.command.outcome(serve),
        Err(error) => usage(&error),
    }
}

fn belay(arguments: &[&str]) -> Outcome {
    run_with(arguments, never)
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a temporary folder can be written");
    path.display().to_string()
}

#[test]
fn the_arguments_are_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn nothing_and_help_print_the_help_with_the_exit_codes() {
    assert_eq!(belay(&[]).exit, Exit::Usage);
    let help = belay(&["--help"]);
    assert_eq!((help.exit, help.stderr.as_str()), (Exit::Ok, ""));
    for part in [
        "belay dev",
        "Exit codes:",
        "  3  cannot start",
        "belay explain BLY0031",
    ] {
        assert!(help.stdout.contains(part), "{part} in {}", help.stdout);
    }
}

#[test]
fn a_command_that_is_none_is_a_usage_error() {
    let outcome = belay(&["chekc"]);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (Exit::Usage, ""));
    assert!(outcome.stderr.contains("'check'"), "{}", outcome.stderr);
}

#[test]
fn a_bad_address_on_the_command_line_is_a_usage_error() {
    let outcome = belay(&["dev", "--layotto-listen", "34904"]);
    assert_eq!(outcome.exit, Exit::Usage);
    assert!(
        outcome.stderr.contains("write 127.0.0.1:34904"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn dev_prints_its_configuration_and_that_is_one_that_runs() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let printed = belay(&["dev", "--print-config"]).stdout;
    let path = file(&folder, "belay.yaml", &printed);
    let outcome = belay(&["check", "--config", &path]);
    assert_eq!(
        (outcome.exit, outcome.stdout),
        (Exit::Ok, format!("{path}: no findings\n"))
    );
}

#[test]
fn dev_starts_what_the_sdk_samples_need() {
    let outcome = run_with(&["dev"], |loaded| {
        let config = &loaded.config;
        let names: Vec<&str> = config
            .components
            .iter()
            .map(|component| component.name.as_str())
            .collect();
        let wanted = [
            "state_demo",
            "lock_demo",
            "sequencer_demo",
            "pub_subs_demo",
            "config_demo",
            "file_demo",
            "secret_demo",
        ];
        assert_eq!(names, wanted);
        assert_eq!(config.hellos["helloworld"].greeting, "greeting");
        assert_eq!(config.apps[0].callback.as_deref(), Some("127.0.0.1:9999"));
        assert_eq!(config.data_dir, Path::new("./.belay"));
        Ok(())
    });
    assert_eq!(outcome, Outcome::default());
}

#[test]
fn flags_reach_the_configuration() {
    let arguments = [
        "dev",
        "--data-dir",
        "d",
        "--layotto-listen",
        "127.0.0.1:0",
        "--admin-listen",
        "off",
        "--log-format",
        "json",
        "--log-level",
        "debug",
    ];
    let outcome = run_with(&arguments, |loaded| {
        let config = &loaded.config;
        assert_eq!(
            (config.listen.layotto.to_string().as_str(), &config.listen.admin),
            ("127.0.0.1:0", &Address::Off)
        );
        assert_eq!(config.data_dir, Path::new("d"));
        assert_eq!(
            (config.telemetry.log.format, config.telemetry.log.level.as_str()),
            (LogFormat::Json, "debug")
        );
        Ok(())
    });
    assert_eq!(outcome, Outcome::default());
}

#[test]
fn flags_have_environment_variables() {
    let command = Cli::command();
    let dev = command.find_subcommand("dev").expect("there is such a command");
    let variables: Vec<_> = dev
        .get_arguments()
        .filter_map(|argument| argument.get_env())
        .collect();
    assert_eq!(
        variables,
        [
            "BELAY_DATA_DIR",
            "BELAY_LAYOTTO_LISTEN",
            "BELAY_ADMIN_LISTEN",
            "BELAY_ACTUATOR_LISTEN",
            "BELAY_PRIMITIVES_LISTEN",
            "BELAY_CONTROL_LISTEN",
            "BELAY_INGRESS_LISTEN",
            "BELAY_FUNCTIONS_LISTEN",
            "BELAY_METRICS_LISTEN",
            "BELAY_LOG_FORMAT",
            "BELAY_LOG_LEVEL",
            "BELAY_ALLOW_REMOTE",
        ]
    );
}

#[test]
fn a_start_that_fails_says_so_and_ends_with_its_code() {
    let outcome = run_with(&["dev"], |_| {
        Err(Error::new(
            base::codes::ADDRESS_IN_USE,
            "127.0.0.1:34904 is taken",
        ))
    });
    assert_eq!(outcome.exit, Exit::CannotStart);
    assert!(
        outcome
            .stderr
            .starts_with("error BLY0020: 127.0.0.1:34904 is taken\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn run_needs_a_file_that_is_there() {
    let outcome = belay(&["run", "--config", "no/such.yaml"]);
    assert_eq!(outcome.exit, Exit::Failed);
    assert!(
        outcome
            .stderr
            .starts_with("error BLY0010: no/such.yaml cannot be read"),
        "{}",
        outcome.stderr
    );
    assert!(
        outcome.stderr.contains("belay dev --print-config"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn run_does_not_start_with_findings() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = file(&folder, "belay.yaml", "listne: {}\n");
    let outcome = belay(&["start", "-c", &path]);
    assert_eq!(outcome.exit, Exit::Failed);
    assert!(
        outcome.stderr.contains("did you mean `listen`?") && outcome.stderr.contains("error BLY0011"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn check_shows_every_finding_in_its_line() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = file(
        &folder,
        "belay.yaml",
        "listen: {admin: '0.0.0.0:1'}\ncomponents:\n  - name: a\n    driver: embeded\nengine: {mode: fast}\n",
    );
    let outcome = belay(&["check", "--config", &path]);
    assert_eq!((outcome.exit, outcome.stdout.as_str()), (Exit::Failed, ""));
    let excerpt = format!(
        "error: no driver `embeded` is built in, did you mean `embedded`?\n  --> {path}:4:13  components.0.driver\n   |\n 4 |     driver: embeded\n   |             ^^^^^^^\n"
    );
    assert!(outcome.stderr.contains(&excerpt), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("found  2 errors, 1 warning\n"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn check_prints_json_for_programs() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = file(&folder, "belay.yaml", "listne: {}\n");
    let outcome = belay(&["check", "--json", "--config", &path]);
    assert_eq!((outcome.exit, outcome.stderr.as_str()), (Exit::Failed, ""));
    let value: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("it is JSON");
    assert_eq!(
        (&value["ok"], &value["errors"], &value["findings"][0]["line"]),
        (&false.into(), &1.into(), &1.into())
    );
}

#[test]
fn components_lists_every_driver_in_every_form() {
    for name in drivers::all().names() {
        assert!(belay(&["components"]).stdout.contains(&format!("{name}\n")));
        assert!(
            belay(&["components", "--markdown"])
                .stdout
                .contains(&format!("## `{name}`\n"))
        );
    }
    let value: serde_json::Value =
        serde_json::from_str(&belay(&["components", "--json"]).stdout).expect("it is JSON");
    assert_eq!(value.as_array().map(Vec::len), Some(drivers::all().names().len()));
}

#[test]
fn one_driver_can_be_listed() {
    assert!(belay(&["components", "memory"]).stdout.starts_with("memory\n"));
    let outcome = belay(&["components", "memroy"]);
    assert!(
        outcome.stderr.contains("did you mean `memory`?"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn the_schema_is_the_one_that_is_checked_against() {
    let value: serde_json::Value = serde_json::from_str(&belay(&["schema"]).stdout).expect("it is JSON");
    assert_eq!(&value, crate::config::schema().as_value());
}

#[test]
fn completions_name_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        assert!(
            belay(&["completions", shell]).stdout.contains("components"),
            "{shell}"
        );
    }
}

#[test]
fn the_version_is_the_crates() {
    assert!(belay(&["version"]).stdout.contains(env!("CARGO_PKG_VERSION")));
    let value: serde_json::Value =
        serde_json::from_str(&belay(&["version", "--json"]).stdout).expect("it is JSON");
    assert_eq!(value["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn check_prints_json_for_a_file_that_is_not_there_too() {
    let outcome = belay(&["check", "--json", "--config", "no/such.yaml"]);
    let value: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("it is JSON");
    assert_eq!(
        (outcome.exit, &value["error"]["code"]),
        (Exit::Failed, &"BLY0010".into())
    );
}

#[test]
fn a_closed_network_is_said_with_a_flag() {
    let check = |arguments: &[&str], serve: Serve| assert_eq!(run_with(arguments, serve), Outcome::default());
    check(
        &["dev", "--admin-listen", "0.0.0.0:9070", "--allow-remote"],
        |loaded| {
            assert_eq!(loaded.findings, []);
            Ok(())
        },
    );
    check(&["dev", "--admin-listen", "0.0.0.0:9070"], |loaded| {
        assert_eq!(loaded.findings[0].path, "--admin-listen");
        Ok(())
    });
}
