//! Malicious peers with valid keys, through the whole packet path.
#![no_main]

libfuzzer_sys::fuzz_target!(|events: &[u8]| madang_sfu::fuzz::media(events));
