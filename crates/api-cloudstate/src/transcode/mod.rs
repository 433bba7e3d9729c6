//! A user's gRPC services as HTTP/JSON: what is known of them comes from descriptors alone. Nothing here does I/O.
//!
//! | step                     | file          | what it does                                                        |
//! |--------------------------|---------------|---------------------------------------------------------------------|
//! | discovery                | `descriptors` | repairs the set of files, finds services, methods and their options |
//! | discovery, every command | `keys`        | which fields make the entity id, and the id in a payload            |
//! | discovery                | `router`      | all bindings of all methods (`rule`, `template`)                    |
//! | HTTP request             | `router`      | finds the binding of a method and a path                            |
//! | HTTP request             | `request`     | path, query and JSON become the input message                       |
//! | HTTP answer              | `answer`      | the output message becomes JSON, or raw bytes (`google.api.HttpBody`) |
//!
//! Spec: Cloudstate 1.8, 2.2 to 2.5 and the corrections of section 0.

pub(crate) mod descriptors;
mod files;
mod options;
mod wire;

pub(crate) mod keys;

pub(crate) mod router;
pub(crate) mod rule;
pub(crate) mod template;

pub(crate) mod http_body;
mod json;
pub(crate) mod request;
mod text;

pub(crate) mod answer;
pub(crate) mod printer;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt;

/// How deep messages and JSON may nest: what prost decodes at most.
const DEPTH_MAX: usize = 100;

/// A request that cannot become a message, or an answer that cannot become JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// An HTTP status: 400 for what a caller sent, 500 for what the user function answered.
    pub(crate) status: u16,
    pub(crate) message: String,
}

impl Refused {
    fn request(message: impl Into<String>) -> Self {
        Self {
            status: 400,
            message: message.into(),
        }
    }

    fn answer(message: impl Into<String>) -> Self {
        Self {
            status: 500,
            message: message.into(),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refused {}
