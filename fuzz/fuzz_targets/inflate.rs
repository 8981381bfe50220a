//! Does what `sockless::fuzzing::inflate` asserts hold for any bytes?

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockless::fuzzing::inflate(input));
