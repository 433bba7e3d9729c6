// Made by `cargo xtask codegen`.
pub mod cloudstate {
    include!("cloudstate.rs");
    pub mod action {
        include!("cloudstate.action.rs");
    }
    pub mod eventsourced {
        include!("cloudstate.eventsourced.rs");
    }
    pub mod function {
        include!("cloudstate.function.rs");
    }
    pub mod valueentity {
        include!("cloudstate.valueentity.rs");
    }
}
