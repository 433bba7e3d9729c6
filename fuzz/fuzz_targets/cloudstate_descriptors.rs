#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| api_cloudstate::fuzz::descriptors(bytes));
