//! What the process tells about itself: a log, metrics and traces.

pub mod log;
pub mod metrics;

pub mod flow;
pub mod methods;
pub mod rpc;

mod process;
pub mod traces;

pub use metrics::Metrics;
pub use traces::Traces;
