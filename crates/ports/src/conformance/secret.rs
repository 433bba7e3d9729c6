//! What every [`SecretStore`] must do.

use std::sync::Arc;

use base::Kind;

use crate::Metadata;
use crate::secret::SecretStore;

/// What a store says to a name that it doesn't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    NotFound,
    /// The store can't tell a secret that isn't there from an empty one.
    Empty,
}

pub struct Given<'s> {
    pub store: Arc<dyn SecretStore>,
    /// A secret with one value, and that value.
    pub known: (&'s str, &'s str),
    pub unknown: Unknown,
}

pub async fn all(given: Given<'_>) {
    a_known_secret_is_named_like_its_value(&given).await;
    an_unknown_secret_is_not_found(&given).await;
    bulk_holds_what_get_gives(&given).await;
}

async fn a_known_secret_is_named_like_its_value(given: &Given<'_>) {
    let (name, value) = given.known;
    let secret = given.store.get(name, &Metadata::new()).await;
    let secret = secret.expect("the secret is known");
    assert_eq!(secret.len(), 1);
    assert_eq!(secret.get(name).map(String::as_str), Some(value));
}

async fn an_unknown_secret_is_not_found(given: &Given<'_>) {
    let name = "conformance-no-such-secret";
    let secret = given.store.get(name, &Metadata::new()).await;
    match (given.unknown, secret) {
        (Unknown::NotFound, Err(error)) => {
            assert_eq!(error.kind(), Kind::NotFound);
            assert!(
                error.message().contains(name),
                "the message must say which: {error}"
            );
        }
        (Unknown::Empty, Ok(secret)) => assert_eq!(secret.get(name).map(String::as_str), Some("")),
        (unknown, outcome) => panic!("expected {unknown:?}, it is an error: {}", outcome.is_err()),
    }
}

async fn bulk_holds_what_get_gives(given: &Given<'_>) {
    let secrets = given.store.bulk(&Metadata::new()).await;
    let secrets = secrets.expect("the store works");
    assert!(secrets.contains_key(given.known.0));
    for (name, secret) in &secrets {
        let alone = given.store.get(name, &Metadata::new()).await;
        // Values are not printed: a store under test may be a real one.
        assert!(alone.expect("bulk has it") == *secret, "{name}");
    }
}
