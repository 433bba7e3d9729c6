//! The Layotto runtime API: inbound servers, and the outbound conversation with the application's callback.
//!
//! Handlers translate and do nothing else: check in the reference's order, call a port, translate back. Texts and codes that
//! clients can see are in `error`. Begin with `runtime`, which says which file answers which call.

pub mod callback;
pub mod components;

mod service;

mod lifecycle;
mod runtime;

mod binding;
mod config;
mod file;
mod hello;
mod invoke;
mod lock;
mod pubsub;
mod secret;
mod sequencer;
mod state;

mod convert;
mod envelope;
mod error;
mod keys;
mod oversize;

#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;

#[cfg(test)]
mod testing;

pub use service::{Service, services};
