//! Does what `sockless::fuzzing::extensions` asserts hold for any bytes?

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockless::fuzzing::extensions(input));
