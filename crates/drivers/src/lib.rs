//! Every driver, one folder each, with the same file names in each: `mod.rs` (the driver), `settings.rs` (what can be set),
//! a file per port, `tests.rs`. [`derived`] is what any driver with a `Kv` gets for nothing.

use std::sync::Arc;

use ports::{Driver, Registry};

mod kv;

mod blocking;
mod outbound;
mod settings;
#[cfg(target_os = "linux")]
mod tree;

#[cfg(test)]
mod testing;

pub mod derived;

#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;

pub mod embedded;
pub mod memory;

pub mod grpc_invoke;
pub mod http_binding;
pub mod http_invoke;
#[cfg(target_os = "linux")]
pub mod local_file;
#[cfg(target_os = "linux")]
pub mod local_storage;
pub mod primitives;
pub mod secret_env;
pub mod secret_file;

/// The list of drivers. A new one is a folder, a line here, and an optional dependency.
pub fn all() -> Registry {
    let drivers: Vec<Arc<dyn Driver>> = vec![
        Arc::new(embedded::EmbeddedDriver),
        Arc::new(memory::MemoryDriver::default()),
        Arc::new(grpc_invoke::GrpcInvokeDriver),
        Arc::new(http_binding::HttpBindingDriver),
        Arc::new(http_invoke::HttpInvokeDriver),
        #[cfg(target_os = "linux")]
        Arc::new(local_file::LocalFileDriver),
        #[cfg(target_os = "linux")]
        Arc::new(local_storage::LocalStorageDriver),
        Arc::new(primitives::PrimitivesDriver),
        Arc::new(secret_env::SecretEnvDriver),
        Arc::new(secret_file::SecretFileDriver),
    ];
    Registry::of(drivers)
}
