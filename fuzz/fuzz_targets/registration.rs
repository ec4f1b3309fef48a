#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| bearerd_fuzz::registration(data));
