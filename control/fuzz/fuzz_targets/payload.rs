//! Payload descriptors of all video formats, the dependency descriptor, and redundant audio.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| madang_sfu::fuzz::payload(bytes));
