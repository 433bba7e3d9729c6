//! Our error kinds in gRPC's terms.

use tonic::Code;

/// The gRPC status code of a kind. Families that must answer with another one say so in their own `error.rs`.
pub fn code(kind: base::Kind) -> Code {
    Code::from_i32(kind.grpc())
}

#[cfg(test)]
mod tests {
    use base::Kind;

    use super::*;

    #[test]
    fn every_kind_has_a_code_that_grpc_knows() {
        for kind in Kind::ALL {
            assert_eq!(code(kind) as i32, kind.grpc(), "{kind:?}");
        }
    }

    #[test]
    fn kinds_and_codes_share_their_names() {
        for kind in Kind::ALL {
            assert_eq!(format!("{:?}", code(kind)), format!("{kind:?}"));
        }
    }
}
