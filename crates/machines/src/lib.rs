//! Pure steps: what a command does to a machine's rows, and what the world hears of it.
//!
//! No clock, no I/O, no runtime, no hash maps. Time, order and identity come in with the command ([`At`]); rows come through
//! a [`View`]; what is to be told to somebody goes out as effects. Who runs the steps, keeps the rows and tells the world is
//! the host, which knows machines only by the functions in [`step`].
//!
//! Begin with `step`, then `view`, then the smallest machine, `primitive/counter.rs`.

pub mod engine;

mod key;
mod row;
mod step;
mod view;

pub mod entity;
pub mod invocation;
pub mod message;
pub mod primitive;

#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
#[cfg(any(test, feature = "relay"))]
pub mod relay;
#[cfg(test)]
mod testing;

pub use engine::{Callee, Engine};
pub use key::{Address, Key, Session, Table};
pub use message::Message;
pub use row::Stored;
pub use step::{Answer, At, Call, Command, Event, Query, Question, Reply, Request, apply, read};
pub use view::{Effect, Found, Rows, Stepped, Stop, View};
