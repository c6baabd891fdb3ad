//! Input that the decoder accepts or rejects, clause by clause of the STOMP 1.2 specification.

#![expect(clippy::unwrap_used, reason = "a failing test panics")]

use madang_wire::{Command, DecodeError, Decoded, Decoder, Frame, Limits, Version, encode, header};

#[test]
fn a_body_ends_at_the_first_nul() {
    let frame = decode_one(b"SEND\ndestination:/queue/a\n\nhello queue a\0");

    assert_eq!(frame.command, Command::Send);
    assert_eq!(frame.header(header::DESTINATION), Some("/queue/a"));
    assert_eq!(&frame.body[..], b"hello queue a");
}

#[test]
fn content_length_lets_nul_into_the_body() {
    let frame = decode_one(b"SEND\ndestination:/queue/a\ncontent-length:3\n\na\0b\0");

    assert_eq!(&frame.body[..], b"a\0b");
}

#[test]
fn lines_may_end_in_cr_lf() {
    let frame = decode_one(b"SEND\r\ndestination:/queue/a\r\n\r\nhello\0");

    assert_eq!(frame.header(header::DESTINATION), Some("/queue/a"));
    assert_eq!(&frame.body[..], b"hello");
}

#[test]
fn line_ends_between_frames_are_heart_beats() {
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(b"\n\r\n\nBEGIN\ntransaction:t\n\n\0\n").unwrap();

    let mut seen = Vec::new();
    while let Some(decoded) = decoder.next_frame().unwrap() {
        seen.push(decoded == Decoded::HeartBeat);
    }

    assert_eq!(seen, [true, false, true]);
}

#[test]
fn a_return_without_line_feed_waits_for_it() {
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(b"\r").unwrap();
    assert_eq!(decoder.next_frame(), Ok(None));

    decoder.push(b"\n").unwrap();

    assert_eq!(decoder.next_frame(), Ok(Some(Decoded::HeartBeat)));
}

#[test]
fn a_frame_may_come_octet_by_octet() {
    let mut decoder = Decoder::new(Limits::default());
    let bytes = "\nSEND\r\ndestination:/topic/회의\ncontent-length:6\n\n안녕\0".as_bytes();
    let mut frames = Vec::new();

    for byte in bytes {
        decoder.push(&[*byte]).unwrap();
        if let Some(Decoded::Frame(frame)) = decoder.next_frame().unwrap() {
            frames.push(frame);
        }
    }

    assert_eq!(frames.len(), 1);
    assert_eq!(&frames[0].body[..], "안녕".as_bytes());
}

#[test]
fn of_repeated_headers_the_first_counts() {
    let frame = decode_one(b"MESSAGE\nfoo:World\nfoo:Hello\n\n\0");

    assert_eq!(frame.header("foo"), Some("World"));
}

#[test]
fn escapes_depend_on_the_version() {
    let bytes = br"SEND
a\cb:1\n2\\3

"
    .iter()
    .chain(b"\0")
    .copied()
    .collect::<Vec<u8>>();

    for (version, name, value) in [
        (Version::V1_2, "a:b", "1\n2\\3"),
        (Version::V1_1, "a:b", "1\n2\\3"),
        (Version::V1_0, r"a\cb", r"1\n2\\3"),
    ] {
        let frame = decode_all(&bytes, version).unwrap().remove(0);
        assert_eq!(frame.header(name), Some(value), "{version}");
    }
}

