#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| api_atomix::fuzz::program(bytes));
