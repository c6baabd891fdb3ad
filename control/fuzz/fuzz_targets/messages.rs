//! The content of frames: destinations, patterns, heart-beats, versions, room names, and the JSON of requests. The
//! first line of the input is the text, the rest is the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use madang_wire::{
    ChatMessage, Destination, HeartBeat, Pattern, Prefixes, Request, RoomName, Version,
};

fuzz_target!(|input: &[u8]| {
    let (text, body) = match input.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&input[..end], &input[end + 1..]),
        None => (input, &[][..]),
    };
    if let Ok(text) = std::str::from_utf8(text) {
        read_text(text);
    }
    read_body(body);
});

fn read_text(text: &str) {
    if let Ok(Destination::Request { room, action }) =
        Destination::parse(text, &Prefixes::default())
    {
        let spelled = Destination::request_to(&room, &action);
        let again = Destination::parse(&spelled, &Prefixes::default());
        assert_eq!(again, Ok(Destination::Request { room, action }));
    }
    if let Ok(pattern) = Pattern::parse(text) {
        assert!(!pattern.is_literal() || pattern.matches(text));
        pattern.matches("/topic/rooms/주간회의-1/chat");
    }
    if let Some(beat) = HeartBeat::parse(text) {
        assert_eq!(HeartBeat::parse(&beat.to_string()), Some(beat));
    }
    if let Ok(room) = RoomName::parse(text) {
        assert_eq!(RoomName::parse(room.as_str()), Ok(room));
    }
    Version::negotiate(Some(text));
}

/// A parsed body that is serialized parses to the same value.
fn read_body(body: &[u8]) {
    for action in Request::ACTIONS {
        if let Ok(request) = Request::parse(action, body) {
            assert_eq!(Request::parse(action, &request.to_json()), Ok(request));
        }
    }
    if let Ok(message) = serde_json::from_slice::<ChatMessage>(body) {
        let again = serde_json::from_slice(&message.to_json());
        assert_eq!(again.ok(), Some(message));
    }
}