#[test]
fn an_undefined_escape_is_fatal() {
    for (text, version) in
        [(r"a\t", Version::V1_2), (r"a\", Version::V1_2), (r"a\r", Version::V1_1)]
    {
        let bytes = format!("SEND\nx:{text}\n\n\0");
        assert_eq!(decode_all(bytes.as_bytes(), version), Err(DecodeError::UndefinedEscape));
    }
}

#[test]
fn connect_frames_are_never_escaped() {
    for (command, text) in [("CONNECT", r"a\cb:c"), ("STOMP", r"a\cb:c"), ("CONNECTED", r"a\cb:c")]
    {
        let bytes = format!("{command}\naccept-version:1.2\nlogin:{text}\n\n\0");
        let frame = decode_one(bytes.as_bytes());

        assert_eq!(frame.header(header::LOGIN), Some(text));
        assert_eq!(encode(&frame, Version::V1_2), bytes.as_bytes());
    }
}

#[test]
fn spaces_belong_to_the_header_except_in_1_0() {
    let bytes = b"SEND\nfoo: bar \n\n\0";

    let frame = |version| decode_all(bytes, version).unwrap().remove(0);

    assert_eq!(frame(Version::V1_2).header("foo"), Some(" bar "));
    assert_eq!(frame(Version::V1_1).header("foo"), Some(" bar "));
    assert_eq!(frame(Version::V1_0).header("foo"), Some("bar"));
}

#[test]
fn a_connect_of_1_0_may_have_spaces_too() {
    let frame = decode_one(b"CONNECT\nlogin: alice\npasscode: sesame\n\n\0");

    assert_eq!(frame.header(header::LOGIN), Some("alice"));
}

#[test]
fn what_is_not_a_frame_is_refused() {
    for (bytes, expected) in [
        (&b"GET / HTTP/1.1\r\n"[..], DecodeError::UnknownCommand("GET / HTTP/1.1".into())),
        (b"send\n\n\0", DecodeError::UnknownCommand("send".into())),
        (b"\0", DecodeError::UnknownCommand(String::new())),
        (&[b'A'; 64], DecodeError::UnknownCommand("A".repeat(32))),
        (b"SEND\nfoo\n\n\0", DecodeError::HeaderWithoutColon),
        (b"SEND\nfoo:\xFF\n\n\0", DecodeError::HeaderNotUtf8),
        (b"SEND\nfoo:bar\0", DecodeError::NulInHeaders),
        (b"SEND\nfoo:b\0ar\n\n\0", DecodeError::NulInHeaders),
        (b"SEND\ncontent-length:-1\n\n\0", DecodeError::BadContentLength),
        (b"SEND\ncontent-length:two\n\nab\0", DecodeError::BadContentLength),
        (b"SEND\ncontent-length:+2\n\nab\0", DecodeError::BadContentLength),
        (b"SEND\ncontent-length:0x2\n\nab\0", DecodeError::BadContentLength),
        (b"SEND\ncontent-length:2,0\n\nab\0", DecodeError::BadContentLength),
        (b"SEND\ncontent-length:\n\nab\0", DecodeError::BadContentLength),
        (b"SEND\n:\0", DecodeError::NulInHeaders),
        (b"\xef\xbb\xbfSEND\n\n\0", DecodeError::UnknownCommand("\u{feff}SEND".into())),
        (b" SEND\n\n\0", DecodeError::UnknownCommand(" SEND".into())),
        (b"SEND \n\n\0", DecodeError::UnknownCommand("SEND ".into())),
        (b"\0SEND\n\n\0", DecodeError::UnknownCommand(String::new())),
        (b"SEND\ncontent-length:1\n\nab\0", DecodeError::MissingNul),
        (b"SUBSCRIBE\nid:1\n\nx\0", DecodeError::UnexpectedBody(Command::Subscribe)),
        (b"ACK\ncontent-length:1\n\nx\0", DecodeError::UnexpectedBody(Command::Ack)),
    ] {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(decode_all(bytes, Version::V1_2), Err(expected), "{text}");
    }
}

#[test]
fn each_limit_is_named_when_it_is_exceeded() {
    let limits = Limits { frame_bytes: 200, headers: 3, header_bytes: 100 };
    let long_body = format!("SEND\n\n{}", "x".repeat(300));
    let announced = "SEND\ncontent-length:18446744073709551615\n\n";
    let beyond = "SEND\ncontent-length:99999999999999999999999\n\n";
    let long_header = format!("SEND\nfoo:{}", "x".repeat(300));
    let long_line = format!("SEND\nfoo:{}\n\n\0", "x".repeat(97));
    let many = "SEND\na:1\nb:2\nc:3\nd:4\n\n\0";
    for (bytes, name) in [
        (long_body.as_str(), "frame_bytes = 200"),
        (announced, "frame_bytes = 200"),
        (beyond, "frame_bytes = 200"),
        (&long_header, "header_bytes = 100"),
        (&long_line, "header_bytes = 100"),
        (many, "headers = 3"),
    ] {
        let mut decoder = Decoder::new(limits);
        decoder.push(bytes.as_bytes()).unwrap();
        let error = decoder.next_frame().unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_frame_of_exactly_the_limits_is_accepted() {
    let bytes = b"SEND\na:1\nb:2\n\nabc\0";
    let limits = Limits { frame_bytes: bytes.len(), headers: 2, header_bytes: 3 };
    let mut decoder = Decoder::new(limits);

    decoder.push(bytes).unwrap();

    assert!(matches!(decoder.next_frame(), Ok(Some(Decoded::Frame(_)))));
}

#[test]
fn pushing_without_taking_does_not_fill_memory() {
    let limits = Limits { frame_bytes: 1000, ..Limits::default() };
    let mut decoder = Decoder::new(limits);
    let mut pushed = 0;

    while decoder.push(&[b'\n'; 100]).is_ok() {
        pushed += 100;
        assert!(pushed <= 1100, "held more than the limit and a chunk");
    }

    assert!(decoder.next_frame().is_err());
}

#[test]
fn an_error_is_for_good() {
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(b"NOPE\n\n\0SEND\n\n\0").unwrap();
    let error = decoder.next_frame().unwrap_err();

    assert_eq!(decoder.next_frame(), Err(error.clone()));
    assert_eq!(decoder.push(b"\n"), Err(error));
}

#[test]
fn content_length_is_corrected_when_written() {
    let frame = Frame::new(Command::Send)
        .with_header(header::CONTENT_LENGTH, "999")
        .with_header("a", "b")
        .with_header(header::CONTENT_LENGTH, "1")
        .with_body("hello");

    let bytes = encode(&frame, Version::V1_2);

    assert_eq!(bytes, "SEND\ncontent-length:5\na:b\n\nhello\0".as_bytes());
}

#[test]
fn a_header_cannot_smuggle_in_another() {
    let evil = "x\r\nadmin:true\0\n\nbody";
    let frame = Frame::new(Command::Message).with_header(evil, evil);

    for version in Version::ALL {
        let frames = decode_all(&encode(&frame, version), version).unwrap();

        assert_eq!(frames.len(), 1);
        assert_eq!(frames[0].headers.len(), 1);
        assert_eq!(frames[0].header("admin"), None);
        assert!(frames[0].body.is_empty());
    }
}

fn decode_one(bytes: &[u8]) -> Frame {
    let mut frames = decode_all(bytes, Version::V1_2).unwrap();
    assert_eq!(frames.len(), 1);
    frames.remove(0)
}

fn decode_all(bytes: &[u8], version: Version) -> Result<Vec<Frame>, DecodeError> {
    let mut decoder = Decoder::new(Limits::default());
    decoder.set_version(version);
    decoder.push(bytes)?;
    let mut frames = Vec::new();
    while let Some(decoded) = decoder.next_frame()? {
        if let Decoded::Frame(frame) = decoded {
            frames.push(frame);
        }
    }
    Ok(frames)
}
