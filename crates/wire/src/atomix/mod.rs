//! The Atomix family: the control calls in [`runtime`] and [`proxy`], and a module for each type of primitive.
//!
//! Each primitive has two services: the singular one, `map::map_server::Map`, uses it, the plural one,
//! `map::maps_server::Maps`, opens and closes it.

mod settings;
#[cfg(test)]
mod tests;

#[allow(
    clippy::all,
    clippy::unwrap_used,
    unreachable_pub,
    reason = "generated code follows its generator's style"
)]
mod generated {
    include!("../gen/atomix/mod.rs");
}

pub use generated::atomix::proxy::v1 as proxy;
pub use generated::atomix::runtime::v1 as runtime;
pub use settings::settings;

pub use generated::atomix::runtime::counter::v1 as counter;
pub use generated::atomix::runtime::countermap::v1 as countermap;
pub use generated::atomix::runtime::election::v1 as election;
pub use generated::atomix::runtime::indexedmap::v1 as indexedmap;
pub use generated::atomix::runtime::list::v1 as list;
pub use generated::atomix::runtime::lock::v1 as lock;
pub use generated::atomix::runtime::map::v1 as map;
pub use generated::atomix::runtime::multimap::v1 as multimap;
pub use generated::atomix::runtime::set::v1 as set;
pub use generated::atomix::runtime::topic::v1 as topic;
pub use generated::atomix::runtime::value::v1 as value;

/// Every file of the family and what they import, for gRPC reflection; an encoded `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("../gen/atomix/descriptors.bin");
