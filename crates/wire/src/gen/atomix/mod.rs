// Made by `cargo xtask codegen`.
pub mod atomix {
    pub mod proxy {
        pub mod v1 {
            include!("atomix.proxy.v1.rs");
        }
    }
    pub mod runtime {
        pub mod counter {
            pub mod v1 {
                include!("atomix.runtime.counter.v1.rs");
            }
        }
        pub mod countermap {
            pub mod v1 {
                include!("atomix.runtime.countermap.v1.rs");
            }
        }
        pub mod election {
            pub mod v1 {
                include!("atomix.runtime.election.v1.rs");
            }
        }
        pub mod indexedmap {
            pub mod v1 {
                include!("atomix.runtime.indexedmap.v1.rs");
            }
        }
        pub mod list {
            pub mod v1 {
                include!("atomix.runtime.list.v1.rs");
            }
        }
        pub mod lock {
            pub mod v1 {
                include!("atomix.runtime.lock.v1.rs");
            }
        }
        pub mod map {
            pub mod v1 {
                include!("atomix.runtime.map.v1.rs");
            }
        }
        pub mod multimap {
            pub mod v1 {
                include!("atomix.runtime.multimap.v1.rs");
            }
        }
        pub mod set {
            pub mod v1 {
                include!("atomix.runtime.set.v1.rs");
            }
        }
        pub mod topic {
            pub mod v1 {
                include!("atomix.runtime.topic.v1.rs");
            }
        }
        pub mod v1 {
            include!("atomix.runtime.v1.rs");
            pub mod earlier {
                include!("atomix.runtime.v1.earlier.rs");
            }
        }
        pub mod value {
            pub mod v1 {
                include!("atomix.runtime.value.v1.rs");
            }
        }
    }
}
