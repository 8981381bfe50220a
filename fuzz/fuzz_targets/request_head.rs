//! Does what `sockless::fuzzing::request_head` asserts hold for any bytes?

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockless::fuzzing::request_head(input));
