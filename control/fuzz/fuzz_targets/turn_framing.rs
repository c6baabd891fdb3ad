//! TURN messages on a byte stream (RFC 8656 §12.5).
#![no_main]

libfuzzer_sys::fuzz_target!(|stream: &[u8]| madang_turn::fuzz::framing(stream));
