//! Does what `sockless::fuzzing::operations` asserts hold for any bytes?

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockless::fuzzing::operations(input));
