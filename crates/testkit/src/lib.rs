//! For tests only: ports that fail when told to, and damaged bytes for decoders.

mod engine;
pub mod faulty;
pub mod mutate;

pub use engine::engine;
pub use faulty::{Fault, Faulty};

/// A store in memory, for tests of crates that may not know drivers.
pub use drivers::{derived::Ownership, memory::Memory};

/// A host over a store in memory, on the current runtime, for tests of families.
pub async fn engine(clock: std::sync::Arc<dyn base::Clock>) -> std::sync::Arc<dyn machines::Engine> {
    let kv: std::sync::Arc<dyn ports::kv::Kv> = std::sync::Arc::new(Memory::new(clock));
    let ownership = std::sync::Arc::new(Ownership::over(kv.clone()));
    let here = [tokio::runtime::Handle::current()];
    let host = host::Host::open(kv, ownership, host::Options::default(), &here).await;
    std::sync::Arc::new(host.expect("a host over memory"))
}
