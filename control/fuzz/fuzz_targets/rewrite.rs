//! The numbers of what goes out in a slot, whatever packets of whatever streams come in whatever order.
#![no_main]

libfuzzer_sys::fuzz_target!(|steps: &[u8]| madang_sfu::fuzz::rewrite(steps));
