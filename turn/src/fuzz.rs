//! The stream parser as its fuzz target calls it, with assertions about the result. Compiled only under cargo-fuzz
//! (`--cfg fuzzing`); the targets are in `control/fuzz`.

use bytes::{Bytes, BytesMut};

use crate::framing::{FramingError, MAX_MESSAGE, next_message};

/// Parses the input in pieces, whose length is the first byte, and as a whole; both must give the same messages.
pub fn framing(input: &[u8]) {
    let Some((cut, stream)) = input.split_first() else { return };
    let (pieces, last) = messages(stream.chunks(usize::from(*cut).max(1)));
    let (whole, error) = messages(std::iter::once(stream));
    assert_eq!((pieces, last), (whole, error));
}

fn messages<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Bytes>, Option<FramingError>) {
    let mut received = BytesMut::new();
    let mut messages = Vec::new();
    for piece in pieces {
        received.extend_from_slice(piece);
        loop {
            match next_message(&mut received) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
        assert!(received.len() < MAX_MESSAGE, "the parser waits for more than a message");
    }
    (messages, None)
}
