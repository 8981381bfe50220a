//! Does what `sockless::fuzzing::response_head` asserts hold for any bytes?

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockless::fuzzing::response_head(input));
