//! STUN datagrams to a media port from unauthenticated senders.
#![no_main]

libfuzzer_sys::fuzz_target!(|datagrams: &[u8]| madang_sfu::fuzz::stun(datagrams));
