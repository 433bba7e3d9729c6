//! What the primitives do when one uses them alone.

pub mod counter;
pub mod election;
pub mod lock;
pub mod map;
pub mod register;

mod version;

pub use counter::Counter;
pub use election::Election;
pub use lock::Lock;
pub use map::Map;
pub use register::Register;
