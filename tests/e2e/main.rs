//! The real binary, driven from outside. One module per behaviour; `js`, `java` and `go` drive it with the
//! unmodified SDKs.

mod abuse;
mod clients;
mod cloudstate;
mod crash;
mod disk;
mod entities_sql;
mod exits;
mod faces;
mod families_crash;
mod go;
mod invocations;
mod invocations_crash;
mod java;
mod js;
mod lifecycle;
mod limits;
mod primitives;
mod primitives_crash;
mod proxy;
mod pubsub;
mod reconfigure;
mod restate;
mod restate_cli;
mod sql;
mod state;
