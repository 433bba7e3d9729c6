#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| api_layotto::fuzz::publish(bytes));
