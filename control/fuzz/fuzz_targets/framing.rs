//! Framing of datagrams on a byte stream (RFC 4571).
#![no_main]

libfuzzer_sys::fuzz_target!(|stream: &[u8]| madang_sfu::fuzz::framing(stream));
