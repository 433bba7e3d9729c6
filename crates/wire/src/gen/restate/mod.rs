// Made by `cargo xtask codegen`.
pub mod restate {
    pub mod appended {
        include!("restate.appended.rs");
    }
    pub mod filled {
        include!("restate.filled.rs");
    }
}
