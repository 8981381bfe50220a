//! Does what `sockless::fuzzing::frame_header` asserts hold for any bytes?

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| sockless::fuzzing::frame_header(input));
