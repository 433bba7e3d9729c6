//! Who asks: requests to deployments carry a token that only the holder of a key can make, so that a deployment which other
//! machines can reach answers nobody else.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base::time::SystemClock;
use base::{Clock, Error, Result, Timestamp, codes};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::{Signer, SigningKey};
use http::{HeaderMap, HeaderValue};
use serde_json::json;

/// How far a deployment's clock may be off, one way and the other. Its SDK allows for nothing.
const LEEWAY: Duration = Duration::from_secs(60);

/// A private key. Its public half is told to deployments: see [`Identity::public_key`].
#[derive(Clone)]
pub struct Identity {
    key: SigningKey,
    public: String,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// A file with one ed25519 key, in PKCS8 and PEM.
    ///
    /// Errors: `IDENTITY_UNUSABLE`.
    pub fn read(path: &Path) -> Result<Identity> {
        let unusable =
            |why: String| Error::new(codes::IDENTITY_UNUSABLE, format!("{}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|cause| unusable(cause.to_string()))?;
        Identity::of_pem(&text).map_err(unusable)
    }

    fn of_pem(text: &str) -> Result<Identity, String> {
        if text.matches("-----BEGIN").count() != 1 {
            return Err("it has not exactly one key in PEM".into());
        }
        let key = SigningKey::from_pkcs8_pem(text.trim()).map_err(|_| "it holds no ed25519 key in PKCS8")?;
        let public = bs58::encode(key.verifying_key().as_bytes()).into_string();
        Ok(Identity {
            public: format!("publickeyv1_{public}"),
            key,
            clock: Arc::new(SystemClock::starting(Timestamp(0))),
        })
    }

    /// What an SDK is given, so that it answers this one only.
    pub fn public_key(&self) -> &str {
        &self.public
    }

    /// `path`: what follows the deployment's own address.
    pub(crate) fn sign(&self, path: &str, headers: &mut HeaderMap) {
        let now = Duration::from_millis(self.clock.now().0);
        let token = HeaderValue::from_str(&self.token(path, now));
        if let Ok(token) = token {
            headers.insert("x-restate-signature-scheme", HeaderValue::from_static("v1"));
            headers.insert("x-restate-jwt-v1", token);
        }
    }

    fn token(&self, path: &str, now: Duration) -> String {
        let head = json!({ "typ": "JWT", "alg": "EdDSA", "kid": self.public });
        let claims = json!({
            "aud": path,
            "iat": now.as_secs(),
            "nbf": now.saturating_sub(LEEWAY).as_secs(),
            "exp": (now + LEEWAY).as_secs(),
        });
        let encoded = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let signed = format!("{}.{}", encoded(head), encoded(claims));
        let signature = self.key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::Signature;

    use super::*;

    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIPe++4ZTPQDF81otpoU/mOGHC2vOAVp9WbiCblvn3nXO\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_key_has_the_name_that_sdks_know() {
        let identity = Identity::of_pem(PEM).expect("a key");
        assert_eq!(
            identity.public_key(),
            "publickeyv1_AfQwmwfgEZhrWpvv8N52SHpRtZqGGaFr4AZN6qtYWSiY"
        );
    }

    #[test]
    fn a_token_is_signed_and_says_for_what() {
        let identity = Identity::of_pem(PEM).expect("a key");
        let token = identity.token("/invoke/Greeter/greet", Duration::from_secs(1_000));
        let parts: Vec<&str> = token.split('.').collect();
        let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).expect("Base64");
        let json = |part: &str| serde_json::from_slice::<serde_json::Value>(&decoded(part)).expect("JSON");
        assert_eq!(json(parts[0])["kid"], identity.public_key());
        let expected = json!({ "aud": "/invoke/Greeter/greet", "iat": 1_000, "nbf": 940, "exp": 1_060 });
        assert_eq!(json(parts[1]), expected);
        let signature = Signature::from_slice(&decoded(parts[2])).expect("64 bytes");
        let signed = format!("{}.{}", parts[0], parts[1]);
        let valid = identity
            .key
            .verifying_key()
            .verify_strict(signed.as_bytes(), &signature);
        assert!(valid.is_ok());
    }

    #[test]
    fn what_is_no_key() {
        for text in [
            "",
            "-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n",
            &PEM.repeat(2),
        ] {
            assert!(Identity::of_pem(text).is_err(), "{text}");
        }
    }
}
