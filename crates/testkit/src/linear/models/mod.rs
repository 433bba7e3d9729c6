//! What the primitives do when one uses them alone.

pub mod counter;
pub mod election;
pub mod lock;
pub mod register;

mod version;

pub use counter::Counter;
pub use election::Election;
pub use lock::Lock;
pub use register::Register;
