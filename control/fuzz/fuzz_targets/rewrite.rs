//! The sequence numbers, timestamps and picture ids of outgoing packets of a slot, for any order of packets of any
//! streams.
#![no_main]

libfuzzer_sys::fuzz_target!(|steps: &[u8]| madang_sfu::fuzz::rewrite(steps));
