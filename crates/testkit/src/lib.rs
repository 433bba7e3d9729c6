//! For tests only: ports that fail when told to, and damaged bytes for decoders.

pub mod faulty;
pub mod mutate;

pub use faulty::{Fault, Faulty};

/// A store in memory, for tests of crates that may not know drivers.
pub use drivers::{derived::Ownership, memory::Memory};
