//! Names of invocations, awakeables and deployments, as texts and as bytes.
//!
//! An invocation is `inv_1`, then 11 digits for the partition key and 22 for its own 16 bytes. A group of bytes is a
//! little-endian number, written in base 62 with the most significant digit first and zeros in front.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use machines::invocation::Id;
use machines::invocation::rows::Name;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const KEY_DIGITS: usize = 11;
const OWN_DIGITS: usize = 22;
/// Padding or none: the Java SDK writes it, the others leave it out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// How many partition keys the invocations of one service spread over.
const BUCKETS: u64 = 512;

pub(crate) fn encode(id: &Id) -> String {
    let mut text = String::with_capacity(5 + KEY_DIGITS + OWN_DIGITS);
    text.push_str("inv_1");
    put(&mut text, &id.0[..8], KEY_DIGITS);
    put(&mut text, &id.0[8..], OWN_DIGITS);
    text
}

/// The error says what is wrong.
pub(crate) fn decode(text: &str) -> Result<Id, &'static str> {
    let digits = text.strip_prefix("inv_1").ok_or("it does not begin with inv_1")?;
    if digits.len() != KEY_DIGITS + OWN_DIGITS || !digits.is_ascii() {
        return Err("it has not 38 characters");
    }
    let (key, own) = digits.split_at(KEY_DIGITS);
    let mut id = [0; 24];
    take(key, &mut id[..8])?;
    take(own, &mut id[8..])?;
    Ok(Id(id))
}

fn put(text: &mut String, bytes: &[u8], digits: usize) {
    let mut little = [0; 16];
    little[..bytes.len()].copy_from_slice(bytes);
    let mut number = u128::from_le_bytes(little);
    let mut reversed = [b'0'; OWN_DIGITS];
    for digit in reversed.iter_mut().take(digits) {
        *digit = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    text.extend(reversed[..digits].iter().rev().map(|digit| char::from(*digit)));
}

fn take(digits: &str, bytes: &mut [u8]) -> Result<(), &'static str> {
    let number = digits.bytes().try_fold(0u128, |number, digit| {
        let value = DIGITS.iter().position(|other| *other == digit)? as u128;
        number.checked_mul(62)?.checked_add(value)
    });
    let little = number
        .ok_or("it has a character that no id has, or is too large")?
        .to_le_bytes();
    let (own, rest) = little.split_at(bytes.len());
    if rest.iter().any(|byte| *byte != 0) {
        return Err("it is too large");
    }
    bytes.copy_from_slice(own);
    Ok(())
}

/// Of a call that nobody can repeat.
pub(crate) fn fresh(service: &str, key: Option<&str>) -> Id {
    let partition = match key {
        Some(key) => of_key(key),
        None => of_bucket(service, fastrand::u64(0..BUCKETS)),
    };
    joined(partition, ulid())
}

/// Beside the invocation of that id: in its partition.
pub(crate) fn beside(id: &Id) -> Id {
    joined(u64::from_be_bytes(id.partition_key()), ulid())
}

pub(crate) fn of_workflow(service: &str, key: &str) -> Id {
    joined(of_key(key), digest(&["wf", service, key]))
}

pub(crate) fn of_idempotent(service: &str, key: Option<&str>, handler: &str, idempotency_key: &str) -> Id {
    let mut parts = vec!["ik", service];
    parts.extend(key);
    parts.extend([handler, idempotency_key]);
    let partition = match key {
        Some(key) => of_key(key),
        None => of_bucket(service, ended(idempotency_key) % BUCKETS),
    };
    joined(partition, digest(&parts))
}

fn joined(partition: u64, own: [u8; 16]) -> Id {
    let mut id = [0; 24];
    id[..8].copy_from_slice(&partition.to_be_bytes());
    id[8..].copy_from_slice(&own);
    Id(id)
}

fn of_key(key: &str) -> u64 {
    ended(key)
}

/// Of everything that has that key.
pub(crate) fn partition_key(key: &str) -> [u8; 8] {
    of_key(key).to_be_bytes()
}

/// Of a text and the byte 255.
fn ended(text: &str) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(text.as_bytes());
    hash.update(&[0xff]);
    hash.digest()
}

fn of_bucket(service: &str, bucket: u64) -> u64 {
    let parts = [service.as_bytes(), b"unscoped/service", &bucket.to_le_bytes()];
    xxh3_64(&parts.join(&0xff))
}

