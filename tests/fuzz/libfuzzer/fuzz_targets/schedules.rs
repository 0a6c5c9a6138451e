#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| brrr_fuzz::run("schedules", data));
