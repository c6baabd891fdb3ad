//! Decoding bytes into frames.

use bytes::{Buf, Bytes, BytesMut};

use super::escape::Escaping;
use crate::{Command, Frame, Headers, Version, header};

/// The limits of a decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum length of a frame, from its command to its NUL, in bytes.
    pub frame_bytes: usize,
    /// The maximum number of headers in a frame.
    pub headers: usize,
    /// The maximum length of a header line, name and value as written, in bytes.
    pub header_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { frame_bytes: 2 * 1024 * 1024, headers: 128, header_bytes: 16 * 1024 }
    }
}

/// A result of decoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// One or more line ends between frames: a heart-beat.
    HeartBeat,
    /// A frame.
    Frame(Frame),
}

/// The reason why bytes are not STOMP, or exceed a limit. Every error ends the session (STOMP 1.2, "ERROR").
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The first line is not a command.
    #[error("unknown command {0:?}")]
    UnknownCommand(String),
    /// A frame exceeds [`Limits::frame_bytes`].
    #[error("a frame is longer than frame_bytes = {limit} bytes")]
    FrameTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A frame exceeds [`Limits::headers`].
    #[error("a frame has more than headers = {limit} headers")]
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// A header exceeds [`Limits::header_bytes`].
    #[error("a header is longer than header_bytes = {limit} bytes")]
    HeaderTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A frame's NUL comes before the empty line that ends its headers.
    #[error("a frame has no empty line after its headers")]
    NulInHeaders,
    /// A header line has no colon.
    #[error("a header line has no colon")]
    HeaderWithoutColon,
    /// A header has an escape sequence that this version does not define.
    #[error("a header has an undefined escape sequence")]
    UndefinedEscape,
    /// A header is not UTF-8.
    #[error("a header is not UTF-8")]
    HeaderNotUtf8,
    /// `content-length` is not a number.
    #[error("content-length is not a number")]
    BadContentLength,
    /// The octet after a body of `content-length` bytes is not NUL.
    #[error("no NUL follows the body's content-length bytes")]
    MissingNul,
    /// A command that must not have a body has one.
    #[error("a {0} frame has no body")]
    UnexpectedBody(Command),
}

/// Decodes a stream of bytes into frames, however the stream is split into chunks.
///
/// ```
/// # use madang_wire::{Decoded, Decoder, Limits};
/// let mut decoder = Decoder::new(Limits::default());
/// decoder.push(b"SEND\ndestination:/topic/a\n\nhel")?;
/// decoder.push(b"lo\0\n")?;
/// while let Some(decoded) = decoder.next_frame()? {
///     match decoded {
///         Decoded::HeartBeat => {}
///         Decoded::Frame(frame) => assert_eq!(&frame.body[..], b"hello"),
///     }
/// }
/// # Ok::<(), madang_wire::DecodeError>(())
/// ```
///
/// After an error the stream is unusable: every later call returns the same error, and the buffer is empty.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    version: Version,
    /// At most one unfinished frame (`frame_bytes`) and one pushed chunk.
    buffer: BytesMut,
    expects: Expects,
}

#[derive(Debug)]
enum Expects {
    /// Line ends, or a command.
    Frame,
    /// Header lines and the empty line. `used` is the number of bytes of this frame already removed from the buffer.
    Headers { command: Command, headers: Headers, used: usize },
    /// A body that ends at the first NUL. Its first `searched` bytes contain none.
    BodyToNul { command: Command, headers: Headers, used: usize, searched: usize },
    /// A body of `length` bytes, followed by a NUL.
    BodyOf { command: Command, headers: Headers, length: usize },
    /// Nothing, after an error.
    Nothing(DecodeError),
}

/// The result of one decoding step.
enum Step {
    /// The buffer does not contain enough for a step.
    NeedsMore(Expects),
    Continue(Expects),
    Done(Decoded),
}

impl Decoder {
    /// Creates a decoder for the start of a stream. CONNECT frames are the same in all versions; set the negotiated
    /// version before taking the next frame.
    pub fn new(limits: Limits) -> Decoder {
        let buffer = BytesMut::new();
        Decoder { limits, version: Version::V1_2, buffer, expects: Expects::Frame }
    }

    /// Sets the version for the headers of all following frames.
    pub fn set_version(&mut self, version: Version) {
        self.version = version;
    }

