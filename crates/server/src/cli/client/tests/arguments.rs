//! What can be typed.

use clap::CommandFactory;

use super::*;

#[track_caller]
fn check_refused(arguments: &[&str], message: &str) {
    let refused = parse(arguments).expect_err("it makes no sense").to_string();
    assert!(refused.contains(message), "{refused}");
}

#[test]
fn every_command_says_where_and_answers_programs() {
    let cli = Cli::command();
    for path in [
        &["state", "get"][..],
        &["state", "set"],
        &["state", "delete"],
        &["publish"],
        &["subscribe"],
        &["lock"],
        &["unlock"],
        &["id"],
        &["status"],
    ] {
        let command = path.iter().fold(&cli, |command, name| {
            command
                .find_subcommand(name)
                .unwrap_or_else(|| panic!("there is no {name}"))
        });
        let flags: Vec<_> = command
            .get_arguments()
            .filter_map(|argument| argument.get_long())
            .collect();
        for flag in ["address", "data-dir", "json"] {
            assert!(flags.contains(&flag), "{path:?} has no --{flag}");
        }
        let variables: Vec<_> = command
            .get_arguments()
            .filter_map(|argument| argument.get_env())
            .collect();
        assert!(variables.contains(&"BELAY_ADDRESS".as_ref()), "{variables:?}");
    }
}

#[test]
fn components_are_those_of_belay_dev_unless_named() {
    for (arguments, expected) in [
        (&["state", "get", "k"][..], "store: \"state_demo\""),
        (&["publish", "t", "d"], "pubsub: \"pub_subs_demo\""),
        (&["subscribe", "t"], "pubsub: \"pub_subs_demo\""),
        (&["lock", "l"], "store: \"lock_demo\""),
        (&["id", "k"], "store: \"sequencer_demo\""),
        (&["id", "k", "--store", "mine"], "store: \"mine\""),
    ] {
        let command = format!("{:?}", parse(arguments).expect("it is well formed"));
        assert!(command.contains(expected), "{command}");
    }
}

#[test]
fn values_may_begin_with_a_dash() {
    for arguments in [
        &["state", "set", "k", "-5"][..],
        &["state", "set", "k", "--ttl", "9", "-5"],
        &["state", "set", "k", "-5", "--ttl", "9"],
        &["state", "set", "k", "--", "-5"],
        &["publish", "t", "-5", "--key", "k"],
    ] {
        let command = format!("{:?}", parse(arguments).unwrap_or_else(|error| panic!("{error}")));
        assert!(command.contains("\"-5\""), "{command}");
        assert_eq!(
            command.contains("ttl: Some(9)"),
            arguments.contains(&"9"),
            "{command}"
        );
    }
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_sent() {
    check_refused(&["state", "set", "k", "v", "--etag", "0"], "no etag at all");
    check_refused(&["state", "delete", "k", "--etag", ""], "no etag at all");
    check_refused(
        &["state", "set", "k", "v", "--etag", "1", "--first-write"],
        "cannot be used with",
    );
    check_refused(&["state", "set", "k", "v", "--ttl", "0"], "1..");
    check_refused(&["state", "get", "k", "--raw", "--json"], "cannot be used with");
    check_refused(&["publish", "t", "d", "--metadata", "plain"], "NAME=VALUE");
    check_refused(&["subscribe", "t", "--count", "0"], "1..");
    check_refused(&["subscribe", "t", "--retry", "--drop"], "cannot be used with");
    check_refused(&["lock", "l", "--ttl", "0"], "1..");
    check_refused(&["lock", "l", "ls"], "unexpected argument");
    check_refused(&["unlock", "l"], "--owner");
    check_refused(&["id", "k", "-n", "0"], "1..");
    check_refused(&["status", "--address", "34904"], "write 127.0.0.1:34904");
}

#[test]
fn help_says_what_scripts_need_to_know() {
    let mut cli = Cli::command();
    let help = |cli: &mut clap::Command, name: &str| {
        let command = cli.find_subcommand_mut(name).expect("there is such a command");
        command.render_long_help().to_string()
    };
    assert!(help(&mut cli, "lock").contains("BELAY_FENCING_TOKEN"));
    assert!(help(&mut cli, "subscribe").contains("[default: cli]"));
    assert!(help(&mut cli, "status").contains("5 if none runs there"));
    let state = cli.find_subcommand_mut("state").expect("there is such a command");
    assert!(help(state, "get").contains("Exit code 1 if it has none"));
}
