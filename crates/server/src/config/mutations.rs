//! Our samples with random values in random places: whatever stands there, it is a finding or it is taken, never a crash.

use serde_json::{Value, json};

use super::document::{self, Content};
use super::schema::check;
use super::tests::{load_text, nothing_set};
use super::{Config, Finding, Overrides};
use ports::registry::Severity;

const ROUNDS: u64 = 200;

fn strange(random: &mut fastrand::Rng) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(1e30),
        json!(99_999_999_999_u64),
        json!(""),
        json!("x"),
        json!("${"),
        json!("${secret:a/b}"),
        json!("off"),
        json!("é||😀"),
        json!([]),
        json!({}),
        json!([1]),
        json!({"x": 1}),
    ];
    values[random.usize(..values.len())].clone()
}

/// Replaces one value, or adds one.
fn mutate(value: &mut Value, random: &mut fastrand::Rng) {
    let here = random.u8(..6) == 0;
    match value {
        Value::Object(members) if !here && !members.is_empty() => {
            let key = members
                .keys()
                .nth(random.usize(..members.len()))
                .expect("it is within")
                .clone();
            mutate(&mut members[&key], random);
        }
        Value::Array(items) if !here && !items.is_empty() => {
            let index = random.usize(..items.len());
            mutate(&mut items[index], random);
        }
        Value::Object(members) if random.bool() => {
            members.insert("strange".into(), strange(random));
        }
        Value::Array(items) if random.bool() => items.push(strange(random)),
        value => *value = strange(random),
    }
}

fn mutants(sample: &str) -> impl Iterator<Item = (u64, String)> {
    let sample = document::parse(sample).expect("our samples are valid").to_value();
    (0..ROUNDS).map(move |seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut value = sample.clone();
        (0..random.usize(1..4)).for_each(|_| mutate(&mut value, &mut random));
        (seed, value.to_string())
    })
}

#[test]
fn what_the_schema_takes_can_be_typed() {
    let mut taken = 0;
    for (seed, text) in mutants(include_str!("../../../../configs/belay.yaml")) {
        let mut root = document::parse(&text).unwrap_or_else(|finding| panic!("seed {seed}: {finding:?}"));
        if !matches!(root.content, Content::Map(_)) {
            continue;
        }
        let findings = check(&super::schema(), &mut root, Severity::Error);
        let typed = serde_json::from_value::<Config>(root.to_value());
        if !findings.iter().any(Finding::is_error) {
            taken += 1;
            assert!(typed.is_ok(), "seed {seed}: {typed:?}");
        }
    }
    assert!(taken > ROUNDS / 100, "{taken}");
}

#[test]
fn no_mutant_of_our_configuration_is_a_crash() {
    for (_, text) in mutants(include_str!("../../../../configs/belay.yaml")) {
        drop(load_text(&text, &Overrides::default(), &nothing_set));
    }
}

#[test]
fn no_mutant_of_layottos_configuration_is_a_crash() {
    for (_, text) in mutants(include_str!("../../../../configs/layotto.json")) {
        drop(load_text(&text, &Overrides::default(), &nothing_set));
    }
}

#[test]
fn no_cut_or_garbled_text_is_a_crash() {
    let sample = include_str!("../../../../configs/belay.yaml");
    let marks = b"{}[]:-#*&!|>'\"%@`\t\n\\";
    for seed in 0..ROUNDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = sample.as_bytes()[..random.usize(1..sample.len())].to_vec();
        for _ in 0..random.usize(..4) {
            let index = random.usize(..bytes.len());
            bytes[index] = marks[random.usize(..marks.len())];
        }
        drop(load_text(
            &String::from_utf8_lossy(&bytes),
            &Overrides::default(),
            &nothing_set,
        ));
    }
}
