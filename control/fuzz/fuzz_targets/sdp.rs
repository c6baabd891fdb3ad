//! SDP offers: one, and after a line with a dot a second one of the same peer.
#![no_main]

libfuzzer_sys::fuzz_target!(|offers: &[u8]| madang_sfu::fuzz::sdp(offers));
