//! Does what `sockless::fuzzing::client_stream` asserts hold for any bytes?

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockless::fuzzing::client_stream(input));
