//! `belay lock` and `belay unlock`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::json;
use wire::layotto::lock_keep_alive_response::Status as Extended;

use super::*;

/// A server where another holds the lock.
async fn held() -> Server {
    let server = Server::start().await;
    server
        .fake
        .0
        .lock()
        .owners
        .insert("printer".into(), "another".into());
    server
}

fn owners(server: &Server) -> Vec<String> {
    server.fake.0.lock().owners.values().cloned().collect()
}

#[tokio::test]
async fn a_lock_is_taken_and_given_back() {
    let server = Server::start().await;
    let lock = server.belay(&["lock", "printer", "--owner", "ann"]).await;
    let expected = "locked printer\n  token  1\n  owner  ann\n  lease  30 s\n  next   belay unlock printer --owner ann\n";
    lock.check(Exit::Ok, expected, "");
    assert_eq!(owners(&server), ["ann"]);
    let unlock = server.belay(&["unlock", "printer", "--owner", "ann"]).await;
    unlock.check(Exit::Ok, "unlocked printer\n", "");
    let lock = server
        .belay(&["lock", "printer", "--owner", "bob", "--ttl", "5", "--json"])
        .await;
    let expected = json!({
        "store": "lock_demo", "name": "printer", "locked": true, "token": 2, "owner": "bob", "ttl_seconds": 5,
    });
    assert_eq!(lock.json(), expected);
}

#[tokio::test]
async fn every_holder_without_a_name_gets_a_new_one() {
    let server = Server::start().await;
    server.belay(&["lock", "a"]).await;
    server.belay(&["lock", "b"]).await;
    let owners = owners(&server);
    assert!(owners.iter().all(|owner| owner.starts_with("cli-")), "{owners:?}");
    assert_ne!(owners[0], owners[1]);
}

#[tokio::test]
async fn a_lock_of_another_is_not_taken() {
    let server = held().await;
    let lock = server.belay(&["lock", "printer"]).await;
    lock.check(Exit::Failed, "", "printer is held by another\n");
    let lock = server.belay(&["lock", "printer", "--json"]).await;
    let expected = json!({"store": "lock_demo", "name": "printer", "locked": false});
    assert_eq!((lock.exit, lock.json()), (Exit::Failed, expected));
    let ran = server.belay(&["lock", "printer", "--", "false"]).await;
    ran.check(Exit::Failed, "", "printer is held by another\n");
    assert_eq!(owners(&server), ["another"]);
}

#[tokio::test]
async fn a_lock_that_becomes_free_is_waited_for() {
    let server = held().await;
    server.fake.0.lock().free_after = Some(3);
    let lock = server
        .belay(&["lock", "printer", "--wait", "60", "--owner", "ann"])
        .await;
    assert_eq!(lock.exit, Exit::Ok, "{}", lock.err);
    assert_eq!(owners(&server), ["ann"]);
}

#[tokio::test]
async fn unlocking_says_what_was_the_case() {
    let server = held().await;
    let unlock = server.belay(&["unlock", "nothing", "--owner", "ann"]).await;
    unlock.check(Exit::Failed, "", "nothing is not locked\n");
    let unlock = server.belay(&["unlock", "printer", "--owner", "ann"]).await;
    unlock.check(Exit::Failed, "", "printer is held by another\n");
    let unlock = server
        .belay(&["unlock", "printer", "--owner", "ann", "--json"])
        .await;
    let expected =
        json!({"store": "lock_demo", "name": "printer", "unlocked": false, "reason": "held_by_another"});
    assert_eq!((unlock.exit, unlock.json()), (Exit::Failed, expected));
}

/// A shell command, for arguments after `--`.
fn shell(command: &str) -> [&str; 3] {
    ["sh", "-c", command]
}

async fn locked(server: &Server, ttl: &str, command: &str) -> Ran {
    let [sh, c, command] = shell(command);
    server
        .belay(&["lock", "printer", "--ttl", ttl, "--", sh, c, command])
        .await
}

#[tokio::test]
async fn a_command_runs_under_the_lock_and_its_exit_code_is_passed_on() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("token");
    let command = format!("echo $BELAY_FENCING_TOKEN > {}; exit 7", file.display());
    let ran = locked(&server, "30", &command).await;
    ran.check(Exit::Passed(7), "", "locked printer, token 1\n");
    assert_eq!(fs::read_to_string(&file).expect("the command wrote it"), "1\n");
    assert!(owners(&server).is_empty(), "it was given back");
    let ran = locked(&server, "30", "true").await;
    ran.check(Exit::Ok, "", "locked printer, token 2\n");
}

#[tokio::test]
async fn a_command_that_a_signal_ends_is_told_as_shells_do() {
    let server = Server::start().await;
    assert_eq!(locked(&server, "30", "kill -9 $$").await.exit, Exit::Passed(137));
}

#[tokio::test]
async fn a_command_that_is_not_there_leaves_nothing_locked() {
    let server = Server::start().await;
    let ran = server
        .belay(&["lock", "printer", "--", "./no-such-program"])
        .await;
    assert_eq!(ran.exit, Exit::Passed(127));
    assert!(
        ran.err.contains("error: ./no-such-program cannot be started: "),
        "{}",
        ran.err
    );
    assert!(owners(&server).is_empty());
}

/// A pipe that a command reads a line from.
fn pipe(folder: &Path) -> PathBuf {
    let path = folder.join("pipe");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a named pipe");
    path
}

/// Runs a command that ends only when the server has answered these renewals.
async fn renewed(server: &Server, renewals: &[Extended]) -> Ran {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = pipe(folder.path());
    {
        let mut state = server.fake.0.lock();
        state.renewals = renewals.iter().copied().collect();
        // Open for both, so that it waits for nobody.
        state.then = Some(
            File::options()
                .read(true)
                .write(true)
                .open(&path)
                .expect("a named pipe"),
        );
    }
    locked(server, "1", &format!("read line < {}", path.display())).await
}

#[tokio::test]
async fn the_lock_is_renewed_while_the_command_runs() {
    let server = Server::start().await;
    let ran = renewed(&server, &[Extended::Success, Extended::Success]).await;
    ran.check(Exit::Ok, "", "locked printer, token 1\n");
    assert!(owners(&server).is_empty());
}

#[tokio::test]
async fn a_lock_that_is_lost_is_told_and_fails_the_command() {
    let server = Server::start().await;
    let ran = renewed(&server, &[Extended::Success, Extended::LockUnexist]).await;
    let expected = "locked printer, token 1\nerror: the lock printer was lost while the command ran: its time was over\n  next  check what it has done; what it writes to should refuse an older token\n";
    ran.check(Exit::Failed, "", expected);
}
