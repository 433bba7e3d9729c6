//! For tests only: ports that fail when told to, and damaged bytes for decoders.

mod engine;
pub mod faulty;
pub mod mutate;

pub use engine::engine;
pub use faulty::{Fault, Faulty};

/// A store in memory, for tests of crates that may not know drivers.
pub use drivers::{derived::Ownership, memory::Memory};
