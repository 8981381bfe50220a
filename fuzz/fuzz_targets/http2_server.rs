//! Does what `sockless::fuzzing::http2_server` asserts hold for any bytes?

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockless::fuzzing::http2_server(input));
