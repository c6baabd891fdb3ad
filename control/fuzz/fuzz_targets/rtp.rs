//! RTP headers and header extensions.
#![no_main]

libfuzzer_sys::fuzz_target!(|packet: &[u8]| madang_sfu::fuzz::rtp(packet));
