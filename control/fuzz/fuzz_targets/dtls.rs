//! DTLS from whoever passed an ICE check, before anything is known of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|datagrams: &[u8]| madang_sfu::fuzz::dtls(datagrams));
