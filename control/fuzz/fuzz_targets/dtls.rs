//! DTLS datagrams from a sender that has passed an ICE check but is not yet authenticated.
#![no_main]

libfuzzer_sys::fuzz_target!(|datagrams: &[u8]| madang_sfu::fuzz::dtls(datagrams));
