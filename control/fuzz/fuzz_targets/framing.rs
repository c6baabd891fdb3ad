//! RFC 4571: datagrams on a byte stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|stream: &[u8]| madang_sfu::fuzz::framing(stream));
