//! For tests only: ports that fail when told to.

pub mod faulty;

pub use faulty::{Fault, Faulty};
