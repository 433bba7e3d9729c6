//! The suites that every driver runs: what a port's contract says, as tests.

pub mod kv;

pub mod config;
pub mod lock;
pub mod ownership;
pub mod pubsub;
pub mod sequencer;
pub mod state;

pub mod binding;
pub mod file;
pub mod invoke;
pub mod secret;
