//! SockJS: a client's body parses to an array of texts or is rejected, and texts survive framing.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(
    dead_code,
    unreachable_pub,
    reason = "a module of the server, of which only the parsing is called"
)]
#[path = "../../src/edge/sockjs/frame.rs"]
mod frame;

fuzz_target!(|payload: &[u8]| {
    let array = frame::parse_array(payload);
    let Ok(text) = std::str::from_utf8(payload) else {
        assert_eq!(array, None, "only UTF-8 is text");
        return;
    };
    survive(&[text.to_owned()]);
    if let Some(messages) = frame::parse(text) {
        survive(&messages);
    }
    if let Some(messages) = array {
        survive(&messages);
    }
});

fn survive(messages: &[String]) {
    let frame = frame::messages(messages);
    let array = frame.strip_prefix('a').expect("messages are announced by an a");
    assert_eq!(frame::parse_array(array.as_bytes()).as_deref(), Some(messages));
    assert!(!array.contains(['\u{0}', '\n', '\u{2028}']));
}
