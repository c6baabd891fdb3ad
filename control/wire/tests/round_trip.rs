//! Properties over random frames and random bytes.

use madang_wire::{
    Command, Decoded, Decoder, Destination, Frame, Limits, Pattern, Prefixes, Request, RoomName,
    Version, encode,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

proptest! {
    #[test]
    fn every_frame_survives(
        frame in any_frame(),
        version in select(&Version::ALL[..]),
        cuts in vec(1..40usize, 1..50),
    ) {
        let expected = as_expressible(&frame, version);
        let bytes = encode(&frame, version);

        let frames = decode_in_pieces(&bytes, version, &cuts).unwrap();

        prop_assert_eq!(frames.len(), 1);
        let mut decoded = frames.into_iter().next().unwrap();
        decoded.headers.remove("content-length");
        prop_assert_eq!(decoded, expected);
    }

    #[test]
    fn encoding_again_gives_the_same_bytes(
        frame in any_frame(),
        version in select(&Version::ALL[..]),
    ) {
        // The first encoding in STOMP 1.0 loses spaces at the ends of headers.
        let bytes = encode(&as_expressible(&frame, version), version);
        let decoded = decode_in_pieces(&bytes, version, &[7]).unwrap().remove(0);

        prop_assert_eq!(encode(&decoded, version), bytes);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(
        bytes in vec(any::<u8>(), 0..400),
        version in select(&Version::ALL[..]),
        cuts in vec(1..40usize, 1..50),
    ) {
        let _ = decode_in_pieces(&bytes, version, &cuts);
    }

    #[test]
    fn no_almost_frame_makes_the_decoder_panic(
        bytes in "(SEND|CONNECT|MESSAGE|\r?\n){0,3}((content-length|a|\\\\[nrct]|:|[0-9]{1,3}|\r|\n|\\x00){0,12}(\n\n|\\x00)){0,4}",
        version in select(&Version::ALL[..]),
        cuts in vec(1..10usize, 1..50),
    ) {
        let _ = decode_in_pieces(bytes.as_bytes(), version, &cuts);
    }

    #[test]
    fn cutting_does_not_matter(
        frame in any_frame(),
        noise in vec(select(&b"\n\r\0:SEND"[..]), 0..6),
        cuts in vec(1..40usize, 1..50),
    ) {
        let mut bytes = encode(&frame, Version::V1_2).to_vec();
        bytes.extend_from_slice(&noise);

        let whole = decode_in_pieces(&bytes, Version::V1_2, &[bytes.len()]);
        let pieces = decode_in_pieces(&bytes, Version::V1_2, &cuts);

        prop_assert_eq!(whole, pieces);
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in "[/*a-z가-힣]{0,12}|.{0,80}", body in vec(any::<u8>(), 0..40)) {
        let _ = RoomName::parse(&text);
        let _ = Destination::parse(&text, &Prefixes::default());
        let _ = Destination::parse(&format!("/user{text}"), &Prefixes::default());
        let _ = Destination::parse(&format!("/topic/rooms{text}"), &Prefixes::default());
        let _ = Destination::parse(&format!("/app{text}"), &Prefixes::default());
        let _ = Pattern::parse(&text).map(|pattern| pattern.matches("/topic/a"));
        for action in Request::ACTIONS {
            let _ = Request::parse(action, &body);
            let _ = Request::parse(action, text.as_bytes());
        }
    }

    #[test]
    fn patterns_match_as_the_naive_model_says(
        pattern in vec(select(&["a", "b", "*", "**"][..]), 1..5),
        destination in vec(select(&["a", "b", "c"][..]), 1..5),
    ) {
        let Ok(parsed) = Pattern::parse(&pattern.join("/")) else {
            let rest = pattern.iter().position(|segment| *segment == "**").unwrap();
            prop_assert!(rest + 1 < pattern.len());
            return Ok(());
        };
        prop_assert_eq!(parsed.matches(&destination.join("/")), naive(&pattern, &destination));
    }
}

fn naive(pattern: &[&str], destination: &[&str]) -> bool {
    match (pattern, destination) {
        (["**"], _) | ([], []) => true,
        ([p, pattern @ ..], [d, destination @ ..]) => {
            (*p == "*" || p == d) && naive(pattern, destination)
        }
        _ => false,
    }
}

fn any_frame() -> impl Strategy<Value = Frame> {
    let text = "[a-z:\\\\\r\n 가-힣\\x00]{0,12}|.{0,20}";
    let headers = vec((text, text), 0..8);
    let body = vec(any::<u8>(), 0..200);
    (select(Command::ALL), headers, body).prop_map(|(command, headers, body)| {
        let mut frame = Frame::new(command);
        for (name, value) in headers.into_iter().filter(|(n, _)| n.trim() != "content-length") {
            frame.headers.push(name, value);
        }
        if command.may_have_body() { frame.with_body(body) } else { frame }
    })
}

/// The frame as it must arrive: a character that the version can't express becomes a space, and 1.0 trims headers.
fn as_expressible(frame: &Frame, version: Version) -> Frame {
    let connect = !frame.command.escapes_headers();
    let lost: &[char] = match version {
        _ if connect => &['\0', '\r', '\n'],
        Version::V1_0 => &['\0', '\r', '\n'],
        Version::V1_1 => &['\0', '\r'],
        Version::V1_2 => &['\0'],
    };
    let plain = connect || version == Version::V1_0;
    let is_connect = matches!(frame.command, Command::Connect | Command::Stomp);
    let trims = version == Version::V1_0 || is_connect && frame.header("accept-version").is_none();
    let trim = |text: String| if trims { text.trim().to_owned() } else { text };
    let mut expected = Frame { headers: Default::default(), ..frame.clone() };
    for (name, value) in frame.headers.iter() {
        let name = name.replace(lost, " ");
        let name = if plain { name.replace(':', " ") } else { name };
        expected.headers.push(trim(name), trim(value.replace(lost, " ")));
    }
    expected
}

fn decode_in_pieces(
    bytes: &[u8],
    version: Version,
    cuts: &[usize],
) -> Result<Vec<Frame>, madang_wire::DecodeError> {
    let mut decoder = Decoder::new(Limits::default());
    decoder.set_version(version);
    let mut frames = Vec::new();
    let mut rest = bytes;
    for cut in cuts.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, after) = rest.split_at((*cut).clamp(1, rest.len()));
        rest = after;
        decoder.push(piece)?;
        while let Some(decoded) = decoder.next_frame()? {
            if let Decoded::Frame(frame) = decoded {
                frames.push(frame);
            }
        }
    }
    Ok(frames)
}
