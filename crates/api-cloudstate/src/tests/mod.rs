//! The family between clients and a user function that a test plays.
//!
//! | file | what |
//! |---|---|
//! | `fake` | the user function |
//! | `world` | the proxy, which can be restarted over the same store, and its clients |
//! | `say` | messages of both sides, in few words |
//! | `discovery` | what is asked when, what is served, what is refused |
//! | `event_sourced`, `passing`, `value` | what entities' streams carry |
//! | `actions`, `effects` | calls without state; what follows from answers |
//! | `front` | clients: gRPC, gRPC-Web, HTTP/JSON, reflection, health |
//! | `traps` | cases of users |
//! | `failing` | functions, stores and connections that fail |

mod fake;
mod say;
mod world;

mod discovery;

mod event_sourced;
mod passing;
mod value;

mod actions;
mod effects;

mod failing;
mod front;
mod traps;
