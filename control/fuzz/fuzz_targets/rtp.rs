//! The header of an RTP packet and its extensions.
#![no_main]

libfuzzer_sys::fuzz_target!(|packet: &[u8]| madang_sfu::fuzz::rtp(packet));
