//! Bytes that are nearly good: the short run of every fuzz target that needs no nightly compiler.
//!
//! `fuzz/` drives the same targets with libFuzzer, which looks for new paths. Here samples are damaged at random from a
//! fixed seed, so that each run is the same one.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fastrand::Rng;

/// Largest input that is made.
const BYTES_MAX: usize = 4 << 10;
const DAMAGES_MAX: usize = 6;

/// Numbers that are often just beyond a limit.
const EDGES: [u8; 8] = [0, 1, 0x7f, 0x80, 0xfe, 0xff, b'\\', b'"'];

/// Runs the target on the samples as they are, then on so many damaged ones. Panics with the input that it panicked on.
pub fn storm(samples: &[&[u8]], rounds: usize, target: impl Fn(&[u8])) {
    for sample in samples {
        check(sample, &target);
    }
    let mut random = Rng::with_seed(0x62_656c_6179);
    for _ in 0..rounds {
        let mut input = samples
            .get(random.usize(0..samples.len()))
            .expect("in range")
            .to_vec();
        for _ in 0..random.usize(1..=DAMAGES_MAX) {
            damage(&mut input, samples, &mut random);
        }
        input.truncate(BYTES_MAX);
        check(&input, &target);
    }
}

fn check(input: &[u8], target: &impl Fn(&[u8])) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        panic!("the target panicked on b\"{}\"", input.escape_ascii());
    }
}

fn damage(input: &mut Vec<u8>, samples: &[&[u8]], random: &mut Rng) {
    let at = random.usize(0..=input.len());
    match random.u8(0..7) {
        0 => input.truncate(at),
        1 => input.insert(at, random.u8(..)),
        2 => input.insert(at, EDGES[random.usize(0..EDGES.len())]),
        3 if at < input.len() => input[at] ^= 1 << random.u8(0..8),
        4 if at < input.len() => input[at] = EDGES[random.usize(0..EDGES.len())],
        5 if at < input.len() => drop(input.drain(at..(at + random.usize(1..=16)).min(input.len()))),
        // A piece of another sample.
        _ => {
            let other = samples[random.usize(0..samples.len())];
            let from = random.usize(0..=other.len());
            let to = (from + random.usize(0..=32)).min(other.len());
            input.splice(at..at, other[from..to].iter().copied());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "the target panicked on b\"")]
    fn a_panic_is_found_and_told_with_its_input() {
        storm(&[b"good"], 1_000, |input| assert!(input.starts_with(b"g")));
    }

    #[test]
    fn samples_are_run_as_they_are() {
        let seen = std::cell::RefCell::new(vec![]);
        storm(&[b"a", b"b"], 0, |input| seen.borrow_mut().push(input.to_vec()));
        assert_eq!(seen.into_inner(), [b"a", b"b"]);
    }
}
