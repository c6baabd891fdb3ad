//! SDP offers: one, and behind a line with a dot another one of the same peer.
#![no_main]

libfuzzer_sys::fuzz_target!(|offers: &[u8]| madang_sfu::fuzz::sdp(offers));
