//! STOMP: a stream decodes to the same frames however it is split, in every version; a decoded frame survives encoding;
//! and a decoder holds no more than its limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use madang_wire::{DecodeError, Decoded, Decoder, Frame, Limits, Version, encode, header};

/// Small limits, so that short inputs reach each of them.
const LIMITS: Limits = Limits { frame_bytes: 4096, headers: 16, header_bytes: 512 };

fuzz_target!(|stream: &[u8]| {
    for version in Version::ALL {
        let (frames, error) = decode(version, [stream]);
        for size in [1, 7, 64] {
            let (again, other) = decode(version, stream.chunks(size));
            assert_eq!(again, frames, "in pieces of {size} bytes");
            // Which of several errors is found first may depend on how the stream is split.
            assert_eq!(other.is_some(), error.is_some(), "{other:?} instead of {error:?}");
        }
        frames.iter().for_each(|frame| survives(frame, version));
    }
});

/// The frames of a stream, and the error that ended it. How many heart-beats a series of line ends makes depends on how
/// the stream is split.
fn decode<'a>(
    version: Version,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Frame>, Option<DecodeError>) {
    let mut decoder = Decoder::new(LIMITS);
    decoder.set_version(version);
    let mut frames = Vec::new();
    for piece in pieces {
        if let Err(error) = decoder.push(piece) {
            return (frames, Some(error));
        }
        loop {
            match decoder.next_frame() {
                Ok(Some(Decoded::Frame(frame))) => frames.push(bounded(frame)),
                Ok(Some(Decoded::HeartBeat)) => {}
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next_frame(), Err(error.clone()), "an error is the end");
                    assert!(decoder.push(b"\n").is_err());
                    return (frames, Some(error));
                }
            }
        }
    }
    (frames, None)
}

fn bounded(frame: Frame) -> Frame {
    for (name, value) in frame.headers.iter() {
        assert!(name.len() + 1 + value.len() <= LIMITS.header_bytes);
    }
    assert!(frame.headers.len() <= LIMITS.headers);
    assert!(frame.body.len() < LIMITS.frame_bytes);
    assert!(frame.command.may_have_body() || frame.body.is_empty());
    frame
}

/// A character that the version can't express becomes a space, so only the second decoding must be exact.
fn survives(frame: &Frame, version: Version) {
    let bytes = encode(frame, version);
    let again = read(&bytes, version);
    assert_eq!(encode(&again, version), bytes);
    let has_return = frame.headers.iter().any(|(n, v)| n.contains('\r') || v.contains('\r'));
    if !has_return {
        assert_eq!(without_length(again), without_length(frame.clone()));
    }
}

fn read(bytes: &[u8], version: Version) -> Frame {
    // Escaping makes a frame longer.
    let mut decoder = Decoder::new(Limits::default());
    decoder.set_version(version);
    decoder.push(bytes).expect("it fits");
    match decoder.next_frame() {
        Ok(Some(Decoded::Frame(frame))) => frame,
        other => panic!("what was written is not read: {other:?}"),
    }
}

fn without_length(mut frame: Frame) -> Frame {
    frame.headers.remove(header::CONTENT_LENGTH);
    frame
}
