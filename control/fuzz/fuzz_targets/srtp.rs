//! SRTP and SRTCP of every profile.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| madang_sfu::fuzz::srtp(bytes));
