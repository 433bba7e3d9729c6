//! For tests only: ports that fail when told to, a host in memory, damaged bytes for decoders, and a judge of what clients saw.

use std::sync::Arc;

use base::time::Clock;
use host::{Host, Options};
use tokio::runtime::Handle;

mod engine;
pub mod faulty;
pub mod linear;
pub mod mutate;

pub use engine::{engine, engine_with};
pub use faulty::{Fault, Faulty};

/// A store in memory, for tests of crates that may not know drivers.
pub use drivers::{derived::Ownership, memory::Memory};

/// Machines over a store in memory, all on the caller's runtime.
pub async fn host(clock: Arc<dyn Clock>) -> Host {
    let kv = Arc::new(Memory::new(clock));
    let ownership = Arc::new(Ownership::over(kv.clone()));
    let here = [Handle::current()];
    let opened = Host::open(kv, ownership, Options::default(), &here);
    opened.await.expect("nobody else has this store")
}
