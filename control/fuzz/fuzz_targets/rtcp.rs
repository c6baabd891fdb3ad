//! Compound RTCP packets.
#![no_main]

libfuzzer_sys::fuzz_target!(|compound: &[u8]| madang_sfu::fuzz::rtcp(compound));
