//! Does what `sockless::fuzzing::split_against_whole` asserts hold for any bytes?

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockless::fuzzing::split_against_whole(input));
