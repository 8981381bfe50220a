//! Does what `sockless::fuzzing::hpack_decode` asserts hold for any bytes?

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockless::fuzzing::hpack_decode(input));
