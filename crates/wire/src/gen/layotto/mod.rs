// Made by `cargo xtask codegen`.
pub mod spec {
    pub mod proto {
        pub mod runtime {
            pub mod v1 {
                include!("spec.proto.runtime.v1.rs");
            }
        }
    }
}
