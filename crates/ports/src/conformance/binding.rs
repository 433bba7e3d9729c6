//! What every [`Binding`] must do.

use std::collections::BTreeSet;
use std::sync::Arc;

use base::Kind;
use bytes::Bytes;

use crate::Metadata;
use crate::binding::{Binding, Request};

pub struct Given {
    pub binding: Arc<dyn Binding>,
    /// A request that succeeds.
    pub good: Request,
}

pub async fn all(given: Given) {
    operations_are_named_once(&given);
    a_good_request_is_answered(&given).await;
    other_operations_are_unimplemented(&given).await;
}

fn operations_are_named_once(given: &Given) {
    let operations = given.binding.operations();
    let distinct: BTreeSet<_> = operations.iter().collect();
    assert_eq!(distinct.len(), operations.len());
    assert!(operations.contains(&given.good.operation.as_str()));
}

async fn a_good_request_is_answered(given: &Given) {
    let answered = given.binding.invoke(given.good.clone()).await;
    answered.expect("the request is good");
}

/// Names are case sensitive, and an empty one is none.
async fn other_operations_are_unimplemented(given: &Given) {
    let upper = given.good.operation.to_uppercase();
    for operation in ["", "conformance-no-such-operation", &upper] {
        let request = Request {
            operation: operation.to_owned(),
            data: Bytes::from_static(b"data"),
            metadata: Metadata::new(),
        };
        let refused = given.binding.invoke(request).await;
        assert_eq!(
            refused.expect_err("it is not offered").kind(),
            Kind::Unimplemented,
            "{operation}"
        );
    }
}
