//! Datagrams to a media port from whoever knows the address.
#![no_main]

libfuzzer_sys::fuzz_target!(|datagrams: &[u8]| madang_sfu::fuzz::stun(datagrams));
