//! Does what `sockless::fuzzing::hpack_round_trip` asserts hold for any bytes?

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockless::fuzzing::hpack_round_trip(input));
