//! `belay version`.

use std::env::consts::{ARCH, OS};

use serde_json::json;

use super::Outcome;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What was built, if whoever built it said so.
const COMMIT: Option<&str> = option_env!("BELAY_COMMIT");

/// The services that are spoken, by family.
const LAYOTTO: &str = "spec.proto.runtime.v1";

pub(super) fn version(as_json: bool) -> Outcome {
    if as_json {
        let value = json!({"version": VERSION, "commit": COMMIT, "os": OS, "arch": ARCH, "protocols": {"layotto": LAYOTTO}});
        return Outcome::json(&value);
    }
    let commit = COMMIT.map(|commit| format!(" ({commit})")).unwrap_or_default();
    Outcome::ok(format!(
        "belay {VERSION}{commit}\n  system     {OS} {ARCH}\n  protocols  layotto {LAYOTTO}\n"
    ))
}
