//! Does what `sockless::fuzzing::server_stream` asserts hold for any bytes?

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockless::fuzzing::server_stream(input));
