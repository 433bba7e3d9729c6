//! The whole server on free ports of the loopback, with a service that does as it is told.

mod echo;
mod harness;
pub(super) use harness::closes;

mod admin;
mod connections;
mod drain;
mod limits;
mod reflection;
mod wire;