    /// Appends a chunk of the stream. Take all frames out before the next push; then the decoder holds at most one
    /// unfinished frame and this chunk.
    ///
    /// # Errors
    /// When the decoder has failed, or the buffer holds more than `frame_bytes` that were not taken out.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), DecodeError> {
        if let Expects::Nothing(error) = &self.expects {
            return Err(error.clone());
        }
        if self.buffer.len() > self.limits.frame_bytes {
            return self.fail(DecodeError::FrameTooLong { limit: self.limits.frame_bytes });
        }
        self.buffer.extend_from_slice(chunk);
        Ok(())
    }

    /// The memory of a frame that has begun and is not whole, in bytes.
    pub fn unfinished(&self) -> usize {
        let headers = match &self.expects {
            Expects::Headers { headers, .. }
            | Expects::BodyToNul { headers, .. }
            | Expects::BodyOf { headers, .. } => headers.weight(),
            Expects::Frame | Expects::Nothing(_) => 0,
        };
        headers + self.buffer.len()
    }

    /// The next frame or heart-beat; `None` when more bytes are needed.
    ///
    /// # Errors
    /// When the stream is not STOMP, or exceeds a limit.
    pub fn next_frame(&mut self) -> Result<Option<Decoded>, DecodeError> {
        loop {
            let step = match std::mem::replace(&mut self.expects, Expects::Frame) {
                Expects::Frame => self.frame(),
                Expects::Headers { command, headers, used } => self.headers(command, headers, used),
                Expects::BodyToNul { command, headers, used, searched } => {
                    self.body_to_nul(command, headers, used, searched)
                }
                Expects::BodyOf { command, headers, length } => {
                    self.body_of(command, headers, length)
                }
                Expects::Nothing(error) => Err(error),
            };
            match step {
                Ok(Step::Continue(expects)) => self.expects = expects,
                Ok(Step::NeedsMore(expects)) => {
                    self.expects = expects;
                    return Ok(None);
                }
                Ok(Step::Done(decoded)) => return Ok(Some(decoded)),
                Err(error) => return self.fail(error),
            }
        }
    }

    fn fail<T>(&mut self, error: DecodeError) -> Result<T, DecodeError> {
        self.buffer = BytesMut::new();
        self.expects = Expects::Nothing(error.clone());
        Err(error)
    }

    fn frame(&mut self) -> Result<Step, DecodeError> {
        if self.skip_line_ends() {
            return Ok(Step::Done(Decoded::HeartBeat));
        }
        let Some(end) = find(&self.buffer, b'\n', MAX_COMMAND_LINE) else {
            if self.buffer.len() >= MAX_COMMAND_LINE || self.buffer.contains(&0) {
                return Err(unknown_command(&self.buffer));
            }
            return Ok(Step::NeedsMore(Expects::Frame));
        };
        let line = without_return(&self.buffer[..end]);
        let command = Command::parse(line).ok_or_else(|| unknown_command(line))?;
        self.buffer.advance(end + 1);
        Ok(Step::Continue(Expects::Headers { command, headers: Headers::new(), used: end + 1 }))
    }

    /// Skips line ends; returns whether there were any. A CR that is the last octet so far may be part of a CR LF.
    fn skip_line_ends(&mut self) -> bool {
        let mut skipped = 0;
        loop {
            match self.buffer[skipped..] {
                [b'\n', ..] => skipped += 1,
                [b'\r', b'\n', ..] => skipped += 2,
                _ => break,
            }
        }
        self.buffer.advance(skipped);
        skipped > 0
    }

    fn headers(
        &mut self,
        command: Command,
        mut headers: Headers,
        used: usize,
    ) -> Result<Step, DecodeError> {
        let longest = self.limits.header_bytes.saturating_add(2);
        let Some(end) = find(&self.buffer, b'\n', longest) else {
            if self.buffer.iter().take(longest).any(|&byte| byte == 0) {
                return Err(DecodeError::NulInHeaders);
            }
            if self.buffer.len() >= longest {
                return Err(DecodeError::HeaderTooLong { limit: self.limits.header_bytes });
            }
            self.check_length(used + self.buffer.len())?;
            return Ok(Step::NeedsMore(Expects::Headers { command, headers, used }));
        };
        let line = without_return(&self.buffer[..end]);
        let is_last = line.is_empty();
        if !is_last {
            let (name, value) = self.header(command, line)?;
            headers.push(name, value);
        }
        if headers.len() > self.limits.headers {
            return Err(DecodeError::TooManyHeaders { limit: self.limits.headers });
        }
        self.buffer.advance(end + 1);
        let used = used + end + 1;
        self.check_length(used)?;
        if is_last {
            return self.body(command, headers, used).map(Step::Continue);
        }
        Ok(Step::Continue(Expects::Headers { command, headers, used }))
    }

    fn header(&self, command: Command, line: &[u8]) -> Result<(String, String), DecodeError> {
        if line.len() > self.limits.header_bytes {
            return Err(DecodeError::HeaderTooLong { limit: self.limits.header_bytes });
        }
        if line.contains(&0) {
            return Err(DecodeError::NulInHeaders);
        }
        let line = std::str::from_utf8(line).map_err(|_| DecodeError::HeaderNotUtf8)?;
        // A value may contain unescaped colons: STOMP 1.0, and CONNECT in all versions, have no escapes.
        let (name, value) = line.split_once(':').ok_or(DecodeError::HeaderWithoutColon)?;
        let escaping = Escaping::of(command, self.version);
        let read = |text| escaping.read(text).ok_or(DecodeError::UndefinedEscape);
        Ok((read(name)?, read(value)?))
    }

    /// Decides what must follow these headers.
    fn body(
        &self,
        command: Command,
        mut headers: Headers,
        used: usize,
    ) -> Result<Expects, DecodeError> {
        if self.trims(command, &headers) {
            headers.trim();
        }
        let Some(length) = headers.get(header::CONTENT_LENGTH) else {
            return Ok(Expects::BodyToNul { command, headers, used, searched: 0 });
        };
        let length = number(length.trim()).ok_or(DecodeError::BadContentLength)?;
        if length > 0 && !command.may_have_body() {
            return Err(DecodeError::UnexpectedBody(command));
        }
        self.check_length(used.saturating_add(length).saturating_add(1))?;
        Ok(Expects::BodyOf { command, headers, length })
    }

    /// Whether spaces around names and values are removed: STOMP 1.0 writes `name: value`, 1.1 and 1.2 forbid trimming.
    /// A CONNECT without `accept-version` is STOMP 1.0.
    fn trims(&self, command: Command, headers: &Headers) -> bool {
        let is_connect = matches!(command, Command::Connect | Command::Stomp);
        self.version == Version::V1_0 || is_connect && headers.get(header::ACCEPT_VERSION).is_none()
    }

    fn body_to_nul(
        &mut self,
        command: Command,
        headers: Headers,
        used: usize,
        searched: usize,
    ) -> Result<Step, DecodeError> {
        let found = self.buffer[searched..].iter().position(|&byte| byte == 0);
        let searched = searched + found.unwrap_or(self.buffer.len() - searched);
        if searched > 0 && !command.may_have_body() {
            return Err(DecodeError::UnexpectedBody(command));
        }
        self.check_length(used + searched + usize::from(found.is_some()))?;
        if found.is_none() {
            return Ok(Step::NeedsMore(Expects::BodyToNul { command, headers, used, searched }));
        }
        let body = self.take_body(searched);
        Ok(Step::Done(Decoded::Frame(Frame { command, headers, body })))
    }

    fn body_of(
        &mut self,
        command: Command,
        headers: Headers,
        length: usize,
    ) -> Result<Step, DecodeError> {
        match self.buffer.get(length) {
            None => Ok(Step::NeedsMore(Expects::BodyOf { command, headers, length })),
            Some(0) => {
                let body = self.take_body(length);
                Ok(Step::Done(Decoded::Frame(Frame { command, headers, body })))
            }
            Some(_) => Err(DecodeError::MissingNul),
        }
    }

    /// Removes the body and its NUL from the buffer.
    fn take_body(&mut self, length: usize) -> Bytes {
        let body = self.buffer.split_to(length).freeze();
        self.buffer.advance(1);
        body
    }

    fn check_length(&self, length: usize) -> Result<(), DecodeError> {
        if length > self.limits.frame_bytes {
            return Err(DecodeError::FrameTooLong { limit: self.limits.frame_bytes });
        }
        Ok(())
    }
}

/// Parses digits only: `parse` alone would accept a sign. A number above the maximum saturates.
fn number(text: &str) -> Option<usize> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(usize::MAX))
}

/// Longer than the longest command with CR LF; a longer first line is not a command.
const MAX_COMMAND_LINE: usize = 32;

/// The index of `byte` among the first `max` bytes.
fn find(buffer: &[u8], byte: u8, max: usize) -> Option<usize> {
    buffer.iter().take(max).position(|&b| b == byte)
}

/// Removes a trailing CR. CR LF is accepted in every version, not only 1.2: no useful header ends with a CR.
fn without_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The error for an unknown command. Its text ends at the line's end or a NUL, however the stream was split.
fn unknown_command(bytes: &[u8]) -> DecodeError {
    let start = &bytes[..bytes.len().min(MAX_COMMAND_LINE)];
    let end = start.iter().position(|byte| matches!(byte, 0 | b'\n')).unwrap_or(start.len());
    let line = without_return(&start[..end]);
    DecodeError::UnknownCommand(String::from_utf8_lossy(line).into_owned())
}
