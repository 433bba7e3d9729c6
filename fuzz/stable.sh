#!/usr/bin/env bash
# One target with libFuzzer on the stable compiler: coverage of every edge, no address sanitizer.
set -euo pipefail
cd "$(dirname "$0")"
target=${1:?name a target: see README.md}
shift
export RUSTFLAGS="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"
# For the target alone: build scripts and macros are not to be fuzzed.
host=$(rustc -vV | sed -n 's/^host: //p')
mkdir -p "corpus/$target"
exec cargo run --target "$host" --bin "$target" -- "corpus/$target" "$@"