fn digest(parts: &[&str]) -> [u8; 16] {
    let hash = Sha256::digest(parts.join(",").as_bytes());
    hash.first_chunk().copied().unwrap_or_default()
}

/// 48 bits of time, 80 by chance.
fn ulid() -> [u8; 16] {
    static CLOCK: std::sync::OnceLock<base::time::SystemClock> = std::sync::OnceLock::new();
    let clock = CLOCK.get_or_init(|| base::time::SystemClock::starting(base::Timestamp(0)));
    let time = u128::from(base::Clock::now(clock).0) << 80;
    (time | (fastrand::u128(..) >> 48)).to_be_bytes()
}

/// A new deployment's name.
pub(crate) fn deployment() -> String {
    let mut text = "dp_1".to_owned();
    put(&mut text, &ulid(), OWN_DIGITS);
    text
}

/// The invocation and the signal (or, of versions 1 and 2, the entry) that an awakeable completes. The error says what is wrong.
pub(crate) fn awakeable(text: &str) -> Result<(Id, Name), &'static str> {
    let (digits, name): (_, fn(u32) -> Name) =
        match (text.strip_prefix("sign_1"), text.strip_prefix("prom_1")) {
            (Some(digits), _) => (digits, Name::Signal),
            (_, Some(digits)) => (digits, Name::Completion),
            _ => return Err("it does not begin with sign_1 or prom_1"),
        };
    let bytes = BASE64.decode(digits).map_err(|_| "it is no base64")?;
    let (id, number) = bytes.split_first_chunk::<24>().ok_or("it is too short")?;
    let number = number.try_into().map_err(|_| "it has not 28 bytes")?;
    Ok((Id(*id), name(u32::from_be_bytes(number))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("a digit");
        (0..text.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn vectors() {
        let raw = hex("82a4cddf2f56bb74141b5ddbc30184563e2c1eb9afc740ff");
        let id = Id::of(&raw).expect("24 bytes");
        assert_eq!(encode(&id), "inv_1a1mlWikgvPI7LEEaFf73AaPyC5x2TxAna");
        assert_eq!(decode("inv_1a1mlWikgvPI7LEEaFf73AaPyC5x2TxAna"), Ok(id));
        assert_eq!(of_key("s1").to_be_bytes(), hex("82a4cddf2f56bb74")[..]);
        let workflow = of_workflow("Wf", "w1");
        assert_eq!(encode(&workflow), "inv_12kpUQONmeFb2WqsVOkAjH4phS34cOyIC8");
        let idempotent = of_idempotent("Greeter", None, "greet", "a");
        assert_eq!(encode(&idempotent), "inv_14oGiVem1xOP28xVqry5e1iIFENWV9amJL");
        let raw = hex("c00ec6e2eb849f67807f4d786f5884f44ab826576e9a08a6");
        let id = Id::of(&raw).expect("24 bytes");
        let digits = "wA7G4uuEn2eAf014b1iE9Eq4JldumgimAAAAEQ";
        assert_eq!(awakeable(&format!("sign_1{digits}")), Ok((id, Name::Signal(17))));
        assert_eq!(
            awakeable(&format!("prom_1{digits}")),
            Ok((id, Name::Completion(17)))
        );
    }

    #[test]
    fn awakeables_of_the_java_sdk_are_padded() {
        let bare = "sign_1qW7ktqy--NkBohjsifTsPNjM5GcHUT4hAAAAEQ";
        assert_eq!(awakeable(&format!("{bare}==")), awakeable(bare));
        assert!(awakeable(bare).is_ok());
    }

    #[test]
    fn what_is_no_id() {
        assert!(decode("").is_err());
        assert!(decode("inv_1a1mlWikgvPI7LEEaFf73AaPyC5x2TxAn").is_err());
        assert!(decode("inv_1ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ").is_err());
        assert!(decode("inv_1a1mlWikgvPI7LEEaFf73AaPyC5x2TxAn!").is_err());
        assert!(awakeable("sign_1").is_err());
        assert!(awakeable("sign_1wA7G4uuEn2eAf014b1iE9Eq4JldumgimAAAAEQAA").is_err());
        assert!(awakeable("x").is_err());
    }

    proptest::proptest! {
        #[test]
        fn every_id_is_read_back(raw in proptest::array::uniform24(0u8..)) {
            proptest::prop_assert_eq!(decode(&encode(&Id(raw))), Ok(Id(raw)));
        }
    }
}
