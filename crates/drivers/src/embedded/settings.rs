//! What can be set of the engine. A component on it has the settings of its topics.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When a change is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// After `fdatasync`: it survives a crash of the machine.
    #[default]
    Durable,
    /// After `write`: it survives a crash of the process; a crash of the machine loses up to `sync_interval_ms` of
    /// changes (locks and ids excepted), never a part of one.
    Relaxed,
}

/// The engine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// When a change is acknowledged. Default: `durable`.
    pub mode: Mode,
    /// How often `relaxed` mode syncs, milliseconds: 1 to 10000. Default: 50.
    #[schemars(range(min = 1, max = 10_000))]
    pub sync_interval_ms: u64,
    /// Memory for blocks read from disk, MiB: 1 to 1048576. Default: 16.
    #[schemars(range(min = 1, max = 1_048_576))]
    pub cache_mib: u64,
    /// Memory for the newest journal rows before they are written as a table, MiB: 1 to 1024. Default: 16.
    #[schemars(range(min = 1, max = 1_024))]
    pub journal_memory_mib: u64,
    /// The same for state rows. A start reads them again after a crash. Default: 16.
    #[schemars(range(min = 1, max = 1_024))]
    pub state_memory_mib: u64,
    /// Journal files that may pile up before tables are written, MiB: 64 to 65536. Default: 192.
    #[schemars(range(min = 64, max = 65_536))]
    pub journals_max_mib: u64,
    /// Free disk space below which only deletes are taken, MiB; 0: never look. What merging tables can take for a while
    /// is kept free beside it: as much as the tables have, up to 512 MiB. Default: 64.
    pub reserve_mib: u64,
    /// Starts although acknowledged commits are missing (BLY0033). They stay lost. Default: false.
    pub accept_data_loss: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            mode: Mode::Durable,
            sync_interval_ms: 50,
            cache_mib: 16,
            journal_memory_mib: 16,
            state_memory_mib: 16,
            journals_max_mib: 192,
            reserve_mib: 64,
            accept_data_loss: false,
        }
    }
}
